"""What a server or an application uses, as charts that stay current."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request, Response

from api.context import ApiContext
from api.pages import charts
from api.pages.application import OwnApplication, tab_page
from api.pages.application_views import application_url
from api.pages.charts import Chart, Subject, Window, chart_of
from api.pages.frames import Crumb, frame_of, page
from api.pages.happenings import EVENTS_ID, Happenings, events_of
from api.pages.live import Fragment, stream_fragments
from api.pages.page_route import PageRoute
from api.pages.servers import SECTION, OwnServer, crumbs_of
from api.pages.visitors import Context, Visiting
from api.routes.parameters import Before
from api.shown_metrics import Span, replica_points, server_points, span_of
from domain.metrics import Measure, Point
from store.tables import Application, Server

router = APIRouter(route_class=PageRoute, include_in_schema=False)

PERIOD = timedelta(seconds=5)


class Shown:
    """What the visitor wants to see, as the address says it."""

    def __init__(
        self,
        span: Annotated[Literal["1h", "6h", "24h", "7d", "30d"], Query(alias="range")] = "1h",
        view: Literal["charts", "table"] = "charts",
    ) -> None:
        self.range = span
        self.view = view

    def query(self, **changes: str) -> str:
        """The address's query for this, or for something a little different."""
        return urlencode({"range": self.range, "view": self.view} | changes)

    def span(self, context: ApiContext) -> Span:
        """From when to when."""
        until = datetime.now(UTC)
        return span_of(context, until - charts.RANGES[self.range], until, None)


Showing = Annotated[Shown, Depends()]


@dataclass(frozen=True)
class Choice:
    """One of several views of the same."""

    label: str
    url: str
    is_current: bool


@dataclass(frozen=True)
class MetricsView:
    """The charts, or their numbers; `newest` tells whether there is something new."""

    charts: tuple[Chart, ...]
    as_table: bool
    newest: Point | None

    def fragment(self) -> Fragment:
        """The part of a page. The charts move with time even where nothing is measured; that is not sent."""
        newest = self.newest
        state = (newest.at, newest.samples, newest.average) if newest else ()
        return Fragment("metrics", "fragments/metrics.html", {"metrics": self}, state=state)


@dataclass(frozen=True)
class Choices:
    """The spans and views that can be chosen."""

    ranges: tuple[Choice, ...]
    views: tuple[Choice, ...]


@router.get("/servers/{server_id}/metrics")
async def server_metrics_page(
    request: Request,
    context: Context,
    visitor: Visiting,
    server: OwnServer,
    shown: Showing,
    before: Before = None,
) -> Response:
    """Processors, memory, disk and load, and what happened, or happened before some moment."""
    query = shown.query(**({"before": before.isoformat()} if before else {}))
    frame = frame_of(
        request,
        visitor,
        title=f"Metrics · {server.name}",
        crumbs=crumbs_of(server, Crumb("Metrics")),
        section=SECTION,
        live_url=f"/ui/servers/{server.id}/metrics/stream?{query}",
    )
    return page(
        "server_metrics",
        frame,
        server_name=server.name,
        choices=choices_of(f"/servers/{server.id}/metrics", shown),
        metrics=await server_metrics(context, server, shown),
        events=await _events(context, server, shown, before),
    )


@router.get("/ui/servers/{server_id}/metrics/stream")
async def server_metrics_stream(
    context: Context, visitor: Visiting, server: OwnServer, shown: Showing, before: Before = None
) -> Response:
    """The charts, and the events, when there is something new."""

    async def produce() -> Sequence[Fragment]:
        present = await context.store.servers.get(server.id, team_id=visitor.team_id)
        metrics = await server_metrics(context, present, shown)
        events = {"events": await _events(context, present, shown, before)}
        return [metrics.fragment(), Fragment(EVENTS_ID, "fragments/server_events.html", events)]

    return stream_fragments(produce, for_team=visitor.team_id, period=PERIOD)


