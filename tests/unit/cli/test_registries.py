from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run
from tests.unit.cli.stub_seaway import PROJECT, SERVER, StubSeaway, problem

REGISTRY = "r" * 24
CHECK = f"/registries/{REGISTRY}/check"
KNOWN = {
    "uuid": REGISTRY,
    "name": "main",
    "host": "ghcr.io",
    "username": "robot",
    "password": "hunter2",
    "project_uuid": PROJECT,
}


@pytest.fixture
def registries(seaway: StubSeaway) -> StubSeaway:
    """A Seaway with one login."""
    seaway.on("GET", "/registries", [KNOWN])
    seaway.on("POST", "/registries", KNOWN)
    seaway.on("GET", "/projects", [{"uuid": PROJECT, "name": "shop"}])
    seaway.on("POST", CHECK, {"state": "fine", "message": "It lets robot in.", "detail": None})
    seaway.on("DELETE", f"/registries/{REGISTRY}", {"message": "Registry deleted."})
    return seaway


def test_logins_are_listed_without_their_passwords(registries: StubSeaway, run: Run) -> None:
    listed = run("registry", "list").output
    assert "ghcr.io" in listed
    assert "shop" in listed
    assert "hunter2" not in listed + run("registry", "list", "--json").output


@pytest.mark.parametrize("way", ["prompt", "file", "standard input", "variable"])
def test_a_password_comes_in_by_every_way_but_an_argument(
    registries: StubSeaway, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    arguments = ["registry", "add", "ghcr.io", "--username", "robot", "--project", "shop"]
    if way == "file":
        (tmp_path / "password").write_text("hunter2")
        arguments += ["--password-file", str(tmp_path / "password")]
    elif way == "standard input":
        arguments += ["--password-file", "-"]
    elif way == "variable":
        monkeypatch.setenv("SEAWAY_REGISTRY_PASSWORD", "hunter2")
    result = run(*arguments, stdin="hunter2" if way == "standard input" else "hunter2\n")
    assert result.exit_code == 0, result.output
    assert registries.body("POST", "/registries") == {
        "host": "ghcr.io",
        "username": "robot",
        "password": "hunter2",
        "project_uuid": PROJECT,
    }
    assert "hunter2" not in result.output
    assert "It lets robot in." in result.stdout


def test_a_login_that_is_refused_is_stored_and_said_to_be_refused(registries: StubSeaway, run: Run) -> None:
    refusal = {"state": "wrong_credentials", "message": "It refuses robot.", "detail": "401"}
    registries.on("POST", CHECK, refusal)
    result = run("registry", "add", "ghcr.io", "--username", "robot", stdin="hunter2\n")
    assert result.exit_code == 1
    assert "Stored" in result.stdout
    assert "It refuses robot." in result.stdout


def test_a_login_that_cannot_be_tried_is_said_to_be_stored(registries: StubSeaway, run: Run) -> None:
    registries.on("POST", CHECK, problem(400, "The team has no usable server.", "not_possible_now"))
    result = run("registry", "add", "ghcr.io", "--username", "robot", stdin="hunter2\n")
    assert result.exit_code == 1
    assert "Stored" in result.stderr
    assert "no usable server" in result.stderr


def test_a_changed_login_is_tried_and_a_new_name_alone_is_not(registries: StubSeaway, run: Run) -> None:
    registries.on("PATCH", f"/registries/{REGISTRY}", KNOWN)
    result = run("registry", "set", "main", "--username", "robot", "--password", stdin="hunter2\n")
    assert result.exit_code == 0, result.output
    sent = registries.body("PATCH", f"/registries/{REGISTRY}")
    assert sent == {"username": "robot", "password": "hunter2"}
    assert "Changed username, password of main." in result.stdout
    assert "It lets robot in." in result.stdout
    assert "hunter2" not in result.output
    assert run("registry", "set", "ghcr.io", "--host", "https://GHCR.io/", "--name", "main").exit_code == 0
    assert run("registry", "set", "ghcr.io", "--name", "main").exit_code == 0
    assert len(registries.sent("POST", CHECK)) == 2


@pytest.mark.parametrize("way", ["prompt", "file", "variable"])
def test_another_registry_is_given_its_own_password(
    registries: StubSeaway, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    registries.on("PATCH", f"/registries/{REGISTRY}", KNOWN)
    arguments = ["registry", "set", "main", "--host", "registry.example.com"]
    if way == "file":
        (tmp_path / "password").write_text("hunter2")
        arguments += ["--password-file", str(tmp_path / "password")]
    elif way == "variable":
        monkeypatch.setenv("SEAWAY_REGISTRY_PASSWORD", "hunter2")
    result = run(*arguments, stdin="hunter2\n" if way == "prompt" else "")
    assert result.exit_code == 0, result.output
    sent = registries.body("PATCH", f"/registries/{REGISTRY}")
    assert sent == {"host": "registry.example.com", "password": "hunter2"}


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        (["--name", "better"], {"name": "better"}),
        (["--username", "robot"], {"username": "robot"}),
        (["--host", "ghcr.io"], {"host": "ghcr.io"}),
        (["--password"], {"password": "hunter2"}),
    ],
)
def test_a_password_in_the_environment_goes_only_to_the_login_that_is_given_one(
    registries: StubSeaway,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    sent: dict[str, str],
) -> None:
    registries.on("PATCH", f"/registries/{REGISTRY}", KNOWN)
    monkeypatch.setenv("SEAWAY_REGISTRY_PASSWORD", "hunter2")
    assert run("registry", "set", "main", *arguments).exit_code == 0
    assert registries.body("PATCH", f"/registries/{REGISTRY}") == sent
    assert run("registry", "set", "main").exit_code == 2
    assert len(registries.sent("PATCH", f"/registries/{REGISTRY}")) == 1


