"""Tries a login at a registry, from where images are pulled: by an engine."""

from __future__ import annotations

import asyncio

from adapters.docker.connection import EngineConnection, EngineRefusal
from adapters.docker.refusals import UNAUTHORIZED, UNREACHABLE
from adapters.docker.registry_logins import login_document
from domain.registries import RegistryCheck, RegistryLogin, RegistryState

LOGIN_TIMEOUT_SECONDS = 30.0


class RegistryChecks(EngineConnection):
    """What an engine finds out about registries."""

    async def check_login(self, login: RegistryLogin) -> RegistryCheck:
        """Logs in for real, within 30 s; nothing of it is kept. Raises EngineUnavailable."""
        try:
            async with asyncio.timeout(LOGIN_TIMEOUT_SECONDS):
                # The SDK's own login would remember the password for every later call.
                async with self.stream("POST", "/auth", body=login_document(login)) as stream:
                    async for _ in stream:
                        pass
        except TimeoutError:
            return unreachable(login, f"no answer within {LOGIN_TIMEOUT_SECONDS:g} s")
        except EngineRefusal as refusal:
            return refused(login, refusal.status, refusal.reason)
        return RegistryCheck(
            RegistryState.FINE, f"The registry {login.host} lets the user '{login.username}' in."
        )


def refused(login: RegistryLogin, status: int, reason: str) -> RegistryCheck:
    """What it means that the engine did not log in; its text may repeat what it was given."""
    if not UNREACHABLE.search(reason) and (status in (401, 403) or UNAUTHORIZED.search(reason)):
        return RegistryCheck(
            RegistryState.WRONG_CREDENTIALS,
            f"The registry {login.host} refuses the user '{login.username}' with this password.",
            detail=_without_password(reason, login),
        )
    return unreachable(login, reason)


def unreachable(login: RegistryLogin, reason: str) -> RegistryCheck:
    """That the registry gave no answer that a registry gives."""
    return RegistryCheck(
        RegistryState.UNREACHABLE,
        f"The registry {login.host} cannot be reached from the server, or does not answer as one.",
        detail=_without_password(reason, login),
    )


def _without_password(reason: str, login: RegistryLogin) -> str:
    return reason.replace(login.password.get_secret_value(), "<redacted>").strip()
