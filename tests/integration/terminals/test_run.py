"""`seaway run` and `seaway exec`, from the command through the API to a real engine."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from domain.replicas import OWNER_LABEL, one_off_command_labels
from seaway.cli.exit_codes import ExitCode
from seaway.terminals import remove_abandoned_commands
from tests.harness.waiting import eventually
from tests.integration.terminals.conftest import Site, read_until


async def all_gone(site: Site) -> None:
    await eventually(lambda: not site.one_off_containers(), 20, describe="the end of the container")


async def test_streams_stay_apart_and_the_exit_code_is_the_commands(site):
    code, output, errors = await site.command(
        "run", "shop", "--", "sh", "-c", "echo told; echo complained >&2; exit 7"
    )
    assert (code, output, errors) == (7, "told\n", "complained\n")
    assert not site.one_off_containers()


async def test_the_command_has_the_applications_environment_and_arguments_as_they_were_given(site):
    script = 'echo "$API_TOKEN"; for a in "$@"; do echo "<$a>"; done'
    code, output, errors = await site.command(
        "run", "shop", "--", "sh", "-c", script, "x", "a b", "$HOME", ""
    )
    assert (code, output, errors) == (0, "s3cret-of-the-shop\n<a b>\n<$HOME>\n<>\n", "")


async def test_what_is_piped_in_reaches_the_command_whole_and_its_end_too(site):
    data = os.urandom(3_000_000)
    process = await site.start("run", "-i", "shop", "--", "sh", "-c", "cat; echo done >&2")
    async with asyncio.timeout(30):
        output, errors = await process.communicate(data)
    assert (process.returncode, errors) == (0, b"done\n")
    assert output == data


async def test_without_interactive_the_input_is_empty(site):
    code, output, _ = await site.command("run", "shop", "--", "cat", input=b"not for the command")
    assert (code, output) == (0, "")


async def test_output_that_nobody_reads_holds_the_command_up_and_loses_nothing(site):
    process = await site.start("run", "shop", "--", "sh", "-c", "head -c 5000000 /dev/zero; echo end")
    await eventually(site.one_off_containers, 10)
    await asyncio.sleep(1)  # nothing to see: a reader that is slow, such as a pager
    assert site.one_off_containers()
    async with asyncio.timeout(30):
        output, _ = await process.communicate()
    assert output == bytes(5_000_000) + b"end\n"


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


async def test_who_what_and_the_exit_code_are_recorded_without_secrets(site):
    await site.command("run", "shop", "--", "sh", "-c", "exit 4", "s3cret-of-the-shop", "--password=hunter22")
    (begun, what), (ended, outcome) = (await site.audited())[-2:]
    assert (begun, ended) == ("application.run", "application.run.ended")
    assert what.startswith("sh -c 'exit 4'")
    assert "exit code 4" in outcome
    assert "s3cret" not in what + outcome
    assert "hunter22" not in what + outcome


async def test_a_command_that_the_image_does_not_have_ends_with_127(site):
    code, _, errors = await site.command("run", "shop", "--", "no-such-program")
    assert code == 127
    assert "no-such-program" in errors
    assert not site.one_off_containers()


async def test_refusals_are_sentences(site):
    never = await _application(site, "never-deployed")
    for arguments, expected, words in (
        (("run", "nothing", "--", "true"), ExitCode.NOT_FOUND, "There is no application 'nothing'"),
        (("run", never, "--", "true"), ExitCode.FAILED, "no image yet"),
        (("exec", never, "--", "true"), ExitCode.FAILED, "does not run"),
        (("exec", "shop", "--", "true"), ExitCode.FAILED, "No replica of 'shop' runs"),
        (("ssh", "localhost"), ExitCode.FAILED, "the machine that Seaway itself runs on"),
        (("ssh", "elsewhere"), ExitCode.NOT_FOUND, "There is no server 'elsewhere'"),
        (("run", "shop", "--", "x" * 120_000), ExitCode.WRONG_INPUT, "pass it as input"),
    ):
        code, output, errors = await site.command(*arguments)
        assert (code, output) == (expected, ""), errors
        assert words in errors


async def _application(site: Site, name: str) -> str:
    import httpx

    async with httpx.AsyncClient(
        base_url=f"{site.url}/api/v1", headers={"Authorization": f"Bearer {site.token}"}, trust_env=False
    ) as client:
        project = (await client.get("/projects")).json()[0]["uuid"]
        answer = await client.post(
            "/applications/dockerimage",
            json={
                "project_uuid": project,
                "environment_name": "production",
                "docker_registry_image_name": "nothing",
                "ports_exposes": "80",
                "name": name,
            },
        )
    assert answer.status_code == 201, answer.text
    return name


async def test_a_token_is_needed_and_has_to_be_allowed_to_write_and_to_deploy(site):
    path = f"ws{site.url.removeprefix('http')}/api/v1/applications/{site.application}/run"
    user = (await site.store.access.members(site.server.team_id))[0][0]
    for abilities, status in ((None, 401), (["read"], 403), (["write"], 403), (["deploy"], 403)):
        headers = {}
        if abilities is not None:
            token = await site.store.access.create_token(
                team_id=site.server.team_id, user_id=user.id, name="limited", abilities=abilities
            )
            headers = {"Authorization": f"Bearer {token.get_secret_value()}"}
        with pytest.raises(InvalidStatus) as refused:
            async with connect(path, additional_headers=headers, proxy=None):
                pass
        assert refused.value.response.status_code == status
        assert json.loads(refused.value.response.body)["message"]


@pytest.fixture
async def replica(site: Site) -> AsyncIterator[str]:
    """A running replica of the application, as far as its labels say so."""
    labels = {
        "seaway.managed": "true",
        "seaway.application": site.application,
        "seaway.role": "replica",
        "seaway.replica": "1",
    }
    made = site.docker.containers.run("seaway-test/python:1", ["sleep", "600"], detach=True, labels=labels)
    yield made.id
    made.remove(force=True)


def processes_in(site: Site, container: str) -> str:
    return str(site.docker.containers.get(container).top()["Processes"])


async def test_exec_runs_in_the_replica_with_streams_input_and_exit_code(site, replica):
    code, output, errors = await site.command(
        "exec", "-i", "shop", "--", "sh", "-c", "hostname; cat; echo bad >&2; exit 5", input=b"given\n"
    )
    assert (code, output, errors) == (5, f"{replica[:12]}\ngiven\n", "bad\n")
    code, output, errors = await site.command("exec", "shop", "--replica", "4", "--", "true")
    assert code == ExitCode.NOT_FOUND
    assert "there are 1" in errors


async def test_exec_that_loses_its_client_or_is_interrupted_ends_in_the_replica(site, replica):
    script = "echo ready; sleep 4321 & wait"
    process = await site.start("exec", "shop", "--", "sh", "-c", script)
    assert await process.stdout.readline() == b"ready\n"
    assert "sleep 4321" in processes_in(site, replica)
    process.kill()
    await process.wait()
    await eventually(lambda: "4321" not in processes_in(site, replica), 20)
    process = await site.start("exec", "shop", "--", "sleep", "4321")
    await eventually(lambda: "sleep 4321" in processes_in(site, replica), 20)
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(20):
        assert await process.wait() == 130
    assert "4321" not in processes_in(site, replica)


async def test_exec_in_a_terminal_ends_with_it(site, replica):
    process, person = await site.in_terminal("exec", "-i", "shop", "--", "sh")
    await read_until(person, b"#")
    os.write(person, b"stty size; sleep 4321\n")
    assert b"24 80" in await read_until(person, b"24 80")
    await eventually(lambda: "sleep 4321" in processes_in(site, replica), 20)
    os.close(person)
    async with asyncio.timeout(20):
        await process.wait()
    await eventually(lambda: "4321" not in processes_in(site, replica), 20)


async def test_at_the_next_start_only_commands_of_processes_that_died_are_removed(site):
    folder = site.settings.commands_folder
    dead = folder / f"run-{uuid4().hex[:16]}"
    dead.mkdir()
    made = {}
    living = await site.start("run", "shop", "--", "sh", "-c", "echo ready; sleep 600")
    assert await living.stdout.readline() == b"ready\n"
    for owner, labels in (
        ("abandoned", one_off_command_labels(site.application, dead.name)),
        ("elsewhere", one_off_command_labels(site.application, "run-of-another-machine")),
        ("foreign", {OWNER_LABEL: dead.name}),
    ):
        made[owner] = site.docker.containers.run(
            "seaway-test/python:1", ["sleep", "600"], detach=True, labels=labels
        )
    try:
        removed = await remove_abandoned_commands(site.store, site.servers, folder)
        assert removed == [made["abandoned"].name]
        assert not dead.exists()
        left = {one.id for one in site.docker.containers.list(all=True)}
        assert {made["elsewhere"].id, made["foreign"].id} <= left
        assert len(site.one_off_containers()) == 2
    finally:
        living.kill()
        await living.wait()
        for name in ("elsewhere", "foreign"):
            made[name].remove(force=True)
    await all_gone(site)
