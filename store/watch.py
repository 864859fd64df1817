"""Who watches which server, and what happened to servers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement
from sqlmodel import and_, col, delete, or_, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.deployments import StepStatus
from domain.server_events import ServerEventKind
from domain.servers import ServerStatus
from store.columns import now
from store.database import Database
from store.tables import Server, ServerEvent, ServerStep, ServerWatch

WATCHED = (ServerStatus.USABLE, ServerStatus.UNREACHABLE, ServerStatus.NOT_USABLE)
EVENTS_KEPT = timedelta(days=30)
MOST_EVENTS_OF_A_SERVER = 1000


class WatchStore:
    """Leases, and events. An event is written by whoever makes the change, in one transaction with it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, owner: str, lease: timedelta, *, with_local: bool = True) -> Sequence[str]:
        """Takes every server that nobody watches, renews what the owner has; the ids of all that are its own.

        Without `with_local` the one that Seaway itself runs on is left to others.
        A lease that was not renewed in time is anybody's. The clocks of the workers must agree to within a
        few seconds, as they do by NTP.
        """
        moment = now()
        async with self._database.writing() as session:
            watched = await self._watched(session, with_local=with_local)
            of_these = col(ServerWatch.server_id).in_(watched)
            free = or_(
                col(ServerWatch.owner) == owner,
                col(ServerWatch.owner) == "",
                col(ServerWatch.expires_at) < moment,
            )
            await session.exec(
                update(ServerWatch).where(of_these, free).values(owner=owner, expires_at=moment + lease)
            )
            own = select(ServerWatch.server_id).where(of_these, ServerWatch.owner == owner)
            return (await session.exec(own)).all()

    async def _watched(self, session: AsyncSession, *, with_local: bool) -> Sequence[str]:
        """The servers to watch; each has a row afterwards, and no row is left of servers that are gone."""
        has_folder = col(Server.data_folder) != ""
        can_run_something = or_(col(Server.is_local), has_folder) if with_local else has_folder
        query = select(Server.id, Server.status).where(can_run_something, col(Server.status).in_(WATCHED))
        wanted = dict((await session.exec(query)).all())
        present = (await session.exec(select(ServerWatch.server_id))).all()
        for server_id in wanted.keys() - set(present):
            reachable = wanted[server_id] != ServerStatus.UNREACHABLE
            session.add(ServerWatch(server_id=server_id, is_reachable=reachable))
        await session.flush()
        if len(present) > len(wanted):
            gone = col(ServerWatch.server_id).not_in(select(Server.id))
            await session.exec(delete(ServerWatch).where(gone))
        return tuple(wanted)

    async def release(self, owner: str) -> None:
        """Others may take over at once."""
        async with self._database.writing() as session:
            await session.exec(update(ServerWatch).where(col(ServerWatch.owner) == owner).values(owner=""))

    async def close_local(self, reason: str) -> None:
        """The server that Seaway itself runs on is not usable for this reason, unless somebody watches it."""
        watched = select(ServerWatch.server_id).where(
            ServerWatch.owner != "", col(ServerWatch.expires_at) >= now()
        )
        closed = col(Server.is_local) & col(Server.id).not_in(watched)
        is_news = or_(
            col(Server.status) != ServerStatus.NOT_USABLE,
            col(Server.status_message) != reason,
            col(Server.is_reachable),
        )
        values = {
            "status": ServerStatus.NOT_USABLE,
            "status_message": reason,
            "is_reachable": False,
            "is_usable": False,
            "checked_at": now(),
        }
        async with self._database.writing() as session:
            await session.exec(update(Server).where(closed, is_news).values(**values))

    async def found_reachable(
        self,
        server_id: str,
        owner: str,
        is_reachable: bool,
        message: str,
        status: ServerStatus | None = None,
    ) -> bool:
        """Notes it, with an event and the server's status if it was otherwise before: then True.

        Nothing happens where the owner is not the owner any more. What somebody does to the server meanwhile
        (provisioning, removal, a changed host key) is not overwritten by the status. Nor is what makes it not
        usable: whoever answers again is as usable as before.
        """
        async with self._database.writing() as session:
            if not await _turned(session, server_id, owner, "is_reachable", is_reachable):
                return False
            kind = ServerEventKind.REACHABLE_AGAIN if is_reachable else ServerEventKind.UNREACHABLE
            session.add(ServerEvent(server_id=server_id, kind=kind, message=message))
            if status is not None:
                await _stands(session, server_id, status, "" if is_reachable else message)
        return True

    async def found_disk(
        self, server_id: str, owner: str, is_above: bool, message: str, subject: str
    ) -> bool:
        """Notes whether the disk is above its threshold, with an event if it was otherwise before."""
        async with self._database.writing() as session:
            if not await _turned(session, server_id, owner, "is_disk_above", is_above):
                return False
            kind = ServerEventKind.DISK_ABOVE_THRESHOLD if is_above else ServerEventKind.DISK_BELOW_THRESHOLD
            session.add(ServerEvent(server_id=server_id, kind=kind, message=message, subject=subject))
        return True

    async def silent(self) -> frozenset[str]:
        """The servers that somebody watches now and that do not answer."""
        query = select(ServerWatch.server_id).where(
            col(ServerWatch.is_reachable).is_(False),
            ServerWatch.owner != "",
            col(ServerWatch.expires_at) >= now(),
        )
        async with self._database.reading() as session:
            return frozenset((await session.exec(query)).all())

    async def answering(self) -> frozenset[str]:
        """The servers that somebody watches now and that answer: what is known of their replicas is true."""
        query = select(ServerWatch.server_id).where(
            col(ServerWatch.is_reachable), ServerWatch.owner != "", col(ServerWatch.expires_at) >= now()
        )
        async with self._database.reading() as session:
            return frozenset((await session.exec(query)).all())

    async def state(self, server_id: str) -> ServerWatch | None:
        """How the server was found the last time; None when it is not watched."""
        async with self._database.reading() as session:
            return await session.get(ServerWatch, server_id)

    async def record(self, event: ServerEvent) -> None:
        """Writes one event."""
        async with self._database.writing() as session:
            session.add(event)

    async def record_once(self, event: ServerEvent) -> None:
        """Writes one event, unless there is one of its id."""
        async with self._database.writing() as session:
            if await session.get(ServerEvent, event.id) is None:
                session.add(event)

    async def newest(self, server_id: str, *kinds: ServerEventKind) -> ServerEvent | None:
        """The server's last event of one of these kinds."""
        query = select(ServerEvent).where(
            ServerEvent.server_id == server_id, col(ServerEvent.kind).in_(kinds)
        )
        async with self._database.reading() as session:
            return (await session.exec(query.order_by(col(ServerEvent.at).desc()).limit(1))).first()

    async def events(
        self, *server_ids: str, limit: int = 100, before: datetime | None = None
    ) -> Sequence[ServerEvent]:
        """The servers' newest events, newest first; only those `before`, if given."""
        query = select(ServerEvent).where(col(ServerEvent.server_id).in_(server_ids))
        if before is not None:
            query = query.where(col(ServerEvent.at) < before)
        newest = query.order_by(col(ServerEvent.at).desc(), col(ServerEvent.id)).limit(limit)
        async with self._database.reading() as session:
            return (await session.exec(newest)).all()

    async def forget_old(self) -> None:
        """Removes events after 30 days, those of servers that are gone, and what exceeds 1000 of a server."""
        async with self._database.writing() as session:
            gone = col(ServerEvent.server_id).not_in(select(Server.id))
            await session.exec(
                delete(ServerEvent).where(or_(gone, col(ServerEvent.at) < now() - EVENTS_KEPT))
            )
            for server_id in (await session.exec(select(ServerEvent.server_id).distinct())).all():
                extra = (
                    select(ServerEvent.id)
                    .where(ServerEvent.server_id == server_id)
                    .order_by(col(ServerEvent.at).desc(), col(ServerEvent.id))
                    .offset(MOST_EVENTS_OF_A_SERVER)
                    .limit(10_000)
                )
                await session.exec(delete(ServerEvent).where(col(ServerEvent.id).in_(extra)))


