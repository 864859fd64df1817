"""Who did what, on the command line."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from tests.unit.cli.conftest import Run
from tests.unit.cli.stub_seaway import APPLICATION, KEY, SERVER, START, StubSeaway

EVENT = {
    "uuid": "e" * 24,
    "at": START,
    "actor": "ada@example.org",
    "action": "server.shell",
    "resource_kind": "server",
    "resource_uuid": SERVER,
    "summary": "uptime",
}


def test_who_did_what_is_listed(seaway: StubSeaway, run: Run) -> None:
    seaway.on("GET", "/audit", [EVENT])
    shown = run("audit", SERVER, "-n", "5").stdout
    for part in ("ada@example.org", "server.shell", SERVER, "uptime"):
        assert part in shown
    (request,) = seaway.sent("GET", "/audit")
    assert dict(request.url.params) == {"resource_uuid": SERVER, "limit": "5"}
    assert json.loads(run("audit", "--json").stdout) == [EVENT]


@pytest.fixture
def named(seaway: StubSeaway) -> StubSeaway:
    """A Seaway with one of everything that has a name; `demo` is an application."""
    seaway.on("GET", "/audit", [EVENT])
    seaway.on("GET", "/servers", [{"uuid": SERVER, "name": "harbour", "ip": "192.0.2.7"}])
    seaway.on("GET", "/security/keys", [{"uuid": KEY, "name": "deploy", "fingerprint": "SHA256:x"}])
    seaway.on("GET", "/registries", [{"uuid": "r" * 24, "name": "ghcr.io", "host": "ghcr.io"}])
    return seaway


@pytest.mark.parametrize(
    ("name", "uuid"), [("demo", APPLICATION), ("harbour", SERVER), ("deploy", KEY), ("GHCR.io", "r" * 24)]
)
def test_what_was_done_to_something_is_asked_by_its_name(
    named: StubSeaway, run: Run, name: str, uuid: str
) -> None:
    assert run("audit", name).exit_code == 0
    (request,) = named.sent("GET", "/audit")
    assert request.url.params["resource_uuid"] == uuid


def test_a_uuid_is_asked_as_it_is_also_of_what_is_gone(seaway: StubSeaway, run: Run) -> None:
    seaway.on("GET", "/audit", [])
    assert run("audit", "g" * 24).exit_code == 0
    assert [request.url.path for request in seaway.requests] == ["/api/v1/audit"]


def test_a_name_of_nothing_or_of_two_things_is_not_asked_about(named: StubSeaway, run: Run) -> None:
    nothing = run("audit", "harbor")
    assert (nothing.exit_code, "Did you mean 'harbour'?" in nothing.stderr) == (5, True)
    named.on("GET", "/security/keys", [{"uuid": KEY, "name": "demo", "fingerprint": "SHA256:x"}])
    twice = run("audit", "demo")
    assert twice.exit_code == 2
    for part in (KEY, "SHA256:x", APPLICATION):
        assert part in twice.stderr
    assert not named.sent("GET", "/audit")


@pytest.mark.parametrize("command", [("audit",), ("server", "events"), ("server", "events", "harbour")])
def test_earlier_events_are_asked_for_by_a_time(
    named: StubSeaway, run: Run, command: tuple[str, ...]
) -> None:
    for path in ("/servers/events", f"/servers/{SERVER}/events"):
        named.on("GET", path, [])
    times = ("2026-01-02T03:04:05Z", "2026-01-02T04:04:05+01:00", "2026-01-02 03:04:05")
    for time in times:
        assert run(*command, "--before", time).exit_code == 0
    asked = [request.url.params["before"] for request in named.requests if "before" in request.url.params]
    here = datetime(2026, 1, 2, 3, 4, 5).astimezone()
    expected = [datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)] * 2 + [here]
    assert [datetime.fromisoformat(one) for one in asked] == expected
    refused = run(*command, "--before", "yesterday")
    assert (refused.exit_code, "ISO 8601" in refused.stderr) == (2, True)


def test_where_nobody_did_anything_it_says_so(seaway: StubSeaway, run: Run) -> None:
    seaway.on("GET", "/audit", [])
    assert "Nobody did anything" in run("audit").stderr
