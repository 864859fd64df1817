"""`seaway run` and `seaway exec`, from the command through the API to a real engine."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncssh
import httpx
import pytest
from pydantic import SecretStr
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from domain.deployments import DeploymentStatus
from domain.replicas import OWNER_LABEL, one_off_command_labels
from domain.terminals import WINDOW_BYTES
from seaway.cli.exit_codes import ExitCode
from seaway.terminals import remove_abandoned_commands
from store.tables import Deployment, Membership, PrivateKey, Server
from store.tables.applications import DesiredState
from tests.harness.processes import refusing_port
from tests.harness.waiting import eventually
from tests.integration.terminals.conftest import Site, read_until


@pytest.fixture
def run(site: Site) -> str:
    return f"/applications/{site.application}/run"


@pytest.fixture
def execute(site: Site) -> str:
    return f"/applications/{site.application}/exec"


async def all_gone(site: Site) -> None:
    await eventually(lambda: not site.one_off_containers(), 20, describe="the end of the container")


async def test_streams_stay_apart_and_the_exit_code_is_the_commands(site):
    script = "echo told; echo complained >&2; exit 7"
    assert await site.command("run", "shop", "--", "sh", "-c", script) == (7, "told\n", "complained\n")
    assert not site.one_off_containers()


async def test_the_command_has_the_applications_environment_its_arguments_and_no_input(site, run):
    script = 'echo "$API_TOKEN"; for a in "$@"; do echo "<$a>"; done; cat'
    told = await site.told(run, "sh", "-c", script, "x", "a b", "$HOME", "")
    assert (told["event"], told["code"]) == ("exit", 0)
    assert told["stdout"] == "s3cret-of-the-shop\n<a b>\n<$HOME>\n<>\n"


async def test_what_is_piped_in_reaches_the_command_whole_and_its_end_too(site):
    data = os.urandom(5 * WINDOW_BYTES)
    process = await site.start("run", "-i", "shop", "--", "sh", "-c", "cat; echo done >&2")
    async with asyncio.timeout(30):
        output, errors = await process.communicate(data)
    assert (process.returncode, errors) == (0, b"done\n")
    assert output == data


async def test_output_that_nobody_takes_holds_the_command_up_and_loses_nothing(site, run):
    size = 8 * WINDOW_BYTES
    async with site.talk(run, "sh", "-c", f"head -c {size} /dev/zero; echo end") as talk:
        await talk.until_output(b"\0")
        await talk.until_quiet(1)
        assert 0 < len(talk.stdout) <= WINDOW_BYTES
        assert site.one_off_containers()
        await talk.say(event="taken", bytes=len(talk.stdout))
        async with asyncio.timeout(30):
            told = await talk.rest()
    assert (told["code"], len(told["stdout"]), told["stdout"][-4:]) == (0, size + 4, "end\n")


async def test_more_input_than_was_asked_for_ends_the_conversation(site, run):
    async with asyncio.timeout(30), site.talk(run, "sleep", "600", interactive=True) as talk:
        await talk.hear()
        for _ in range(8):
            await talk.websocket.send(bytes(WINDOW_BYTES // 2))
        told = await talk.rest()
    assert (told["event"], told["code"]) == ("error", "invalid_input")
    await all_gone(site)


async def test_in_a_terminal_the_command_has_one_with_its_size_and_keys(site):
    process, person = await site.in_terminal("run", "-i", "shop", "--", "sh")
    try:
        await read_until(person, b"#")
        os.write(person, b"stty size; tty >/dev/null && echo is-$((1+1))-terminal\n")
        assert b"24 80" in await read_until(person, b"is-2-terminal")
        os.write(person, b"sleep 60\n")
        await read_until(person, b"sleep 60\r\n")
        os.write(person, b"\x03")
        os.write(person, b"echo after-$((40+2)); exit 3\n")
        await read_until(person, b"after-42")
        async with asyncio.timeout(20):
            assert await process.wait() == 3
    finally:
        os.close(person)
    assert not site.one_off_containers()


async def test_ctrl_c_ends_the_command_whose_exit_code_it_is(site):
    script = "trap 'echo interrupted; exit 9' INT; echo ready; while :; do sleep 0.1; done"
    process = await site.start("run", "shop", "--", "sh", "-c", script)
    assert await process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(20):
        assert await process.stdout.readline() == b"interrupted\n"
        assert await process.wait() == 9
    assert not site.one_off_containers()


@pytest.mark.drill
async def test_a_second_ctrl_c_leaves_a_command_that_does_not_mind_the_first_and_it_is_removed(site):
    process = await site.start("run", "shop", "--", "sh", "-c", "trap '' INT TERM; echo ready; sleep 600")
    assert await process.stdout.readline() == b"ready\n"
    ended = asyncio.ensure_future(process.wait())
    async with asyncio.timeout(20):
        while not ended.done():
            process.send_signal(signal.SIGINT)  # two at the same moment would be one
            await asyncio.wait([ended], timeout=0.2)
    assert ended.result() in (ExitCode.INTERRUPTED, -signal.SIGINT)
    await all_gone(site)


async def test_when_the_client_is_killed_the_container_goes_and_the_record_says_so(site):
    process = await site.start("run", "shop", "--", "sh", "-c", "echo ready; sleep 600")
    assert await process.stdout.readline() == b"ready\n"
    process.kill()
    await process.wait()
    await all_gone(site)

    async def recorded() -> bool:
        action, summary = (await site.audited())[-1]
        return action == "application.run.ended" and summary.startswith("ended, because its caller left")

    await eventually(recorded)


async def test_who_what_and_the_exit_code_are_recorded_without_secrets(site, run):
    await site.told(run, "sh", "-c", "exit 4", "s3cret-of-the-shop", "--password=hunter22")
    (begun, what), (ended, outcome) = (await site.audited())[-2:]
    assert (begun, ended) == ("application.run", "application.run.ended")
    assert what.startswith("sh -c 'exit 4'")
    assert "exit code 4" in outcome
    assert "s3cret" not in what + outcome
    assert "hunter22" not in what + outcome


async def test_a_command_that_the_image_does_not_have_ends_with_127(site, run):
    told = await site.told(run, "no-such-program")
    assert (told["event"], told["code"]) == ("exit", 127)
    assert "no-such-program" in told["stderr"]
    assert not site.one_off_containers()


async def test_what_cannot_run_is_told_in_a_sentence(site, run, execute):
    never = await _application_that_was_never_deployed(site)
    for path, command, code, words in (
        (f"/applications/{never}/run", ["true"], "not_possible_now", "no image yet"),
        (f"/applications/{never}/exec", ["true"], "not_possible_now", "nothing of it was deployed"),
        (execute, ["true"], "not_possible_now", "No replica of 'shop' runs"),
        (f"{run}?server=elsewhere", ["true"], "not_found", "no server 'elsewhere'; it is on localhost."),
        (f"{execute}?server=elsewhere", ["true"], "not_found", "it is on localhost."),
        (f"{execute}?server=localhost", ["true"], "not_possible_now", "on the server 'localhost'"),
        (run, [], "invalid_input", "cannot be understood"),
        (run, ["a\0b"], "invalid_input", "null byte"),
        (run, ["x" * 120_000], "invalid_input", "pass it as input"),
    ):
        told = await site.told(path, *command)
        assert (told["event"], told["code"]) == ("error", code)
        assert words in told["message"]
    code, output, errors = await site.command("ssh", "localhost")
    assert (code, output) == (ExitCode.FAILED, "")
    assert "the machine that Seaway itself runs on" in errors


async def test_no_server_is_named_with_a_null_character(site, run, execute):
    for path in (run, execute):
        # Who ran what is recorded, and PostgreSQL would not take the name.
        with pytest.raises(InvalidStatus) as refused:
            await site.told(f"{path}?server=a%00b", "true")
        assert refused.value.response.status_code == 403


async def _application_that_was_never_deployed(site: Site) -> str:
    async with httpx.AsyncClient(
        base_url=f"{site.url}/api/v1", headers={"Authorization": f"Bearer {site.token}"}, trust_env=False
    ) as client:
        answer = await client.post(
            "/applications/dockerimage",
            json={
                "project_uuid": (await client.get("/projects")).json()[0]["uuid"],
                "docker_registry_image_name": "nothing",
                "ports_exposes": "80",
                "name": "never-deployed",
            },
        )
    assert answer.status_code == 201, answer.text
    uuid: str = answer.json()["uuid"]
    return uuid


async def test_a_token_is_needed_and_has_to_be_allowed_to_write_and_to_deploy(site, run):
    user = (await site.store.access.members(site.server.team_id))[0][0]
    shell = f"/servers/{site.server.id}/shell"
    for path, abilities, status in (
        (run, None, 401),
        (run, ["read"], 403),
        (run, ["write"], 403),
        (run, ["deploy"], 403),
        (shell, ["read", "write", "deploy"], 403),
        ("/applications/of-nobody/run", ["root"], 404),
        ("/servers/of-nobody/shell", ["root"], 404),
    ):
        headers = {}
        if abilities is not None:
            token = await site.store.access.create_token(
                team_id=site.server.team_id, user_id=user.id, name="limited", abilities=abilities
            )
            headers = {"Authorization": f"Bearer {token.get_secret_value()}"}
        address = f"ws{site.url.removeprefix('http')}/api/v1{path}"
        with pytest.raises(InvalidStatus) as refused:
            async with connect(address, additional_headers=headers, proxy=None):
                pass
        assert refused.value.response.status_code == status
        assert json.loads(refused.value.response.body)["message"]


async def test_a_member_opens_no_shell_and_runs_nothing_whatever_the_token_says(site, run):
    member, _ = await site.store.access.create_user(
        email="member@example.com", password=SecretStr("correct horse"), team_name="Elsewhere"
    )
    team = site.server.team_id
    async with site.store.database.writing() as session:
        session.add(Membership(user_id=member.id, team_id=team, role="member"))
    token = await site.store.access.create_token(
        team_id=team, user_id=member.id, name="all", abilities=["root"]
    )
    headers = {"Authorization": f"Bearer {token.get_secret_value()}"}
    for path in (f"/servers/{site.server.id}/shell", run):
        with pytest.raises(InvalidStatus) as refused:
            async with connect(
                f"ws{site.url.removeprefix('http')}/api/v1{path}", additional_headers=headers, proxy=None
            ):
                pass
        assert refused.value.response.status_code == 403


@pytest.fixture
async def replica(site: Site) -> AsyncIterator[str]:
    """A running replica of the application, as far as its labels say so."""
    labels = {
        "seaway.managed": "true",
        "seaway.application": site.application,
        "seaway.role": "replica",
        "seaway.replica": "1",
    }
    made = site.docker.containers.run(site.image, ["sleep", "600"], detach=True, labels=labels, init=True)
    yield made.id
    made.remove(force=True)


def processes_in(site: Site, container: str) -> str:
    return str(site.docker.containers.get(container).top()["Processes"])


async def test_exec_runs_in_the_replica_with_streams_input_and_exit_code(site, replica, execute):
    code, output, errors = await site.command(
        "exec", "-i", "shop", "--", "sh", "-c", "hostname; cat; echo bad >&2; exit 5", input=b"given\n"
    )
    assert (code, output, errors) == (5, f"{replica[:12]}\ngiven\n", "bad\n")
    told = await site.told(f"{execute}?replica=4", "true")
    assert (told["code"], "there are 1" in told["message"]) == ("not_found", True)


@pytest.fixture
async def silent_servers(site: Site) -> AsyncIterator[list[Server]]:
    """Two servers at ports that refuse, before localhost in what is released."""
    team_id = site.server.team_id
    pair = asyncssh.generate_private_key("ssh-ed25519")
    secret, public = pair.export_private_key().decode(), pair.export_public_key().decode()
    key = await site.store.servers.add_key(
        PrivateKey(team_id=team_id, name="key", private_key_sealed=""), SecretStr(secret)
    )
    made = [
        await site.store.servers.create(
            Server(
                team_id=team_id,
                name=name,
                address="127.0.0.1",
                port=refusing_port(),
                private_key_id=key.id,
                host_key=" ".join(public.split()[:2]),
                data_folder="/nowhere",
            )
        )
        for name in ("away", "gone")
    ]
    yield made
    for one in made:
        await site.servers.forget(one.id)
        await site.store.servers.forget(one.id)
    await site.store.servers.delete_key(key.id, team_id=team_id)


async def test_exec_finds_the_replica_on_the_server_that_answers(site, replica, execute, silent_servers):
    away, gone = silent_servers
    async with released_on(site, away.id, site.server.id):
        told = await site.told(execute, "hostname")
        assert (told["code"], told["stdout"]) == (0, f"{replica[:12]}\n")
        named = await site.told(f"{execute}?server=away", "true")
        assert named["code"] == "server_unreachable"
        assert f"port {away.port}" in named["message"] or f":{away.port}" in named["message"]
        other = await site.told(f"{execute}?replica=4", "true")
        assert other["code"] == "not_found"
        assert "there are 1. Not all of its servers answer" in other["message"]
    async with released_on(site, away.id, gone.id):
        told = await site.told(execute, "true")
        assert told["code"] == "server_unreachable"
        assert "`--server`" in told["message"]
        assert str(gone.port) in told["message"]


async def test_a_server_that_was_removed_since_the_release_keeps_no_command_from_the_others(
    site, run, replica, execute
):
    async with released_on(site, "removed", site.server.id):
        for named in ("", "?server=localhost"):
            executed, ran = await site.told(execute + named, "hostname"), await site.told(run + named, "true")
            assert (executed["code"], executed["stdout"], ran["code"]) == (0, f"{replica[:12]}\n", 0)
        told = await site.told(f"{execute}?server=removed", "true")
        assert (told["code"], told["message"]) == (
            "not_found",
            "'shop' is on no server 'removed'; it is on localhost.",
        )
    async with released_on(site, "removed"):
        for path in (run, execute):
            told = await site.told(path, "true")
            assert (told["code"], "were removed" in told["message"]) == ("not_possible_now", True)


@asynccontextmanager
async def released_on(site: Site, *server_ids: str) -> AsyncIterator[None]:
    """The release's rows say meanwhile that it is on these servers."""
    application = await site.store.applications.get(site.application)
    configuration = await site.store.applications.configuration(site.application)
    deployment = await site.store.deployments.record(Deployment(application_id=site.application))
    await site.store.deployments.begin(
        deployment.id, configuration.model_copy(update={"server_ids": server_ids}), []
    )
    await site.store.deployments.update(
        deployment.id, image=site.image, status=DeploymentStatus.FINISHED, release_id=deployment.id
    )
    set_state = site.store.applications.set_state
    running = DesiredState.RUNNING
    await set_state(site.application, desired_state=running, current_deployment_id=deployment.id)
    try:
        yield
    finally:
        before = application.current_deployment_id
        await set_state(site.application, desired_state=running, current_deployment_id=before)


