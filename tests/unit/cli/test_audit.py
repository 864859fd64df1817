"""Who did what, on the command line."""

from __future__ import annotations

import json

from tests.unit.cli.conftest import Run
from tests.unit.cli.stub_seaway import SERVER, START, StubSeaway

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


def test_where_nobody_did_anything_it_says_so(seaway: StubSeaway, run: Run) -> None:
    seaway.on("GET", "/audit", [])
    assert "Nobody did anything" in run("audit").stderr