def test_a_changed_login_that_is_refused_and_no_change_at_all_fail(registries: StubSeaway, run: Run) -> None:
    registries.on("PATCH", f"/registries/{REGISTRY}", KNOWN)
    registries.on("POST", CHECK, {"state": "wrong_credentials", "message": "It refuses robot."})
    assert run("registry", "set", "main", "--username", "robot").exit_code == 1
    nothing = run("registry", "set", "main")
    assert nothing.exit_code == 2
    assert "Say what to change" in nothing.stderr
    assert len(registries.sent("PATCH", f"/registries/{REGISTRY}")) == 1


def test_a_check_is_from_the_server_that_was_named(registries: StubSeaway, run: Run) -> None:
    registries.on("GET", "/servers", [{"uuid": SERVER, "name": "edge", "ip": "192.0.2.1"}])
    result = run("registry", "check", "GHCR.io", "--server", "edge", "--json")
    assert (result.exit_code, json.loads(result.stdout)["state"]) == (0, "fine")
    assert registries.body("POST", CHECK) == {"server_uuid": SERVER}
    registries.on("POST", CHECK, {"state": "unreachable", "message": "No way there."})
    assert run("registry", "check", "main").exit_code == 1


@pytest.mark.parametrize(
    "arguments", [("check", "main"), ("add", "ghcr.io", "--username", "robot"), ("set", "main", "--password")]
)
def test_a_silent_registry_is_waited_for_longer_than_seaway_waits(
    registries: StubSeaway, run: Run, arguments: tuple[str, ...]
) -> None:
    registries.on("PATCH", f"/registries/{REGISTRY}", KNOWN)
    assert run("registry", *arguments, stdin="hunter2\n").exit_code == 0
    (check,) = registries.sent("POST", CHECK)
    assert check.extensions["timeout"] == {"connect": 5.0, "read": 120.0, "write": 120.0, "pool": 120.0}
    (listed,) = registries.sent("GET", "/registries") or registries.sent("POST", "/registries")
    assert listed.extensions["timeout"]["read"] == 30.0


def test_a_login_is_removed_by_its_name(registries: StubSeaway, run: Run) -> None:
    assert run("registry", "rm", "main").exit_code == 0
    assert len(registries.sent("DELETE", f"/registries/{REGISTRY}")) == 1
    assert run("registry", "rm", "nothing").exit_code == 5
