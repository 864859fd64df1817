"""What servers and applications use, and what happened to servers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from domain.metrics import Point, Values
from domain.replica_states import ReplicaState, StandingReplica
from domain.server_events import ServerEventKind
from domain.servers import ServerStatus
from store.metrics import Subject
from store.tables import Server, ServerEvent
from tests.integration.api.conftest import Seaway

NOW = datetime.now(UTC).replace(microsecond=0)


def point(ago: timedelta, cpu: float) -> Point:
    values = Values(cpu, 1000, 2000, 0.5, 10, 20)
    return Point(int((NOW - ago).timestamp()), 1, values, values, 4000, 8000)


def ago(**span: float) -> str:
    return (NOW - timedelta(**span)).isoformat()


@pytest.fixture
async def measured(seaway: Seaway, application: dict[str, Any]) -> str:
    """The last ten minutes, every 10 s, of my server and of one replica; the application's id."""
    subjects = (Subject(seaway.mine.server.id), Subject(seaway.mine.server.id, application["uuid"], "r-1"))
    points = [point(timedelta(seconds=10 * number), float(number)) for number in range(60)]
    await seaway.store.metrics.write([(subject, one) for one in points for subject in subjects])
    return str(application["uuid"])


async def test_a_server_shows_what_it_used_in_the_step_that_was_asked_for(
    seaway: Seaway, client: httpx.AsyncClient, measured: str
):
    path = f"/servers/{seaway.mine.server.id}/metrics"
    answer = (await client.get(path, params={"from": ago(minutes=5), "to": ago(), "step": 60})).json()
    assert answer["server_uuid"] == seaway.mine.server.id
    assert answer["step_seconds"] == 60
    assert answer["from"].startswith((NOW - timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%S"))
    assert sum(one["samples"] for one in answer["points"]) == 31
    assert len(answer["points"]) in (5, 6)
    newest = answer["points"][-1]
    assert newest["average"].keys() == {"cpu_percent", "memory_bytes", "disk_bytes", "load"}
    assert newest["average"]["cpu_percent"] <= newest["maximum"]["cpu_percent"]
    assert (newest["memory_total_bytes"], newest["disk_total_bytes"]) == (4000, 8000)


async def test_without_parameters_it_is_the_last_hour(
    seaway: Seaway, client: httpx.AsyncClient, measured: str
):
    answer = (await client.get(f"/servers/{seaway.mine.server.id}/metrics")).json()
    assert sum(one["samples"] for one in answer["points"]) == 60
    assert answer["step_seconds"] == 24


async def test_what_has_no_coarse_points_yet_is_shown_from_finer_ones(
    seaway: Seaway, client: httpx.AsyncClient, measured: str
):
    path = f"/servers/{seaway.mine.server.id}/metrics"
    for days in (1, 7):
        answer = (await client.get(path, params={"from": ago(days=days)})).json()
        assert sum(one["samples"] for one in answer["points"]) == 60
    finer, coarser, _ = seaway.app.state.context.settings.kept_metrics
    await seaway.store.metrics.roll_up(
        [seaway.mine.server.id], finer=finer, coarser=coarser, since=0, now=NOW
    )
    answer = (await client.get(path, params={"from": ago(days=1)})).json()
    assert sum(one["samples"] for one in answer["points"]) == 60


async def test_an_application_shows_each_of_its_replicas(
    seaway: Seaway, client: httpx.AsyncClient, measured: str
):
    answer = (await client.get(f"/applications/{measured}/metrics")).json()
    (replica,) = answer["replicas"]
    assert (replica["server_uuid"], replica["replica"]) == (seaway.mine.server.id, "r-1")
    assert sum(one["samples"] for one in replica["points"]) == 60
    assert replica["points"][0]["average"]["sent_bytes_per_second"] == 20
    assert replica["points"][0]["memory_limit_bytes"] == 4000


async def test_events_are_listed_newest_first(seaway: Seaway, client: httpx.AsyncClient):
    server_id = seaway.mine.server.id
    for number, kind in enumerate(ServerEventKind):
        at = NOW + timedelta(seconds=number)
        event = ServerEvent(server_id=server_id, kind=kind, at=at, message=f"It is {kind}.", subject="/")
        await seaway.store.watch.record(event)
    answer = (await client.get(f"/servers/{server_id}/events")).json()
    assert [event["kind"] for event in answer] == list(reversed(ServerEventKind))
    assert answer[0]["application_uuid"] is None
    assert answer[0]["subject"] == "/"
    before = {"before": answer[1]["at"], "limit": 2}
    earlier = (await client.get(f"/servers/{server_id}/events", params=before)).json()
    assert [event["uuid"] for event in earlier] == [event["uuid"] for event in answer[2:4]]


@pytest.mark.parametrize(
    "query",
    [
        {"from": "yesterday"},
        {"step": 0},
        {"step": "inf"},
        {"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"},
    ],
    ids=str,
)
async def test_what_is_no_span_of_time_is_refused(
    seaway: Seaway, client: httpx.AsyncClient, query: dict[str, Any]
):
    answer = await client.get(f"/servers/{seaway.mine.server.id}/metrics", params=query)
    assert answer.status_code == 422


@pytest.mark.parametrize(
    "query",
    [
        {"to": "0001-01-01T00:00:00Z"},
        {"from": "0001-01-01T00:00:00Z", "to": "9999-12-31T23:59:59Z"},
        {"from": "1970-01-01T00:00:00", "step": 1},
    ],
    ids=str,
)
async def test_times_at_the_ends_of_the_calendar_are_answered(
    seaway: Seaway, client: httpx.AsyncClient, measured: str, query: dict[str, Any]
):
    answer = await client.get(f"/servers/{seaway.mine.server.id}/metrics", params=query)
    assert answer.status_code == 200
    assert len(answer.json()["points"]) <= 1500


@pytest.mark.parametrize("path", ["/servers/{}/metrics", "/servers/{}/events", "/servers/{}/replicas"])
async def test_another_teams_server_is_not_found(seaway: Seaway, client: httpx.AsyncClient, path: str):
    assert (await client.get(path.format(seaway.theirs.server.id))).status_code == 404


async def test_what_another_teams_server_says_of_an_application_is_not_shown(
    seaway: Seaway, client: httpx.AsyncClient, measured: str
):
    subject = Subject(seaway.theirs.server.id, measured, "r-1")
    await seaway.store.metrics.write([(subject, point(timedelta(seconds=30), 99.0))])
    answer = (await client.get(f"/applications/{measured}/metrics")).json()
    assert [one["server_uuid"] for one in answer["replicas"]] == [seaway.mine.server.id]


@pytest.fixture
async def standing(seaway: Seaway, measured: str) -> str:
    """My server is watched, and two replicas are there, one of which runs and is measured now."""
    async with seaway.store.database.writing() as session:
        row = await session.get(Server, seaway.mine.server.id)
        assert row is not None
        row.status, row.data_folder = ServerStatus.USABLE, "/data"
        session.add(row)
    await seaway.store.watch.claim("me", timedelta(minutes=1))
    # The module may have been read long before this runs, and what is old is not what a replica uses.
    just_now = point(NOW - datetime.now(UTC), 7.0)
    await seaway.store.metrics.write([(Subject(seaway.mine.server.id, measured, "r-1"), just_now)])
    replicas = [
        StandingReplica(measured, "r-1", ReplicaState.RUNNING),
        StandingReplica(measured, "r-2", ReplicaState.EXITED),
        StandingReplica("of-somebody-else", "s-1", ReplicaState.RUNNING),
    ]
    await seaway.store.replicas.write(seaway.mine.server.id, replicas)
    return measured


async def test_the_replicas_on_a_server_are_listed_with_what_they_use_and_how_they_stand(
    seaway: Seaway, client: httpx.AsyncClient, standing: str
):
    running, exited = (await client.get(f"/servers/{seaway.mine.server.id}/replicas")).json()
    assert (running["replica"], running["application_uuid"], running["application_name"]) == (
        "r-1",
        standing,
        "shop",
    )
    assert (running["state"], running["use"]["cpu_percent"], running["memory_limit_bytes"]) == (
        "running",
        7.0,
        4000,
    )
    assert (exited["replica"], exited["state"], exited["use"], exited["measured_at"]) == (
        "r-2",
        "exited",
        None,
        None,
    )
    (metrics,) = (await client.get(f"/applications/{standing}/metrics")).json()["replicas"]
    assert metrics["state"] == "running"


@pytest.mark.parametrize("why", ["silent", "not watched"])
async def test_replicas_on_a_server_that_is_not_seen_are_unknown_and_not_exited(
    seaway: Seaway, client: httpx.AsyncClient, standing: str, why: str
):
    server_id = seaway.mine.server.id
    if why == "silent":
        await seaway.store.watch.found_reachable(server_id, "me", False, "It is gone.")
    else:
        await seaway.store.watch.release("me")
    shown = (await client.get(f"/servers/{server_id}/replicas")).json()
    assert [(one["state"], one["use"], one["since"]) for one in shown] == [("unknown", None, None)] * 2
    (metrics,) = (await client.get(f"/applications/{standing}/metrics")).json()["replicas"]
    assert metrics["state"] == "unknown"


async def test_events_of_all_servers_are_those_of_the_team(seaway: Seaway, client: httpx.AsyncClient):
    servers = [seaway.mine.server.id, seaway.theirs.server.id]
    for number, server_id in enumerate(servers):
        at = NOW + timedelta(seconds=number)
        await seaway.store.watch.record(
            ServerEvent(server_id=server_id, kind=ServerEventKind.UNREACHABLE, at=at, message=server_id)
        )
    (event,) = (await client.get("/servers/events")).json()
    assert (event["server_uuid"], event["message"]) == (servers[0], servers[0])
    assert (await client.get("/servers/events", params={"before": ago(days=1)})).json() == []


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+10:00", "9999-12-31T23:59:59-10:00"])
async def test_what_is_outside_the_calendar_is_refused_by_its_name(
    seaway: Seaway, client: httpx.AsyncClient, moment: str
):
    path = f"/servers/{seaway.mine.server.id}"
    for what, name in (("events", "before"), ("metrics", "from"), ("metrics", "to")):
        answer = await client.get(f"{path}/{what}", params={name: moment})
        assert (answer.status_code, list(answer.json()["errors"])) == (422, [name])
