"""When two builds are the same build."""

from __future__ import annotations

import json

from domain.configuration import ApplicationConfiguration, BuildPack, GitSource

COMMIT_CHARACTERS = 12
FINGERPRINT_CHARACTERS = 12


def build_inputs(configuration: ApplicationConfiguration, arguments: dict[str, str]) -> str:
    """Everything besides the commit that decides how the image turns out, as one stable text.

    It holds build secrets in clear, so only its keyed fingerprint may be stored.
    """
    source = configuration.source
    secrets = {
        variable.key: variable.value.get_secret_value()
        for variable in configuration.environment
        if variable.is_buildtime and variable.is_build_secret
    }
    static = configuration.build.pack is BuildPack.STATIC
    parts = {
        "build": configuration.build.model_dump(mode="json", exclude={"use_cache", "use_build_server"}),
        "source": [source.submodules, source.lfs] if isinstance(source, GitSource) else [],
        "arguments": {} if static else arguments,
        "secrets": {} if static else secrets,
        "port": configuration.runtime.port if static else None,
    }
    return json.dumps(parts, sort_keys=True)


def build_key(commit: str, fingerprint: str) -> str:
    """The tag of the image of this commit in this configuration; `fingerprint` is of `build_inputs`."""
    return f"{commit[:COMMIT_CHARACTERS]}-{fingerprint[:FINGERPRINT_CHARACTERS]}"
