from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from tests.unit.cli.conftest import Run
from tests.unit.cli.stub_seaway import APPLICATION, KEY, PROJECT, SERVER, StubSeaway, problem

ENVS = f"/applications/{APPLICATION}/envs"


@pytest.fixture
def variables(seaway: StubSeaway) -> StubSeaway:
    """An application with one variable."""
    one = {"uuid": "v" * 24, "key": "A", "value": "hidden", "real_value": "hidden", "is_preview": False}
    seaway.on("GET", ENVS, [one])
    seaway.on("PATCH", f"{ENVS}/bulk", [])
    seaway.on("DELETE", f"{ENVS}/{'v' * 24}", {"message": "Environment variable deleted."})
    return seaway


def test_values_are_shown_only_when_asked_for(variables: StubSeaway, run: Run) -> None:
    assert "hidden" not in run("env", "list", "demo").stdout
    assert "hidden" not in run("env", "list", "demo", "--json").stdout
    assert "hidden" in run("env", "list", "demo", "--show").stdout
    assert json.loads(run("env", "list", "demo", "--show", "--json").stdout)[0]["value"] == "hidden"


def test_variables_are_set_together_and_their_values_not_repeated(variables: StubSeaway, run: Run) -> None:
    result = run("env", "set", "demo", "B=1", "C=two=2", "--secret")
    assert result.exit_code == 0, result.output
    secret = {"is_build_secret": True, "is_buildtime": True, "is_runtime": False}
    assert variables.body("PATCH", f"{ENVS}/bulk") == {
        "data": [{"key": "B", "value": "1", **secret}, {"key": "C", "value": "two=2", **secret}]
    }
    assert "two=2" not in result.output


def test_a_file_of_variables_is_imported_with_its_last_values(
    variables: StubSeaway, run: Run, tmp_path: Path
) -> None:
    file = tmp_path / ".env"
    file.write_text("# comment\nA=1\nB='$literal'\nA=2\n")
    assert run("env", "import", "demo", str(file)).exit_code == 0
    assert variables.body("PATCH", f"{ENVS}/bulk") == {
        "data": [
            {"key": "A", "value": "2", "is_literal": False},
            {"key": "B", "value": "$literal", "is_literal": True},
        ]
    }
    assert run("env", "import", "demo", str(tmp_path / "none")).exit_code == 2
    assert run("env", "import", "demo", "-", stdin="# nothing\n").exit_code == 2


def test_unset_removes_all_or_nothing(variables: StubSeaway, run: Run) -> None:
    assert run("env", "unset", "demo", "A", "NONE").exit_code == 5
    assert not [request for request in variables.requests if request.method == "DELETE"]
    assert run("env", "unset", "demo", "A").exit_code == 0
    assert len([request for request in variables.requests if request.method == "DELETE"]) == 1


def test_projects_are_listed_with_their_environments_and_created(seaway: StubSeaway, run: Run) -> None:
    seaway.on("GET", "/projects", [{"uuid": PROJECT, "name": "shop"}])
    seaway.on("GET", f"/projects/{PROJECT}/environments", [{"name": "production"}, {"name": "staging"}])
    seaway.on("POST", "/projects", {"uuid": PROJECT})
    assert "production, staging" in run("project", "list").stdout
    assert json.loads(run("project", "create", "new", "--json").stdout) == {"uuid": PROJECT, "name": "new"}


def test_servers_are_listed(seaway: StubSeaway, run: Run) -> None:
    seaway.on("GET", "/servers", [{"uuid": SERVER, "name": "local", "ip": "127.0.0.1", "user": "root"}])
    assert "root@127.0.0.1:22" in run("server", "list").stdout


