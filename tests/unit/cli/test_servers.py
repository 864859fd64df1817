from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.conftest import Run
from tests.unit.cli.stub_seaway import (
    APPLICATION,
    END,
    KEY,
    SERVER,
    START,
    StubSeaway,
    application,
    problem,
)

PATH = f"/servers/{SERVER}"
OTHER_KEY = "o" * 24
FINGERPRINT, OTHER = "SHA256:first", "SHA256:second"


def server(status: str = "usable", **changes: Any) -> dict[str, Any]:
    return {
        "uuid": SERVER,
        "name": "harbour",
        "ip": "192.0.2.7",
        "user": "root",
        "port": 22,
        "status": status,
        "status_message": None,
        "is_usable": status == "usable",
        "host_key_fingerprint": FINGERPRINT,
        "engine_version": "20.10.24",
        "system": "Debian 12",
        **changes,
    }


def step(name: str, status: str, **changes: Any) -> dict[str, Any]:
    ended = END if status in ("succeeded", "failed") else None
    times = {"started_at": START, "finished_at": ended}
    return {
        "name": name,
        "title": name.title(),
        "status": status,
        "attempt": 1,
        "message": "",
        **times,
    } | changes


@pytest.fixture
def harbour(seaway: StubSeaway, monkeypatch: pytest.MonkeyPatch) -> StubSeaway:
    """A Seaway with one server and one key."""
    monkeypatch.setattr("seaway.cli.server_progress.time.sleep", lambda _seconds: None)
    seaway.on("GET", "/servers", [server()])
    seaway.on("GET", PATH, server())
    seaway.on("GET", f"{PATH}/builds", [])
    seaway.on("GET", f"{PATH}/steps", [step("reach", "succeeded")])
    seaway.on("GET", f"{PATH}/events", [])
    seaway.on("GET", "/security/keys", [{"uuid": KEY, "name": "deploy"}])
    return seaway


def test_adding_shows_the_fingerprint_and_each_step_once(harbour: StubSeaway, run: Run) -> None:
    harbour.on("POST", "/servers", server("provisioning"))
    harbour.on("GET", PATH, server("provisioning"), server("provisioning"), server("usable"))
    harbour.on(
        "GET",
        f"{PATH}/steps",
        [step("reach", "succeeded"), step("engine", "running")],
        [step("reach", "succeeded"), step("engine", "running", attempt=2)],
        [step("reach", "succeeded"), step("engine", "succeeded", attempt=2, message="installed")],
    )
    result = run("server", "add", "192.0.2.7", "--name", "harbour", "--port", "2222", "--user", "deploy")
    assert result.exit_code == 0, result.output
    assert harbour.body("POST", "/servers") == {
        "ip": "192.0.2.7",
        "name": "harbour",
        "user": "deploy",
        "port": 2222,
        "private_key_uuid": KEY,
        "instant_validate": True,
    }
    assert FINGERPRINT in result.stderr
    assert result.stderr.count("✓ Reach (12.5 s)") == 1
    assert "→ Engine (attempt 2)" in result.stderr
    assert "✓ Engine (attempt 2, 12.5 s): installed" in result.stderr
    assert "✓ harbour is usable: Debian 12, Docker 20.10.24" in result.stdout


def test_a_server_that_does_not_become_usable_fails_with_the_reason_and_the_evidence(
    harbour: StubSeaway, run: Run
) -> None:
    harbour.on("POST", "/servers", server("provisioning"))
    harbour.on("GET", PATH, server("not_usable", status_message="Docker could not be installed."))
    failed = step("engine", "failed", message="apt failed", detail="E: no space\nE: left")
    harbour.on("GET", f"{PATH}/steps", [failed])
    result = run("server", "add", "192.0.2.7")
    assert result.exit_code == 1
    assert "✗ Engine (12.5 s): apt failed" in result.stderr
    assert "E: no space\n  E: left" in result.stderr
    assert "✗ harbour is not usable." in result.stdout
    assert "Docker could not be installed." in result.stdout
    document = json.loads(run("server", "add", "192.0.2.7", "--json").stdout)
    assert (document["status"], document["steps"][0]["detail"]) == ("not_usable", "E: no space\nE: left")


