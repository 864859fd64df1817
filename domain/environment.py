"""The environment of a build and of a replica: what Seaway gives, and what the owner sets over it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlsplit

from pydantic import SecretStr

from domain.configuration import ApplicationConfiguration, EnvironmentVariable

_REFERENCE = re.compile(r"\$(?:\{(?P<braced>[A-Za-z_][A-Za-z0-9_.]*)\}|(?P<plain>[A-Za-z_][A-Za-z0-9_]*))")
_ALIASES = {
    "SEAWAY_URL": "COOLIFY_URL",
    "SEAWAY_FQDN": "COOLIFY_FQDN",
    "SEAWAY_BRANCH": "COOLIFY_BRANCH",
    "SEAWAY_RESOURCE_UUID": "COOLIFY_RESOURCE_UUID",
    "SEAWAY_CONTAINER_NAME": "COOLIFY_CONTAINER_NAME",
}
# They differ in every deployment, so as build arguments they would empty the build's cache each time.
_ONLY_AT_RUNTIME = frozenset(["SEAWAY_CONTAINER_NAME", "SEAWAY_DEPLOYMENT_UUID", "COOLIFY_CONTAINER_NAME"])


def given_variables(
    configuration: ApplicationConfiguration,
    *,
    commit: str,
    branch: str,
    public_urls: Sequence[str],
    container_name: str,
    deployment_id: str,
) -> dict[str, str]:
    """What every application is told about itself, under our names and those of Coolify.

    `SEAWAY_URL` and `SEAWAY_FQDN` are comma-separated, in the order of `public_urls`.
    """
    hosts = dict.fromkeys(urlsplit(url).hostname or "" for url in public_urls)
    given = {
        "PORT": str(configuration.runtime.port),
        "HOST": "0.0.0.0",  # noqa: S104 - within its container, where only the proxy reaches it
        "SOURCE_COMMIT": commit,
        "SEAWAY_URL": ",".join(public_urls),
        "SEAWAY_FQDN": ",".join(host for host in hosts if host),
        "SEAWAY_BRANCH": branch,
        "SEAWAY_RESOURCE_UUID": configuration.application_id,
        "SEAWAY_CONTAINER_NAME": container_name,
        "SEAWAY_DEPLOYMENT_UUID": deployment_id,
    }
    return given | {alias: given[key] for key, alias in _ALIASES.items()}


def runtime_environment(configuration: ApplicationConfiguration, given: Mapping[str, str]) -> dict[str, str]:
    """What a replica sees: the given variables, and over them the owner's for run time, expanded."""
    return dict(given) | _expanded([one for one in configuration.environment if one.is_runtime], given)


def build_arguments(configuration: ApplicationConfiguration, given: Mapping[str, str]) -> dict[str, str]:
    """What a Dockerfile can take by `ARG`: never a build secret, not even within another value.

    Of the given variables those are left out that change with every deployment of one commit.
    """
    lasting = {key: value for key, value in given.items() if key not in _ONLY_AT_RUNTIME}
    buildtime = [one for one in configuration.environment if one.is_buildtime]
    secret_keys = {one.key for one in buildtime if one.is_build_secret}
    arguments = _expanded([one for one in buildtime if not one.is_build_secret], lasting, hidden=secret_keys)
    return {key: value for key, value in (lasting | arguments).items() if key not in secret_keys}


def build_secrets(configuration: ApplicationConfiguration) -> dict[str, SecretStr]:
    """What the build's session offers to `RUN --mount=type=secret,id=KEY`, expanded like any value."""
    buildtime = [one for one in configuration.environment if one.is_buildtime]
    values = _expanded(buildtime, {})
    return {one.key: SecretStr(values[one.key]) for one in buildtime if one.is_build_secret}


def _expanded(
    variables: Sequence[EnvironmentVariable], given: Mapping[str, str], hidden: Iterable[str] = ()
) -> dict[str, str]:
    """The values with their `$NAME` and `${NAME}` replaced, once; unknown names are left as they are.

    One pass cannot run in circles. A variable that names itself means the given one that it replaces.
    `hidden` names are never replaced.
    """
    values = {one.key: one.value.get_secret_value() for one in variables}
    known_values = {**given, **values}
    hidden = frozenset(hidden)

    def expand(variable: EnvironmentVariable) -> str:
        def replacement(reference: re.Match[str]) -> str:
            name = reference["braced"] or reference["plain"]
            known = given if name == variable.key else known_values
            return reference[0] if name in hidden else known.get(name, reference[0])

        return _REFERENCE.sub(replacement, values[variable.key])

    return {one.key: values[one.key] if one.is_literal else expand(one) for one in variables}