def test_a_key_comes_from_a_file_and_is_never_shown(seaway: StubSeaway, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("PRIVATE")
    seaway.on("POST", "/security/keys", {"uuid": KEY})
    seaway.on("GET", "/security/keys", [{"uuid": KEY, "name": "deploy", "private_key": "PRIVATE"}])
    seaway.on("DELETE", f"/security/keys/{KEY}", {"message": "Private Key deleted."})
    assert "PRIVATE" not in run("key", "add", "deploy", str(file)).output
    assert seaway.body("POST", "/security/keys")["private_key"] == "PRIVATE"
    assert "PRIVATE" not in run("key", "list", "--json").stdout
    assert run("key", "rm", "deploy").exit_code == 0
    assert len(seaway.sent("DELETE", f"/security/keys/{KEY}")) == 1


def test_a_key_is_changed_and_only_what_was_said_is_sent(
    seaway: StubSeaway, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/security/keys/{KEY}"
    seaway.on("GET", "/security/keys", [{"uuid": KEY, "name": "deploy"}])
    seaway.on("PATCH", path, {"uuid": KEY, "name": "deploy", "private_key": "PRIVATE"})
    assert run("key", "set", "deploy", "--name", "new", "--description", "").exit_code == 0
    assert seaway.body("PATCH", path) == {"name": "new", "description": ""}
    file = tmp_path / "key"
    file.write_text("PRIVATE")
    monkeypatch.setenv("SEAWAY_KEY_PASSPHRASE", "sesame")
    result = run("key", "set", "deploy", "--file", str(file))
    assert json.loads(seaway.requests[-1].content) == {"private_key": "PRIVATE", "passphrase": "sesame"}
    assert "PRIVATE" not in result.output + run("key", "set", "deploy", "--name", "new", "--json").output


@pytest.mark.parametrize("arguments", [[], ["--passphrase"], ["--name", "new", "--passphrase"]])
def test_a_key_is_not_changed_by_nothing_or_a_passphrase_alone(
    seaway: StubSeaway, run: Run, arguments: list[str]
) -> None:
    seaway.on("GET", "/security/keys", [{"uuid": KEY, "name": "deploy"}])
    assert run("key", "set", "deploy", *arguments).exit_code == 2
    assert not seaway.sent("PATCH", f"/security/keys/{KEY}")


def test_login_checks_the_token_before_it_saves_it(seaway: StubSeaway, run: Run, home: Path) -> None:
    file = home / ".config" / "seaway" / "config.json"
    seaway.on("GET", "/version", {"version": "1.2.3"})
    seaway.on("GET", "/projects", problem(401, "Unauthenticated.", "unauthenticated"))
    refused = run("login", "https://seaway.example.com", "--token-stdin", stdin="wrong\n")
    assert refused.exit_code == 4
    assert not file.exists()
    seaway.on("GET", "/projects", [])
    result = run("login", "https://seaway.example.com", "--token-stdin", "--name", "p", stdin="right\n")
    assert result.exit_code == 0, result.output
    assert "right" not in result.output
    assert seaway.requests[-1].headers["Authorization"] == "Bearer right"
    assert json.loads(file.read_text())["contexts"]["p"] == {
        "url": "https://seaway.example.com",
        "token": "right",
    }
    assert "right" not in run("context", "list", "--json").stdout
    assert run("context", "use", "nope").exit_code == 2
    assert run("context", "rm", "p").exit_code == 0


def test_version_works_without_any_seaway(seaway: StubSeaway, run: Run) -> None:
    document = json.loads(run("version", "--json").stdout)
    assert document["command"]
    assert document["server"] is None


def test_an_answer_that_is_not_from_seaway_is_said_to_be_so(seaway: StubSeaway, run: Run) -> None:
    seaway.on("GET", "/applications", lambda _request: httpx.Response(502, text="<html>Bad"))
    result = run("status")
    assert result.exit_code == 4
    assert "not as Seaway answers" in result.stderr


def test_an_answer_of_another_shape_is_said_to_be_so(seaway: StubSeaway, run: Run) -> None:
    seaway.on("GET", "/applications", [{"no": "uuid"}])
    result = run("status")
    assert result.exit_code == 1
    assert "Compare `seaway version`" in result.stderr