def test_no_wait_returns_at_once(harbour: StubSeaway, run: Run) -> None:
    harbour.on("POST", "/servers", server("provisioning"))
    harbour.on("GET", PATH, server("provisioning"))
    result = run("server", "add", "192.0.2.7", "--no-wait", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["status"] == "provisioning"
    assert not harbour.sent("GET", f"{PATH}/steps")


def test_a_key_is_stored_from_a_file_with_the_passphrase_that_is_asked_for(
    harbour: StubSeaway, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "key"
    file.write_text("PRIVATE")
    harbour.on("POST", "/security/keys", {"uuid": KEY, "name": "harbour"})
    harbour.on("POST", "/servers", server())
    arguments = ("server", "add", "192.0.2.7", "--name", "harbour", "--key-file", str(file), "--passphrase")
    result = run(*arguments, stdin="hunter2\n")
    assert result.exit_code == 0, result.output
    assert "hunter2" not in result.output
    body = {"name": "harbour", "description": "", "private_key": "PRIVATE", "passphrase": "hunter2"}
    assert harbour.body("POST", "/security/keys") == body
    monkeypatch.setenv("SEAWAY_KEY_PASSPHRASE", "from here")
    assert run("key", "add", "second", str(file)).exit_code == 0
    assert json.loads(harbour.sent("POST", "/security/keys")[1].content)["passphrase"] == "from here"


@pytest.mark.parametrize("status", [409, 422])
def test_a_server_that_is_refused_leaves_no_key_behind(
    harbour: StubSeaway, run: Run, tmp_path: Path, status: int
) -> None:
    file = tmp_path / "key"
    file.write_text("PRIVATE")
    code = "conflict" if status == 409 else "invalid_input"
    harbour.on("POST", "/security/keys", {"uuid": OTHER_KEY, "name": "harbour"})
    harbour.on("DELETE", f"/security/keys/{OTHER_KEY}", {"message": "Private Key deleted."})
    harbour.on("POST", "/servers", problem(status, "It is the server 'harbour' already.", code))
    result = run("server", "add", "192.0.2.7", "--key-file", str(file))
    assert result.exit_code == 2
    assert len(harbour.sent("DELETE", f"/security/keys/{OTHER_KEY}")) == 1
    assert ("`seaway server set`" in result.stderr) is (status == 409)
    assert ("`seaway server validate`" in result.stderr) is (status == 409)
    assert run("server", "add", "192.0.2.7", "--key", "deploy").exit_code == 2
    assert len(harbour.sent("DELETE", f"/security/keys/{OTHER_KEY}")) == 1, "a key of before stays"


def test_limits_of_builds_are_given_back_to_the_settings_for_all(harbour: StubSeaway, run: Run) -> None:
    harbour.on("PATCH", PATH, server())
    limits = ("--build-cpu-percent", "usual", "--build-memory-percent", "0")
    assert run("server", "set", "harbour", *limits).exit_code == 0
    assert harbour.body("PATCH", PATH) == {"build_cpu_percent": None, "build_memory_percent": 0}
    refused = run("server", "set", "harbour", "--build-cpu-percent", "101")
    assert refused.exit_code == 2
    assert "0 to 100" in refused.stderr


def test_a_key_that_needs_a_passphrase_is_refused_where_nobody_can_be_asked(
    harbour: StubSeaway, run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "key"
    file.write_text("PRIVATE")
    said = "The key is protected by a passphrase. Give it as well."
    errors = {"passphrase": [said]}
    harbour.on("POST", "/security/keys", problem(422, "Validation failed.", "invalid_input", errors=errors))
    result = run("key", "add", "deploy", str(file))
    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.parametrize("keys", [[], [{"uuid": KEY, "name": "a"}, {"uuid": "l" * 24, "name": "b"}]])
def test_the_key_must_be_clear(harbour: StubSeaway, run: Run, keys: list[dict[str, str]]) -> None:
    harbour.on("GET", "/security/keys", keys)
    result = run("server", "add", "192.0.2.7")
    assert result.exit_code == 2
    assert "--key" in result.stderr
    assert not harbour.sent("POST", "/servers")


def test_a_generated_key_shows_its_public_part_only(harbour: StubSeaway, run: Run) -> None:
    made = {
        "uuid": KEY,
        "name": "new",
        "public_key": "ssh-ed25519 AAAA",
        "fingerprint": FINGERPRINT,
        "private_key": "PRIVATE",
    }
    harbour.on("POST", "/security/keys/generate", made)
    harbour.on("GET", "/security/keys", [made])
    result = run("key", "generate", "new")
    assert "ssh-ed25519 AAAA" in result.stdout
    assert FINGERPRINT in result.stdout
    for arguments in (
        ("key", "generate", "new", "--json"),
        ("key", "show", "new"),
        ("key", "show", "new", "--json"),
    ):
        shown = run(*arguments).stdout
        assert "ssh-ed25519 AAAA" in shown
        assert "PRIVATE" not in shown


def test_servers_and_steps_are_shown(harbour: StubSeaway, run: Run) -> None:
    harbour.on("GET", "/servers", [server("host_key_changed", ip="2001:db8::7", user="deploy")])
    listed = run("server", "list").stdout
    assert "this machine" not in listed
    assert "host key changed" in listed
    assert "deploy@[2001:db8::7]:22" in listed
    assert "20.10.24" in run("server", "show", "harbour").stdout
    assert "12.5 s" in run("server", "steps", "harbour").stdout
    assert json.loads(run("server", "steps", "harbour", "--json").stdout)[0]["name"] == "reach"


def test_a_list_of_servers_says_what_each_is_for(harbour: StubSeaway, run: Run) -> None:
    fleet = [
        server(name="local", is_coolify_host=True, is_build_server=True, is_swarm_manager=True),
        server(name="anvil", is_build_server=True),
        server(name="node", is_swarm_worker=True),
        server(name="plain"),
    ]
    harbour.on("GET", "/servers", fleet)
    local, anvil, node, other = run("server", "list").stdout.splitlines()[1:]
    assert "Seaway runs here, Swarm manager" in local
    assert " builds " in anvil
    assert " Swarm worker " in node
    assert not {"Seaway", "builds", "Swarm"} & set(other.split())
    assert " builds" not in local


def test_the_evidence_of_a_step_that_failed_is_shown_below_the_steps(harbour: StubSeaway, run: Run) -> None:
    failed = step("engine", "failed", message="apt failed", detail="E: no space\nE: left\x1b[2J")
    harbour.on("GET", f"{PATH}/steps", [step("reach", "succeeded", detail="of no interest"), failed])
    shown = run("server", "steps", "harbour").stdout
    assert shown.endswith("✗ Engine\n  E: no space\n  E: left\n")
    assert "of no interest" not in shown


def test_validating_tells_a_first_contact_that_failed_like_any_other_step(
    harbour: StubSeaway, run: Run
) -> None:
    harbour.on("POST", f"{PATH}/validate", problem(503, "Nothing listens.", "server_unreachable"))
    harbour.on("GET", PATH, server("unreachable", status_message="Nothing listens."))
    failed = step("reach", "failed", message="Nothing listens.")
    harbour.on("GET", f"{PATH}/steps", [], [failed])
    result = run("server", "validate", "harbour")
    assert result.exit_code == 1
    assert "✗ Reach (12.5 s): Nothing listens." in result.stderr
    assert "harbour is unreachable" in result.stdout


def test_a_changed_host_key_is_an_alarm_that_shows_both(harbour: StubSeaway, run: Run) -> None:
    harbour.on("POST", f"{PATH}/validate", {"message": "Validation started."})
    harbour.on("GET", PATH, server("host_key_changed", shown_host_key_fingerprint=OTHER))
    result = run("server", "validate", "harbour")
    assert result.exit_code == 1
    assert f"pinned: {FINGERPRINT}" in result.stdout
    assert f"shown:  {OTHER}" in result.stdout
    assert "seaway server accept-host-key harbour" in result.stdout


def test_a_changed_host_key_of_the_jump_host_is_not_to_be_accepted_at_who_is_behind_it(
    harbour: StubSeaway, run: Run
) -> None:
    told = "It is the jump host on the way to 192.0.2.7:22: accept the key at the jump host."
    harbour.on("POST", f"{PATH}/validate", {"message": "Validation started."})
    changed = server("host_key_changed", status_message=told)
    harbour.on("GET", PATH, changed)
    harbour.on("GET", "/servers", [changed])
    result = run("server", "validate", "harbour")
    assert result.exit_code == 1
    assert told in result.stdout
    shown = run("server", "show", "harbour")
    assert told in shown.stderr
    for output in (result.output, shown.output):
        assert "accept-host-key" not in output
        assert "harbour shows another" not in output


def test_a_host_key_is_accepted_by_its_fingerprint_and_never_unseen(harbour: StubSeaway, run: Run) -> None:
    harbour.on("GET", f"{PATH}/host-key", {"pinned_fingerprint": FINGERPRINT, "shown_fingerprint": OTHER})
    harbour.on("POST", f"{PATH}/host-key/accept", server("provisioning"))
    unseen = run("server", "accept-host-key", "harbour")
    assert unseen.exit_code == 2
    assert OTHER in unseen.stderr
    assert not harbour.sent("POST", f"{PATH}/host-key/accept")
    assert run("server", "accept-host-key", "harbour", OTHER).exit_code == 0
    assert harbour.body("POST", f"{PATH}/host-key/accept") == {"fingerprint": OTHER}


def test_a_server_is_removed_when_it_is_gone(harbour: StubSeaway, run: Run) -> None:
    harbour.on("DELETE", PATH, {"message": "Server deletion started."})
    assert run("server", "rm", "harbour").exit_code == 2
    assert not harbour.sent("DELETE", PATH)
    harbour.on("GET", PATH, server("removing"), problem(404, "There is no such server.", "not_found"))
    result = run("server", "rm", "harbour", "--yes", "--with-applications")
    assert result.exit_code == 0, result.output
    assert "harbour is removed" in result.stdout
    assert harbour.sent("DELETE", PATH)[0].url.params["delete_resources"] == "true"
    harbour.on("DELETE", PATH, {"message": "Server deletion started. What stays: its volumes."})
    harbour.on("GET", PATH, server("removing"), problem(404, "There is no such server.", "not_found"))
    forgotten = run("server", "rm", "harbour", "--yes", "--forget")
    assert "What stays: its volumes." in forgotten.stderr
    assert harbour.sent("DELETE", PATH)[-1].url.params["forget"] == "true"
    refusal = problem(400, "On the server 'harbour' live shop.", "not_possible_now")
    harbour.on("DELETE", PATH, refusal)
    refused = run("server", "rm", "harbour", "--yes")
    assert refused.exit_code == 1
    assert "live shop" in refused.stderr


def test_a_refused_removal_tells_why_although_the_server_stands_as_before(
    harbour: StubSeaway, run: Run
) -> None:
    def refused(uuid: str, message: str) -> dict[str, Any]:
        return {"uuid": uuid, "kind": "removal_refused", "at": START, "message": message}

    before = refused("one", "Not removed, because it is needed by blog.")
    after = refused("two", "Not removed, because it is needed by shop.")
    harbour.on("DELETE", PATH, {"message": "Server deletion started."})
    harbour.on("GET", PATH, server("removing"), server("usable"))
    harbour.on("GET", f"{PATH}/events", [before], [after, before])
    result = run("server", "rm", "harbour", "--yes")
    assert result.exit_code == 1
    assert "harbour is not removed" in result.stdout
    assert "needed by shop" in result.stdout
    assert "blog" not in result.stdout
    assert "is usable" not in result.stdout


def test_an_application_is_put_on_several_servers(harbour: StubSeaway, run: Run) -> None:
    second = "t" * 24
    harbour.on("GET", "/servers", [server(), server(uuid=second, name="pier")])
    harbour.on("GET", "/projects", [{"uuid": "p" * 24, "name": "default"}])
    harbour.on("GET", f"/projects/{'p' * 24}/environments", [{"name": "production"}])
    harbour.on("POST", "/applications/dockerimage", {"uuid": "a" * 24, "name": "web"})
    places = ("--server", "harbour", "--server", "pier", "--edge", "pier", "--min-available", "1")
    result = run("app", "create", "web", "--image", "nginx", *places)
    assert result.exit_code == 0, result.output
    body = harbour.body("POST", "/applications/dockerimage")
    assert body["server_uuids"] == [SERVER, second]
    assert "server_uuid" not in body
    assert body["edge_server_uuid"] == second
    assert body["min_available"] == 1


@pytest.mark.parametrize(("written", "sent"), [("harbour", SERVER), ("null", None)])
def test_an_edge_is_named_as_people_call_it(
    harbour: StubSeaway, run: Run, written: str, sent: str | None
) -> None:
    path = f"/applications/{APPLICATION}"
    harbour.on("GET", "/applications", [application(edge_server_uuid=None)])
    harbour.on("PATCH", path, application())
    result = run("app", "set", "demo", f"edge={written}")
    assert result.exit_code == 0, result.output
    assert harbour.body("PATCH", path) == {"edge_server_uuid": sent}


def test_steps_of_an_earlier_time_are_no_news(harbour: StubSeaway, run: Run) -> None:
    old = [step("reach", "succeeded"), step("engine", "failed", message="then")]
    new = [step("reach", "succeeded", started_at="2026-01-02T03:04:10+00:00"), step("engine", "pending")]
    harbour.on("POST", f"{PATH}/validate", {"message": "Validation started."})
    harbour.on("GET", PATH, server("provisioning"), server("provisioning"), server("usable"))
    harbour.on("GET", f"{PATH}/steps", old, old, new)
    result = run("server", "validate", "harbour")
    assert result.exit_code == 0, result.output
    assert "then" not in result.output
    assert result.stderr.count("Reach") == 1
    assert "✓ Reach (7.5 s)" in result.stderr


def test_a_change_is_sent_as_given_and_a_new_way_in_is_followed(harbour: StubSeaway, run: Run) -> None:
    harbour.on("PATCH", PATH, server(name="pier"))
    assert run("server", "set", "harbour").exit_code == 2
    renamed = run("server", "set", "harbour", "--name", "pier", "--no-build-server")
    assert renamed.exit_code == 0, renamed.output
    assert harbour.body("PATCH", PATH) == {"name": "pier", "is_build_server": False}
    harbour.requests.clear()
    harbour.on("PATCH", PATH, server("provisioning"))
    harbour.on("GET", PATH, server("provisioning"), server("not_usable", status_message="No such user."))
    moved = run("server", "set", "harbour", "--user", "deploy", "--key", "deploy", "--jump", "none")
    assert moved.exit_code == 1
    assert "No such user." in moved.stdout
    assert harbour.body("PATCH", PATH) == {
        "user": "deploy",
        "private_key_uuid": KEY,
        "jump_server_uuid": None,
    }