@router.get("/applications/{application_id}/metrics")
async def application_metrics_page(
    request: Request, context: Context, visitor: Visiting, application: OwnApplication, shown: Showing
) -> Response:
    """Processors, memory and traffic of each replica."""
    return await tab_page(
        request,
        context,
        visitor,
        application,
        "application_metrics",
        tab="metrics",
        live_url=f"/ui/applications/{application.id}/metrics/stream?{shown.query()}",
        choices=choices_of(f"{application_url(application.id)}/metrics", shown),
        metrics=await application_metrics(context, application, shown),
    )


@router.get("/ui/applications/{application_id}/metrics/stream")
async def application_metrics_stream(
    context: Context, visitor: Visiting, application: OwnApplication, shown: Showing
) -> Response:
    """The charts when there is something new."""

    async def produce() -> Sequence[Fragment]:
        present = await context.store.applications.get(application.id, team_id=visitor.team_id)
        return [(await application_metrics(context, present, shown)).fragment()]

    return stream_fragments(produce, for_team=visitor.team_id, period=PERIOD)


async def server_metrics(context: ApiContext, server: Server, shown: Shown) -> MetricsView:
    """The charts of a server."""
    span = shown.span(context)
    points = await server_points(context, server.id, span)
    newest = points[-1] if points else None
    subjects = (
        Subject("cpu", "Processors", Measure.CPU_PERCENT, charts.in_percent, 100.0),
        Subject("memory", "Memory", Measure.MEMORY_BYTES, charts.in_bytes, _top(newest, "memory")),
        Subject("disk", "Disk", Measure.DISK_BYTES, charts.in_bytes, _top(newest, "disk")),
        Subject("load", "Load", Measure.LOAD, charts.as_number),
    )
    window = _window(span)
    drawn = tuple(chart_of(subject, {server.name: points}, window) for subject in subjects)
    return MetricsView(drawn, shown.view == "table", newest)


async def application_metrics(context: ApiContext, application: Application, shown: Shown) -> MetricsView:
    """The charts of an application, with a line for each replica; those measured last come first."""
    span = shown.span(context)
    found = await replica_points(context, application.id, span)
    latest_first = sorted(found.items(), key=lambda item: (-item[1][-1].at, item[0].replica))
    series = {
        f"{number}: {subject.replica[-16:]}": points
        for number, (subject, points) in enumerate(latest_first[: charts.MOST_LINES], start=1)
    }
    subjects = (
        Subject("cpu", "Processors (100 % is one)", Measure.CPU_PERCENT, charts.in_percent),
        Subject("memory", "Memory", Measure.MEMORY_BYTES, charts.in_bytes),
        Subject("received", "Received", Measure.RECEIVED_BYTES_PER_SECOND, charts.in_bytes_per_second),
        Subject("sent", "Sent", Measure.SENT_BYTES_PER_SECOND, charts.in_bytes_per_second),
    )
    window = _window(span)
    drawn = tuple(chart_of(subject, series, window) for subject in subjects)
    newest = latest_first[0][1][-1] if latest_first else None
    return MetricsView(drawn, shown.view == "table", newest)


async def _events(context: ApiContext, server: Server, shown: Shown, before: datetime | None) -> Happenings:
    url = f"/servers/{server.id}/metrics?{shown.query()}"
    return await events_of(context, server, before=before, url=url)


def choices_of(url: str, shown: Shown) -> Choices:
    """What else can be seen at the address."""
    ranges = [Choice(name, f"{url}?{shown.query(range=name)}", name == shown.range) for name in charts.RANGES]
    views = [
        Choice(label, f"{url}?{shown.query(view=view)}", view == shown.view)
        for view, label in (("charts", "Charts"), ("table", "Table"))
    ]
    return Choices(tuple(ranges), tuple(views))


def _top(newest: Point | None, what: Literal["memory", "disk"]) -> float | None:
    if newest is None:
        return None
    total = newest.memory_total_bytes if what == "memory" else newest.disk_total_bytes
    return float(total) or None


def _window(span: Span) -> Window:
    return Window(span.since.timestamp(), span.until.timestamp(), max(span.step_seconds, span.stored_seconds))
