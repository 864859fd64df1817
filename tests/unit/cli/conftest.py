from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from seaway.cli import session
from seaway.cli.client import SeawayClient
from seaway.cli.commands import contexts
from seaway.cli.context import Connection
from seaway.cli.main import application
from seaway.cli.rest import RestClient
from tests.unit.cli import stub_seaway
from tests.unit.cli.stub_seaway import APPLICATION, DEPLOYMENT, StubSeaway

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, and an environment that says nothing about any Seaway."""
    for name in ("SEAWAY_URL", "SEAWAY_TOKEN", "SEAWAY_CONTEXT", "XDG_CONFIG_HOME", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SEAWAY_DATA_DIR", str(tmp_path / "data"))
    return tmp_path


@pytest.fixture
def seaway(monkeypatch: pytest.MonkeyPatch) -> StubSeaway:
    """A Seaway with the application `demo`, which the command talks to."""
    stub = StubSeaway()
    stub.on("GET", "/applications", [stub_seaway.application()])
    stub.on("GET", f"/applications/{APPLICATION}", stub_seaway.application())
    receipt = {"message": "Deployment queued.", "resource_uuid": APPLICATION, "deployment_uuid": DEPLOYMENT}
    stub.on("POST", "/deploy", {"deployments": [receipt]})
    stub.on("GET", f"/deployments/{DEPLOYMENT}/log", {"lines": [], "next_after": 0, "is_open": False})

    def open_client(connection: Connection) -> SeawayClient:
        return SeawayClient(RestClient(connection, httpx.MockTransport(stub)))

    monkeypatch.setattr(session, "open_client", open_client)
    monkeypatch.setattr(contexts, "open_client", open_client)
    monkeypatch.setattr("seaway.cli.watch.time.sleep", lambda _seconds: None)
    return stub


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command as its user would, with a log-in from the environment."""
    monkeypatch.setenv("SEAWAY_URL", "http://seaway.test")
    monkeypatch.setenv("SEAWAY_TOKEN", "1|secret-token")
    runner = CliRunner()

    def invoke(*arguments: str, stdin: str | None = None) -> Result:
        return runner.invoke(application, list(arguments), input=stdin)

    return invoke
