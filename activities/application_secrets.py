"""What must not show in the logs of an application."""

from __future__ import annotations

import re

from domain.configuration import ApplicationConfiguration
from domain.redaction import Redactor

SECRET_KEY = re.compile(r"SECRET|TOKEN|PASSW|PASSPHRASE|CREDENTIAL|PRIVATE|API_?KEY|_KEY$|DSN", re.IGNORECASE)
SHORTEST_SECRET = 6


def redactor_for(configuration: ApplicationConfiguration) -> Redactor:
    """Hides build secrets, and values whose names say that they are secret.

    Other values stay readable: a log in which every `production` is blanked out helps nobody.
    """
    return Redactor(
        value
        for variable in configuration.environment
        if len(value := variable.value.get_secret_value()) >= SHORTEST_SECRET
        and (variable.is_build_secret or SECRET_KEY.search(variable.key))
    )