async def test_exec_that_is_interrupted_or_loses_its_client_ends_in_the_replica(site, replica, execute):
    async with asyncio.timeout(30), site.talk(execute, "sh", "-c", "echo ready; sleep 4321") as talk:
        await talk.until_output(b"ready")
        assert "sleep 4321" in processes_in(site, replica)
        await talk.say(event="signal", signal="INT")
        assert (await talk.rest())["code"] == 130
    assert "4321" not in processes_in(site, replica)
    async with site.talk(execute, "sh", "-c", "echo ready; sleep 4321 & wait") as talk:
        await talk.until_output(b"ready")
    assert await eventually(lambda: "4321" not in processes_in(site, replica), 20)


async def test_exec_in_a_terminal_ends_with_it(site, replica, execute):
    terminal = {"type": "xterm", "columns": 91, "rows": 17}
    async with site.talk(execute, "sh", interactive=True, terminal=terminal) as talk:
        await talk.websocket.send(b"stty size; sleep 4321\n")
        await talk.until_output(b"17 91")
        await eventually(lambda: "sleep 4321" in processes_in(site, replica), 20)
    assert await eventually(lambda: "4321" not in processes_in(site, replica), 20)


async def test_at_the_next_start_only_commands_of_processes_that_died_are_removed(site, run):
    dead = site.settings.commands_folder / f"run-{uuid4().hex[:16]}"
    dead.mkdir()
    made = {}
    try:
        async with site.talk(run, "sh", "-c", "echo ready; sleep 600") as talk:
            await talk.until_output(b"ready")
            for owner, labels in (
                ("abandoned", one_off_command_labels(site.application, dead.name)),
                ("elsewhere", one_off_command_labels(site.application, "run-of-another-machine")),
                ("foreign", {OWNER_LABEL: dead.name}),
            ):
                made[owner] = site.docker.containers.create(site.image, ["true"], labels=labels)
            removed = await remove_abandoned_commands(site.store, site.servers, dead.parent)
            assert removed == [made.pop("abandoned").name]
            assert not dead.exists()
            left = {one.id for one in site.docker.containers.list(all=True, ignore_removed=True)}
            assert {one.id for one in made.values()} <= left
            assert len(site.one_off_containers()) == 2
    finally:
        for container in made.values():
            container.remove(force=True)
    await all_gone(site)