async def _turned(session: AsyncSession, server_id: str, owner: str, flag: str, value: bool) -> bool:
    """Sets a flag of the owner's watch; whether it was otherwise before."""
    changed = await session.exec(
        update(ServerWatch)
        .where(
            col(ServerWatch.server_id) == server_id,
            col(ServerWatch.owner) == owner,
            col(getattr(ServerWatch, flag)).is_(not value),
        )
        .values({flag: value})
    )
    return changed.rowcount > 0


async def _stands(session: AsyncSession, server_id: str, status: ServerStatus, message: str) -> None:
    """The server of a watch stands so, as far as a look can tell."""
    # Seaway's own machine answers late when it is busy, and is never away from itself.
    watched = and_(
        col(Server.id) == server_id, col(Server.status).in_(WATCHED), col(Server.is_local).is_(False)
    )
    reached = {"is_reachable": status is not ServerStatus.UNREACHABLE, "checked_at": now()}
    await session.exec(update(Server).where(watched).values(**reached))
    usable = status is ServerStatus.USABLE
    may_change = _was_usable(server_id) if usable else col(Server.status) == ServerStatus.USABLE
    stands = {"status": status, "status_message": message, "is_usable": usable}
    await session.exec(update(Server).where(watched, may_change).values(**stands))


def _was_usable(server_id: str) -> ColumnElement[bool]:
    """Whether only a look found the server not usable, after every step that it had made it so."""
    told = select(ServerEvent.message).where(
        ServerEvent.server_id == server_id, ServerEvent.kind == ServerEventKind.UNREACHABLE
    )
    last = told.order_by(col(ServerEvent.at).desc()).limit(1).scalar_subquery()
    lacking = select(ServerStep.server_id).where(
        ServerStep.server_id == server_id,
        col(ServerStep.status).not_in((StepStatus.SUCCEEDED, StepStatus.SKIPPED)),
    )
    by_look = or_(col(Server.status) == ServerStatus.UNREACHABLE, col(Server.status_message) == last)
    return and_(by_look, ~lacking.exists())
