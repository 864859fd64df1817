"""What servers and replicas used, read in the steps in which it is shown."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from api.context import ApiContext
from domain.errors import InvalidInput
from domain.metrics import MINUTE_SECONDS, Point, merged, shown_step, stored_step
from store.metrics import Subject

SHOWN_BY_DEFAULT = timedelta(hours=1)
FIRST_MOMENT = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Span:
    """From when to when, in which steps, and the step of the stored points that answer it."""

    since: datetime
    until: datetime
    step_seconds: int
    stored_seconds: int


def span_of(
    context: ApiContext, since: datetime | None, until: datetime | None, step_seconds: int | None
) -> Span:
    """The last hour and about 150 points, unless something else is asked for. Raises InvalidInput."""
    now = datetime.now(UTC)
    until = aware(until) if until is not None else now
    if since is None:
        since = max(until, FIRST_MOMENT + SHOWN_BY_DEFAULT) - SHOWN_BY_DEFAULT
    since = aware(since)
    if since > until:
        raise InvalidInput("'from' is later than 'to'.", field="from")
    step = shown_step(since, until, step_seconds, context.settings.watch_seconds)
    stored = stored_step(since, now, context.settings.kept_metrics)
    # Where points of minutes are at hand, steps of whole minutes show every one of them once.
    step = max(step, stored)
    whole = -(-step // MINUTE_SECONDS) * MINUTE_SECONDS
    return Span(since, until, whole if step > MINUTE_SECONDS else step, stored)


async def server_points(context: ApiContext, server_id: str, span: Span) -> list[Point]:
    """What the server used."""

    async def read(stored_seconds: int, since: datetime) -> dict[Subject, list[Point]]:
        points = await context.store.metrics.of_server(
            server_id, step_seconds=stored_seconds, since=since, until=span.until
        )
        return {Subject(server_id): points}

    found = await _composed(context, span, read)
    return merged(found.get(Subject(server_id), ()), span.step_seconds)


async def replica_points(
    context: ApiContext, application_id: str, span: Span
) -> Mapping[Subject, Sequence[Point]]:
    """What each of the application's replicas used, by server and name."""
    application = await context.store.applications.get(application_id)
    # Other teams' servers tell what their owners want, and the same machine may be one of theirs.
    servers = {one.id for one in await context.store.servers.list(team_id=application.team_id)}

    async def read(stored_seconds: int, since: datetime) -> dict[Subject, list[Point]]:
        points = await context.store.metrics.of_application(
            application_id, step_seconds=stored_seconds, since=since, until=span.until
        )
        return {subject: of_one for subject, of_one in points.items() if subject.server_id in servers}

    found = await _composed(context, span, read)
    ordered = sorted(found.items(), key=lambda item: (item[0].server_id, item[0].replica))
    return {subject: merged(points, span.step_seconds) for subject, points in ordered if points}


Read = Callable[[int, datetime], Awaitable[dict[Subject, list[Point]]]]


async def _composed(context: ApiContext, span: Span, read: Read) -> dict[Subject, list[Point]]:
    """The stored points of the span, and finer ones of the time of which there are no such points yet."""
    composed: dict[Subject, list[Point]] = {}
    ends: dict[Subject, int] = {}
    since = span.since
    steps = [one.step_seconds for one in context.settings.kept_metrics]
    for stored_seconds in reversed(steps[: steps.index(span.stored_seconds) + 1]):
        for subject, points in (await read(stored_seconds, since)).items():
            end = ends.get(subject, 0)
            newer = [point for point in points if point.at >= end]
            composed.setdefault(subject, []).extend(newer)
            if newer:
                ends[subject] = newer[-1].at + stored_seconds
        if ends:
            # Of servers that others watch, coarser points may come a little later.
            since = max(since, datetime.fromtimestamp(max(ends.values()) - 2 * stored_seconds, UTC))
    return composed


def aware(moment: datetime) -> datetime:
    """The moment in UTC, which is also what is meant where no zone is named."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
