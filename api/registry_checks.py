"""How the API has logins for registries tried out. Others do it: the API reaches no registry."""

from __future__ import annotations

from typing import Protocol

from domain.errors import NotPossibleNow
from domain.registries import RegistryCheck, RegistryLogin
from store.tables import Server


class RegistryChecks(Protocol):
    """Tries logins from where images are pulled."""

    async def check(self, server: Server, login: RegistryLogin) -> RegistryCheck:
        """Logs in from this server, for real. Raises EngineUnavailable and what reaching the server does."""
        ...


class NoRegistryChecks:
    """Stands where a process was given no way to servers: it refuses."""

    async def check(self, server: Server, login: RegistryLogin) -> RegistryCheck:
        """See `RegistryChecks`."""
        raise NotPossibleNow("This process of Seaway was started without a way to servers.")
