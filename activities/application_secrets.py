"""What must not show in the logs of an application."""

from __future__ import annotations

import re
from collections.abc import Iterable

from domain.configuration import ApplicationConfiguration
from domain.redaction import Redactor
from domain.registries import RegistryLogin

SECRET_KEY = re.compile(r"SECRET|TOKEN|PASSW|PASSPHRASE|CREDENTIAL|PRIVATE|API_?KEY|_KEY$|DSN", re.IGNORECASE)
SHORTEST_SECRET = 6


def redactor_for(configuration: ApplicationConfiguration, logins: Iterable[RegistryLogin] = ()) -> Redactor:
    """Hides build secrets, values whose names say that they are secret, and passwords of registries.

    Other values stay readable: a log in which every `production` is blanked out helps nobody.
    """
    values = [
        value
        for variable in configuration.environment
        if len(value := variable.value.get_secret_value()) >= SHORTEST_SECRET
        and (variable.is_build_secret or SECRET_KEY.search(variable.key))
    ]
    return Redactor([*values, *(login.password.get_secret_value() for login in logins)])
