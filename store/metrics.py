"""What servers and replicas used: written as measured, rolled up to coarser steps, kept for a while."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, insert, literal
from sqlalchemy import select as select_columns
from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.metrics import AS_MEASURED, Measure, Point, Resolution, Values
from store.database import Database
from store.tables import MetricPoint, Server

SERVERS_AT_ONCE = 200
SETTLING_SECONDS = 5
KEY = (
    col(MetricPoint.server_id),
    col(MetricPoint.application_id),
    col(MetricPoint.replica),
    col(MetricPoint.at),
)

# In the order in which `_point` takes them apart.
COLUMNS = [
    getattr(MetricPoint, name)
    for name in (
        *(
            "server_id",
            "application_id",
            "replica",
            "at",
            "samples",
            "memory_total_bytes",
            "disk_total_bytes",
        ),
        *(measure.value for measure in Measure),
        *(f"{measure}_maximum" for measure in Measure),
    )
]


@dataclass(frozen=True)
class Subject:
    """Whose point it is: a server's, or with an application that of one of its replicas there."""

    server_id: str
    application_id: str = ""
    replica: str = ""


class MetricStore:
    """Points by subject, step and time. Writing a point a second time replaces nothing and harms nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, points: Sequence[tuple[Subject, Point]], *, step_seconds: int = 0) -> None:
        """Adds the points; of two with one subject and time the first stays."""
        rows = {
            (subject, point.at): _row(subject, point, step_seconds) for subject, point in reversed(points)
        }
        if not rows:
            return
        times = [at for _, at in rows]
        known = select(*KEY).where(
            # Points of hundreds of others would be read while nobody else may write.
            col(MetricPoint.server_id).in_({subject.server_id for subject, _ in rows}),
            col(MetricPoint.step_seconds) == step_seconds,
            col(MetricPoint.at).between(min(times), max(times)),
        )
        async with self._database.writing() as session:
            for server_id, application_id, replica, at in (await session.exec(known)).all():
                rows.pop((Subject(server_id, application_id, replica), at), None)
            if rows:
                await session.exec(insert(MetricPoint), params=list(rows.values()))

    async def of_server(
        self, server_id: str, *, step_seconds: int, since: datetime, until: datetime
    ) -> list[Point]:
        """The server's stored points of this step, in order."""
        found = await self._read(
            step_seconds,
            since,
            until,
            and_(
                col(MetricPoint.server_id) == server_id,
                # The whole of the key, or databases look through the points of all servers.
                col(MetricPoint.application_id) == "",
                col(MetricPoint.replica) == "",
            ),
        )
        return [point for _, point in found]

    async def of_application(
        self, application_id: str, *, step_seconds: int, since: datetime, until: datetime
    ) -> dict[Subject, list[Point]]:
        """The stored points of each of the application's replicas, in order."""
        grouped: dict[Subject, list[Point]] = {}
        for subject, point in await self._read(
            step_seconds, since, until, col(MetricPoint.application_id) == application_id
        ):
            grouped.setdefault(subject, []).append(point)
        return grouped

    async def newest_of_replicas(
        self, server_id: str, *, since: datetime, until: datetime
    ) -> dict[Subject, Point]:
        """The last point, as measured, of each replica on the server that was measured in this time."""
        on_server = and_(col(MetricPoint.server_id) == server_id, col(MetricPoint.replica) != "")
        return dict(await self._read(AS_MEASURED, since, until, on_server))

    async def newest_of_servers(self, server_ids: Iterable[str], *, step_seconds: int) -> dict[str, int]:
        """When the last point of this step of each server itself begins; 0 where there is none."""
        ids = tuple(server_ids)
        query = (
            select(MetricPoint.server_id, func.max(MetricPoint.at))
            .where(
                col(MetricPoint.server_id).in_(ids),
                col(MetricPoint.application_id) == "",
                col(MetricPoint.replica) == "",
                col(MetricPoint.step_seconds) == step_seconds,
            )
            .group_by(col(MetricPoint.server_id))
        )
        async with self._database.reading() as session:
            return dict.fromkeys(ids, 0) | dict((await session.exec(query)).all())

    async def _read(
        self, step_seconds: int, since: datetime, until: datetime, whose: ColumnElement[bool]
    ) -> list[tuple[Subject, Point]]:
        query = select_columns(*COLUMNS).where(
            whose,
            col(MetricPoint.step_seconds) == step_seconds,
            # A step that began before still reaches into the time that was asked for.
            col(MetricPoint.at) > int(since.timestamp()) - max(step_seconds, 1),
            col(MetricPoint.at) <= int(until.timestamp()),
        )
        async with self._database.reading() as session:
            # Thousands of rows need not become objects of the session.
            connection = await session.connection()
            rows = (await connection.execute(query.order_by(col(MetricPoint.at)))).all()
        return [(Subject(*row[:3]), _point(row)) for row in rows]

    async def roll_up(
        self, server_ids: Iterable[str], *, finer: Resolution, coarser: Resolution, since: int, now: datetime
    ) -> int:
        """Makes the coarser points of all whole steps from `since` (seconds since 1970) to now, anew.

        Steps of which finer points are gone already, or may be, are left as they are. Returns where to go on.
        """
        step, ids = coarser.step_seconds, tuple(server_ids)
        lost = int((now - finer.keep).timestamp())
        begin = -(-max(since, lost) // step) * step
        # A sample is written a few seconds after it was taken.
        end = (int(now.timestamp()) - SETTLING_SECONDS) // step * step
        for start in range(0, len(ids) if begin < end else 0, SERVERS_AT_ONCE):
            of_these = col(MetricPoint.server_id).in_(ids[start : start + SERVERS_AT_ONCE])
            async with self._database.writing() as session:
                whole = await _whole_from(session, of_these, finer.step_seconds, step)
                if whole is None:
                    continue
                span = of_these & (col(MetricPoint.at) >= max(begin, whole)) & (col(MetricPoint.at) < end)
                await session.exec(delete(MetricPoint).where(span, col(MetricPoint.step_seconds) == step))
                finer_points = span & (col(MetricPoint.step_seconds) == finer.step_seconds)
                await session.exec(_insert_coarser(finer_points, step))
        return max(begin, end)

    async def forget_old(self, kept: Sequence[Resolution], now: datetime) -> None:
        """Removes points that have been kept for long enough, and those of servers that are gone."""
        gone = col(MetricPoint.server_id).not_in(select(Server.id))
        async with self._database.writing() as session:
            # One by one, so that each finds its rows by an index.
            for one in kept:
                too_old = col(MetricPoint.at) < int((now - one.keep).timestamp())
                of_step = col(MetricPoint.step_seconds) == one.step_seconds
                await session.exec(delete(MetricPoint).where(of_step, too_old))
            await session.exec(delete(MetricPoint).where(gone))


async def _whole_from(session: AsyncSession, whose: ColumnElement[bool], finer: int, step: int) -> int | None:
    """From where on no finer point is missing of a coarser one that is stored; None where there is none."""
    # Of all servers, which an index has at once; they lose their points together.
    oldest = (
        select(MetricPoint.at).where(col(MetricPoint.step_seconds) == finer).order_by(col(MetricPoint.at))
    )
    if (first := (await session.exec(oldest.limit(1))).first()) is None:
        return None
    begin = first // step * step
    of_step = (col(MetricPoint.step_seconds) == step) & (col(MetricPoint.at) == begin)
    stored = (await session.exec(select(MetricPoint.at).where(whose, of_step).limit(1))).first()
    return begin if stored is None else -(-first // step) * step


def _insert_coarser(finer_points: ColumnElement[bool], step: int) -> Any:
    # Whole-number division; both databases do it the same way for times after 1970.
    begin = (col(MetricPoint.at) // step) * step
    samples = func.sum(MetricPoint.samples)
    subject = {name: getattr(MetricPoint, name) for name in ("server_id", "application_id", "replica")}
    columns: dict[str, Any] = {
        **subject,
        "step_seconds": literal(step),
        "at": begin,
        "samples": samples,
        "memory_total_bytes": func.max(MetricPoint.memory_total_bytes),
        "disk_total_bytes": func.max(MetricPoint.disk_total_bytes),
    }
    for measure in Measure:
        average, maximum = getattr(MetricPoint, measure), getattr(MetricPoint, f"{measure}_maximum")
        columns[measure.value] = func.sum(average * MetricPoint.samples) / samples
        columns[f"{measure}_maximum"] = func.max(maximum)
    query = select_columns(*columns.values()).where(finer_points).group_by(*subject.values(), begin)
    return insert(MetricPoint).from_select(list(columns), query)


def _row(subject: Subject, point: Point, step_seconds: int) -> dict[str, object]:
    row: dict[str, object] = {
        "server_id": subject.server_id,
        "application_id": subject.application_id,
        "replica": subject.replica,
        "step_seconds": step_seconds,
        "at": point.at,
        "samples": point.samples,
        "memory_total_bytes": point.memory_total_bytes,
        "disk_total_bytes": point.disk_total_bytes,
    }
    for measure in Measure:
        row[measure.value] = point.average.of(measure)
        row[f"{measure}_maximum"] = point.maximum.of(measure)
    return row


def _point(row: Sequence[Any]) -> Point:
    at, samples, memory_total_bytes, disk_total_bytes, *numbers = row[3:]
    averages, maxima = numbers[: len(Measure)], numbers[len(Measure) :]
    return Point(at, samples, Values(*averages), Values(*maxima), memory_total_bytes, disk_total_bytes)
