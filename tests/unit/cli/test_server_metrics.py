"""What a server uses and what happened to it, on the command line."""

from __future__ import annotations

import json

import pytest

from tests.unit.cli.conftest import Run
from tests.unit.cli.stub_seaway import APPLICATION, SERVER, START, StubSeaway, application

USE = {"cpu_percent": 12.4, "memory_bytes": 1.5e9, "disk_bytes": 4e9, "load": 0.25}
PEAK = {"cpu_percent": 99.6, "memory_bytes": 3e9, "disk_bytes": 5e9, "load": 2}
POINT = {"at": START, "samples": 6, "memory_total_bytes": 4 * 10**9, "disk_total_bytes": 10**10}
METRICS = {
    "server_uuid": SERVER,
    "from": START,
    "to": START,
    "step_seconds": 180,
    "points": [{**POINT, "average": USE, "maximum": PEAK}],
}
EVENT = {
    "uuid": "e" * 24,
    "server_uuid": SERVER,
    "kind": "unreachable",
    "at": START,
    "message": "localhost: It does not answer.",
}

REPLICA_USE = {
    "cpu_percent": 142.4,
    "memory_bytes": 3.1e8,
    "received_bytes_per_second": 2500,
    "sent_bytes_per_second": 0,
}
REPLICAS = [
    {"replica": "demo-1", "application_name": "demo", "state": "restarting", "use": None},
    {"replica": "demo-2", "application_name": "demo", "state": "running", "use": REPLICA_USE},
]
REPLICA_POINT = {"at": START, "average": REPLICA_USE, "maximum": {**REPLICA_USE, "cpu_percent": 180}}
APPLICATION_METRICS = {
    "step_seconds": 180,
    "replicas": [
        {"server_uuid": SERVER, "replica": "demo-2", "state": "running", "points": [REPLICA_POINT]},
        {"server_uuid": "gone", "replica": "demo-0", "state": None, "points": []},
    ],
}


@pytest.fixture
def harbour(seaway: StubSeaway) -> StubSeaway:
    seaway.on("GET", "/servers", [{"uuid": SERVER, "name": "localhost", "is_coolify_host": True}])
    seaway.on("GET", f"/servers/{SERVER}/metrics", METRICS)
    seaway.on("GET", f"/servers/{SERVER}/events", [EVENT])
    seaway.on("GET", "/servers/events", [EVENT])
    seaway.on("GET", f"/servers/{SERVER}/replicas", REPLICAS)
    seaway.on("GET", "/applications", [application()])
    seaway.on("GET", f"/applications/{APPLICATION}/metrics", APPLICATION_METRICS)
    return seaway


def test_what_a_server_uses_is_shown_with_its_maxima(harbour: StubSeaway, run: Run) -> None:
    shown = run("server", "metrics", "localhost").stdout
    for part in ("12 %", "100 %", "1.5 GB (38 %)", "3.0 GB (75 %)", "5.0 GB (50 %)", "0.25", "2.00"):
        assert part in shown
    (request,) = harbour.sent("GET", f"/servers/{SERVER}/metrics")
    assert request.url.params["step"] == "180"


def test_further_back_has_longer_steps_unless_others_are_asked_for(harbour: StubSeaway, run: Run) -> None:
    run("server", "metrics", "--hours", "24")
    run("server", "metrics", "--hours", "24", "--step", "60")
    requests = harbour.sent("GET", f"/servers/{SERVER}/metrics")
    assert [request.url.params["step"] for request in requests] == ["4320", "60"]


def test_for_programs_it_is_what_the_api_said(harbour: StubSeaway, run: Run) -> None:
    assert json.loads(run("server", "metrics", "--json").stdout) == METRICS
    assert json.loads(run("server", "events", "--json").stdout) == [EVENT]


def test_what_happened_to_a_server_is_listed(harbour: StubSeaway, run: Run) -> None:
    shown = run("server", "events", "localhost", "-n", "5").stdout
    assert "unreachable" in shown
    assert "It does not answer." in shown
    (request,) = harbour.sent("GET", f"/servers/{SERVER}/events")
    assert request.url.params["limit"] == "5"


def test_without_a_server_it_is_what_happened_to_all(harbour: StubSeaway, run: Run) -> None:
    shown = run("server", "events").stdout
    assert "localhost" in shown
    assert "It does not answer." in shown
    assert harbour.sent("GET", "/servers/events")
    assert not harbour.sent("GET", f"/servers/{SERVER}/events")


@pytest.mark.parametrize(
    ("arguments", "how"),
    [
        (("server", "metrics"), "as an argument"),
        (("server", "replicas"), "as an argument"),
        (("app", "create", "web", "--image", "web:1"), "with --server"),
    ],
)
def test_who_must_say_which_server_is_told_how_this_command_takes_it(
    harbour: StubSeaway, run: Run, arguments: tuple[str, ...], how: str
) -> None:
    harbour.on("GET", "/servers", [{"uuid": SERVER, "name": "one"}, {"uuid": "t" * 24, "name": "two"}])
    result = run(*arguments)
    assert result.exit_code == 2
    assert f"Say which {how}: one ({SERVER}), two ({'t' * 24})." in result.stderr


def test_who_has_no_server_is_told_how_to_add_one(harbour: StubSeaway, run: Run) -> None:
    harbour.on("GET", "/servers", [])
    result = run("server", "metrics")
    assert result.exit_code == 5
    assert "`seaway server add ADDRESS` adds one" in result.stderr


def test_the_replicas_on_a_server_are_listed_the_busiest_first(harbour: StubSeaway, run: Run) -> None:
    shown = run("server", "replicas", "localhost").stdout
    assert [line.split()[:3] for line in shown.splitlines()[1:]] == [
        ["demo", "demo-2", "running"],
        ["demo", "demo-1", "restarting"],
    ]
    assert "142 %" in shown
    assert "310 MB" in shown
    assert json.loads(run("server", "replicas", "--json").stdout) == REPLICAS


def test_what_an_application_uses_is_shown_for_each_replica(harbour: StubSeaway, run: Run) -> None:
    shown = run("metrics", "demo").stdout
    for part in (
        "demo-2 on localhost: running",
        "142 %",
        "180 %",
        "310 MB",
        "2.5 kB/s",
        "demo-0 on gone: gone",
    ):
        assert part in shown
    (request,) = harbour.sent("GET", f"/applications/{APPLICATION}/metrics")
    assert request.url.params["step"] == "180"
    assert json.loads(run("metrics", "demo", "--json").stdout) == APPLICATION_METRICS
