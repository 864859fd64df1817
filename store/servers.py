"""Servers and private keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pydantic import SecretStr
from sqlmodel import col, delete, or_, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.deployments import StepStatus
from domain.errors import Conflict, NotFound
from domain.servers import ServerStatus, ServerStepName
from store.columns import now
from store.database import Database
from store.encryption import KeyRing
from store.tables import DeletedApplication, PrivateKey, PulledName, ReplicaStanding, Server, ServerStep

ENDPOINT = frozenset(["address", "port", "jump_server_id"])


class ServerStore:
    """Reads and writes servers and keys; `team_id` confines what is found."""

    def __init__(self, database: Database, keys: KeyRing) -> None:
        self._database = database
        self._keys = keys

    async def ensure_local(self, *, team_id: str, wildcard_domain: str, trouble: str = "") -> Server:
        """The server that Seaway itself runs on, made at the first start; with `trouble` it is not usable."""
        async with self._database.writing() as session:
            row = (await session.exec(select(Server).where(col(Server.is_local)))).first()
            if row is None:
                row = Server(team_id=team_id, name="localhost", is_local=True)
            row.wildcard_domain = row.wildcard_domain or wildcard_domain
            row.sqlmodel_update(_standing(trouble))
            session.add(row)
        return row

    async def open_local(self) -> None:
        """The server that Seaway itself runs on is usable."""
        is_news = or_(
            col(Server.status) != ServerStatus.USABLE,
            col(Server.is_usable).is_(False),
            col(Server.is_reachable).is_(False),
        )
        async with self._database.writing() as session:
            await session.exec(update(Server).where(col(Server.is_local), is_news).values(**_standing("")))

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

    async def create(self, server: Server) -> Server:
        """Writes a new server. Raises Conflict where the team has its address and port, or its name."""
        async with self._database.writing() as session:
            await _refuse_twin(session, server)
            await _refuse_taken_name(session, server)
            session.add(server)
        return server

    async def set(self, server_id: str, **values: object) -> Server:
        """Sets the named columns. Raises NotFound, and Conflict as `create` does for what changes."""
        async with self._database.writing() as session:
            row = await session.get(Server, server_id)
            if row is None:
                raise NotFound("There is no such server.")
            if not ENDPOINT.isdisjoint(values):
                await _refuse_twin(session, row.model_copy(update=values))
            if values.get("name", row.name) != row.name:
                await _refuse_taken_name(session, row.model_copy(update=values))
            row.sqlmodel_update(values)
            row.updated_at = now()
            session.add(row)
        return row

    async def settled(self, server_id: str, since: datetime | None) -> None:
        """Nothing is left there of what was given up until then."""
        mine = (col(Server.id) == server_id) & (col(Server.unsettled_since) == since)
        async with self._database.writing() as session:
            await session.exec(update(Server).where(mine).values(unsettled_since=None))

    async def deployable(self, *, team_id: str | None = None) -> Sequence[Server]:
        """The servers that can have been deployed to, oldest first: the team's, else every team's."""
        query = select(Server).where(or_(col(Server.is_local), col(Server.data_folder) != ""))
        if team_id is not None:
            query = query.where(Server.team_id == team_id)
        async with self._database.reading() as session:
            return (await session.exec(query.order_by(col(Server.created_at)))).all()

    async def all_local(self) -> Sequence[Server]:
        """The one that Seaway itself runs on."""
        async with self._database.reading() as session:
            return (await session.exec(select(Server).where(col(Server.is_local)))).all()

    async def local_ids(self) -> frozenset[str]:
        """The id of the one that Seaway itself runs on."""
        async with self._database.reading() as session:
            return frozenset((await session.exec(select(Server.id).where(col(Server.is_local)))).all())

    async def build_servers(self, *, team_id: str) -> Sequence[Server]:
        """The team's servers that build for others, however they stand, oldest first."""
        query = select(Server).where(Server.team_id == team_id, col(Server.is_build_server))
        async with self._database.reading() as session:
            return (await session.exec(query.order_by(col(Server.created_at)))).all()

    async def all_remote(self) -> Sequence[Server]:
        """Every team's servers that are reached over SSH, oldest first."""
        query = select(Server).where(col(Server.is_local).is_(False)).order_by(col(Server.created_at))
        async with self._database.reading() as session:
            return (await session.exec(query)).all()

    async def forget(self, server_id: str) -> None:
        """Removes the server and what is only about it. Doing it twice is harmless."""
        async with self._database.writing() as session:
            await session.exec(delete(ServerStep).where(col(ServerStep.server_id) == server_id))
            await session.exec(delete(PulledName).where(col(PulledName.server_id) == server_id))
            await session.exec(delete(ReplicaStanding).where(col(ReplicaStanding.server_id) == server_id))
            gone = col(DeletedApplication.server_id) == server_id
            await session.exec(delete(DeletedApplication).where(gone))
            await session.exec(delete(Server).where(col(Server.id) == server_id))

    async def steps(self, server_id: str) -> Sequence[ServerStep]:
        """The steps of the last provisioning, in order."""
        query = select(ServerStep).where(ServerStep.server_id == server_id)
        async with self._database.reading() as session:
            return (await session.exec(query.order_by(col(ServerStep.position)))).all()

    async def begin_steps(self, server_id: str) -> None:
        """All steps are pending, as before the first try."""
        async with self._database.writing() as session:
            await session.exec(delete(ServerStep).where(col(ServerStep.server_id) == server_id))
            for position, name in enumerate(ServerStepName):
                session.add(ServerStep(server_id=server_id, position=position, name=name))

    async def move_step(
        self,
        server_id: str,
        name: ServerStepName,
        status: StepStatus,
        *,
        attempt: int | None = None,
        message: str | None = None,
        detail: str | None = None,
    ) -> None:
        """Moves one step; `None` leaves what is there. Unknown steps are passed over."""
        async with self._database.writing() as session:
            query = select(ServerStep).where(ServerStep.server_id == server_id, ServerStep.name == name)
            row = (await session.exec(query)).first()
            if row is None:
                return
            row.status = status
            if status is StepStatus.RUNNING:
                row.started_at, row.finished_at = row.started_at or now(), None
            else:
                row.finished_at = now()
            row.attempt = row.attempt if attempt is None else attempt
            row.message = row.message if message is None else message
            row.detail = row.detail if detail is None else detail
            session.add(row)

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


def _standing(trouble: str) -> dict[str, object]:
    return {
        "status": ServerStatus.NOT_USABLE if trouble else ServerStatus.USABLE,
        "status_message": trouble,
        "is_reachable": not trouble,
        "is_usable": not trouble,
        "checked_at": now(),
    }


async def _refuse_twin(session: AsyncSession, server: Server) -> None:
    twin = select(Server).where(
        Server.id != server.id,
        Server.team_id == server.team_id,
        Server.address == server.address,
        Server.port == server.port,
        Server.jump_server_id == server.jump_server_id,
        col(Server.is_local).is_(False),
    )
    if (found := (await session.exec(twin)).first()) is not None:
        raise Conflict(f"{server.address} port {server.port} is the server '{found.name}' already.")


async def _refuse_taken_name(session: AsyncSession, server: Server) -> None:
    """Steps of deployments are told apart by the names of their servers, by people as well."""
    same = select(Server.id).where(
        Server.id != server.id, Server.team_id == server.team_id, Server.name == server.name
    )
    if (await session.exec(same)).first() is not None:
        raise Conflict(f"Your team has a server named '{server.name}' already. Give this one another name.")
