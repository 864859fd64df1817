"""Servers and private keys."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import SecretStr
from sqlmodel import col, select

from domain.errors import NotFound
from store.columns import now
from store.database import Database
from store.encryption import KeyRing
from store.tables import PrivateKey, Server


class ServerStore:
    """Reads and writes servers and keys; `team_id` confines what is found."""

    def __init__(self, database: Database, keys: KeyRing) -> None:
        self._database = database
        self._keys = keys

    async def ensure_local(self, *, team_id: str, wildcard_domain: str) -> Server:
        """The server that Seaway itself runs on, made at the first start."""
        async with self._database.writing() as session:
            row = (await session.exec(select(Server).where(col(Server.is_local)))).first()
            if row is None:
                row = Server(team_id=team_id, name="localhost", is_local=True)
            row.wildcard_domain = row.wildcard_domain or wildcard_domain
            row.is_reachable = row.is_usable = True
            session.add(row)
        return row

    async def get(self, server_id: str, *, team_id: str | None = None) -> Server:
        """The server. Raises NotFound, also for another team's."""
        async with self._database.reading() as session:
            row = await session.get(Server, server_id)
        if row is None or (team_id is not None and row.team_id != team_id):
            raise NotFound("There is no such server.")
        return row

    async def list(self, *, team_id: str) -> Sequence[Server]:
        """The team's servers, oldest first."""
        query = select(Server).where(Server.team_id == team_id).order_by(col(Server.created_at))
        async with self._database.reading() as session:
            return (await session.exec(query)).all()

    async def update(self, server: Server) -> Server:
        """Writes the server's columns."""
        async with self._database.writing() as session:
            row = await session.get(Server, server.id)
            if row is None:
                raise NotFound("There is no such server.")
            row.sqlmodel_update(server.model_dump(exclude={"id", "team_id", "created_at"}))
            row.updated_at = now()
            session.add(row)
        return row

    async def add_key(self, key: PrivateKey, private_key: SecretStr) -> PrivateKey:
        """Seals and writes a private key."""
        key.private_key_sealed = self._keys.encrypt(private_key.get_secret_value())
        async with self._database.writing() as session:
            session.add(key)
        return key

    async def keys(self, *, team_id: str) -> Sequence[PrivateKey]:
        """The team's keys, oldest first."""
        query = select(PrivateKey).where(PrivateKey.team_id == team_id).order_by(col(PrivateKey.created_at))
        async with self._database.reading() as session:
            return (await session.exec(query)).all()

    async def key(self, key_id: str, *, team_id: str | None = None) -> PrivateKey:
        """The key, still sealed. Raises NotFound, also for another team's."""
        async with self._database.reading() as session:
            row = await session.get(PrivateKey, key_id)
        if row is None or (team_id is not None and row.team_id != team_id):
            raise NotFound("There is no such private key.")
        return row

    async def update_key(self, key: PrivateKey, private_key: SecretStr | None = None) -> PrivateKey:
        """Writes the key's columns and, if given, the private key itself. Raises NotFound."""
        async with self._database.writing() as session:
            row = await session.get(PrivateKey, key.id)
            if row is None:
                raise NotFound("There is no such private key.")
            row.sqlmodel_update(key.model_dump(exclude={"id", "team_id", "created_at", "private_key_sealed"}))
            if private_key is not None:
                row.private_key_sealed = self._keys.encrypt(private_key.get_secret_value())
            row.updated_at = now()
            session.add(row)
        return row

    async def delete_key(self, key_id: str, *, team_id: str) -> None:
        """Removes the key."""
        key = await self.key(key_id, team_id=team_id)
        async with self._database.writing() as session:
            row = await session.get(PrivateKey, key.id)
            if row is not None:
                await session.delete(row)

    def reveal(self, key: PrivateKey) -> SecretStr:
        """The private key itself."""
        return SecretStr(self._keys.decrypt(key.private_key_sealed))
