"""Logins for image registries."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import SecretStr
from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.errors import Conflict, NotFound
from domain.registries import RegistryLogin
from store.columns import now
from store.database import Database
from store.encryption import KeyRing
from store.tables import Registry


class RegistryStore:
    """Reads and writes logins of one team at a time."""

    def __init__(self, database: Database, keys: KeyRing) -> None:
        self._database = database
        self._keys = keys

    async def add(self, registry: Registry, password: SecretStr) -> Registry:
        """Seals and writes a login. Raises Conflict where its team or project has one for this registry."""
        registry.password_sealed = self._keys.encrypt(password.get_secret_value())
        async with self._database.writing() as session:
            await _refuse_twin(session, registry)
            session.add(registry)
        return registry

    async def list(self, *, team_id: str) -> Sequence[Registry]:
        """The team's logins, those of its projects included, oldest first."""
        query = select(Registry).where(Registry.team_id == team_id).order_by(col(Registry.created_at))
        async with self._database.reading() as session:
            return (await session.exec(query)).all()

    async def get(self, registry_id: str, *, team_id: str) -> Registry:
        """The login, still sealed. Raises NotFound, also for another team's."""
        async with self._database.reading() as session:
            return await _require(session, registry_id, team_id)

    async def update(self, registry: Registry, password: SecretStr | None = None) -> Registry:
        """Writes name, host, user and, if given, the password. Raises NotFound, Conflict as `add`."""
        async with self._database.writing() as session:
            row = await _require(session, registry.id, registry.team_id)
            row.name, row.host, row.username = registry.name, registry.host, registry.username
            if password is not None:
                row.password_sealed = self._keys.encrypt(password.get_secret_value())
            row.updated_at = now()
            await _refuse_twin(session, row)
            session.add(row)
        return row

    async def delete(self, registry_id: str, *, team_id: str) -> None:
        """Removes the login. Raises NotFound."""
        async with self._database.writing() as session:
            await session.delete(await _require(session, registry_id, team_id))

    async def logins(self, *, team_id: str, project_id: str) -> tuple[RegistryLogin, ...]:
        """What opens registries to a project, one for each: its own win over the team's."""
        query = select(Registry).where(
            Registry.team_id == team_id,
            or_(col(Registry.project_id).is_(None), col(Registry.project_id) == project_id),
        )
        async with self._database.reading() as session:
            rows = (await session.exec(query.order_by(col(Registry.created_at)))).all()
        by_host = {row.host: row for row in rows if row.project_id is None}
        by_host |= {row.host: row for row in rows if row.project_id is not None}
        return tuple(self.reveal(row) for row in by_host.values())

    def reveal(self, registry: Registry) -> RegistryLogin:
        """The login with its password."""
        password = SecretStr(self._keys.decrypt(registry.password_sealed))
        return RegistryLogin(registry.host, registry.username, password)


async def _require(session: AsyncSession, registry_id: str, team_id: str) -> Registry:
    row = await session.get(Registry, registry_id)
    if row is None or row.team_id != team_id:
        raise NotFound("There is no such registry.")
    return row


async def _refuse_twin(session: AsyncSession, registry: Registry) -> None:
    query = select(Registry).where(
        Registry.team_id == registry.team_id,
        Registry.project_id == registry.project_id,
        Registry.host == registry.host,
        Registry.id != registry.id,
    )
    with session.no_autoflush:
        twin = (await session.exec(query)).first()
    if twin is not None:
        whose = "The team" if registry.project_id is None else "The project"
        raise Conflict(f"{whose} has a login for {registry.host} already: '{twin.name}'. Change that one.")
