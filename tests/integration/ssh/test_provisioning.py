"""Servers made usable, step by step, on real machines: bare, stopped, forbidden, out of reach."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from activities import messages as m
from activities import proxy_keeping
from activities.provisioning import ProvisioningActivities
from adapters.docker import DockerEngine
from adapters.ssh.keys import generate_key
from domain.deployments import StepStatus
from domain.errors import NotFound
from domain.server_events import ServerEventKind
from domain.servers import ServerStatus, ServerStepName
from store.tables import Server
from tests.harness.processes import refusing_port
from tests.harness.ssh_servers import START_ENGINE, TINY, SshServer, SshServers
from tests.harness.waiting import eventually
from tests.integration.ssh.provisioner import INSTANCE, Provisioner, run, stop_engine

HOLD_LISTS = (
    'use Fcntl; $| = 1; open(F, ">>", "/var/lib/apt/lists/lock") or die; '
    '$lock = pack("s s x4 q q i", F_WRLCK, 0, 0, 0, 0); '
    'fcntl(F, F_SETLK, $lock) or die; print "held"; sleep 15'
)
ALL_DONE = [StepStatus.SUCCEEDED] * len(ServerStepName)
ENGINE_RAN = [
    StepStatus.SKIPPED if name is ServerStepName.ENGINE else StepStatus.SUCCEEDED for name in ServerStepName
]


@pytest.fixture
async def idle_server(servers: SshServers) -> AsyncIterator[SshServer]:
    """With an engine that is installed and does not run."""
    made = await asyncio.to_thread(servers.add)
    await asyncio.to_thread(stop_engine, made)
    yield made
    await asyncio.to_thread(made.remove)


@pytest.fixture
async def bare_server(servers: SshServers) -> AsyncIterator[SshServer]:
    made = await asyncio.to_thread(lambda: servers.add(docker=False))
    yield made
    await asyncio.to_thread(made.remove)


async def test_a_server_that_only_builds_gets_no_proxy_until_it_runs_applications(
    provisioner: Provisioner, server: SshServer
) -> None:
    server_id = await provisioner.add(server)
    await provisioner.store.servers.set(server_id, is_build_server=True)
    assert (await provisioner.provision(server_id)).status == ServerStatus.USABLE
    assert (await provisioner.statuses(server_id))[-1] == StepStatus.SKIPPED
    assert server.run("docker", "inspect", f"{INSTANCE}-proxy")[0] != 0
    await provisioner.store.servers.set(server_id, is_build_server=False)
    assert (await provisioner.provision(server_id)).status == ServerStatus.USABLE
    assert (await provisioner.statuses(server_id))[-1] == StepStatus.SUCCEEDED
    assert server.run("docker", "inspect", f"{INSTANCE}-proxy")[0] == 0
    assert (await provisioner.remove(server_id)).kept_by == ()


async def test_a_server_with_docker_becomes_usable_and_is_left_as_it_was(
    provisioner: Provisioner, server: SshServer
) -> None:
    server_id = await provisioner.add(server, "deployer")
    found = await provisioner.provision(server_id)
    assert (found.status, found.status_message) == (ServerStatus.USABLE, "")
    assert await provisioner.statuses(server_id) == ENGINE_RAN
    assert (found.is_reachable, found.is_usable) == (True, True)
    assert found.system.startswith("Debian GNU/Linux")
    assert (found.architecture, found.processors > 0, found.memory_bytes > 0) == ("x86_64", True, True)
    assert found.engine_version == server.run("docker", "version", "-f", "{{.Server.Version}}")[1].strip()
    folder = f"/home/deployer/.local/share/seaway/{INSTANCE}"
    assert found.data_folder == folder
    assert server.run("stat", "-c", "%a %U", folder)[1].split() == ["700", "deployer"]
    assert server.run("docker", "network", "inspect", INSTANCE)[0] == 0

    # Once more changes nothing, and a look agrees.
    before = server.run("docker", "inspect", "-f", "{{.Id}} {{.State.StartedAt}}", f"{INSTANCE}-proxy")
    assert (await provisioner.provision(server_id)).status == ServerStatus.USABLE
    assert (
        server.run("docker", "inspect", "-f", "{{.Id}} {{.State.StartedAt}}", f"{INSTANCE}-proxy") == before
    )
    assert (await provisioner.check(server_id)).status is ServerStatus.USABLE

    assert (await provisioner.remove(server_id)).kept_by == ()
    assert server.run("docker", "network", "inspect", INSTANCE)[0] != 0
    assert server.run("docker", "inspect", f"{INSTANCE}-proxy")[0] != 0
    assert server.run("test", "-e", folder)[0] != 0
    with pytest.raises(NotFound):
        await provisioner.store.servers.get(server_id)


async def test_a_dead_proxy_is_started_again_and_one_whose_port_is_taken_is_told(
    provisioner: Provisioner, server: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy_keeping, "HICCUP_SECONDS", 0.0)
    server_id = await provisioner.add(server)
    assert (await provisioner.provision(server_id)).status == ServerStatus.USABLE
    proxy = f"{INSTANCE}-proxy"

    async def told() -> list[str]:
        return [event.kind for event in reversed(await provisioner.store.watch.events(server_id))]

    server.run("docker", "kill", proxy)
    assert (await provisioner.check(server_id)).status is ServerStatus.USABLE
    assert server.run("docker", "inspect", "-f", "{{.State.Running}}", proxy)[1].strip() == "true"
    assert await told() == [ServerEventKind.PROXY_UP]

    server.run("docker", "kill", proxy)
    code, output = server.run(
        "docker", "run", "-d", "--name", "squatter", "-p", "80:80", TINY, "sleep", "600"
    )
    assert code == 0, output
    down = await provisioner.check(server_id)
    assert down.status is ServerStatus.NOT_USABLE
    assert "The proxy does not run" in down.message
    assert ":80 is already used by another container" in down.message
    row = await provisioner.store.servers.get(server_id)
    assert (row.is_reachable, row.is_usable, row.status_message) == (True, False, down.message)
    assert (await told())[1:] == [ServerEventKind.PROXY_DOWN]

    server.run("docker", "rm", "-f", "squatter")
    back = await provisioner.check(server_id)
    assert (back.status, back.message) == (ServerStatus.USABLE, "")
    assert (await told())[2:] == [ServerEventKind.PROXY_UP]
    assert not (await provisioner.remove(server_id)).is_kept


async def test_a_stopped_engine_is_seen_started_and_opened_to_a_user_with_sudo(
    provisioner: Provisioner, idle_server: SshServer
) -> None:
    server_id = await provisioner.add(idle_server, "maintainer")
    found = await provisioner.provision(server_id)
    assert (found.status, found.status_message) == (ServerStatus.USABLE, "")
    engine = (await provisioner.steps(server_id))[ServerStepName.ENGINE]
    assert engine.message == "'maintainer' is in the group docker. Started."
    assert "maintainer" in idle_server.run("getent", "group", "docker")[1]

    await asyncio.to_thread(stop_engine, idle_server)
    down = await provisioner.check(server_id)
    assert down.status is ServerStatus.NOT_USABLE
    assert "Docker" in down.message
    assert idle_server.host in down.message
    row = await provisioner.store.servers.get(server_id)
    assert (row.is_reachable, row.is_usable, row.status_message) == (True, False, down.message)

    assert (await provisioner.provision(server_id)).status == ServerStatus.USABLE
    idle_server.cut()
    gone = await provisioner.check(server_id)
    assert gone.status is ServerStatus.UNREACHABLE
    idle_server.heal()
    back = await eventually(lambda: usable(provisioner, server_id))
    assert (back.status, back.message) == (ServerStatus.USABLE, "")


async def usable(provisioner: Provisioner, server_id: str) -> m.ServerCondition | None:
    found = await provisioner.check(server_id)
    return found if found.status is ServerStatus.USABLE else None


async def test_who_may_do_nothing_is_told_what_is_missing(
    provisioner: Provisioner, server: SshServer
) -> None:
    server.run("gpasswd", "-d", "deployer", "docker")
    try:
        server_id = await provisioner.add(server, "deployer")
        found = await provisioner.provision(server_id)
    finally:
        server.run("usermod", "-aG", "docker", "deployer")
    assert (found.status, found.is_reachable, found.is_usable) == (ServerStatus.NOT_USABLE, True, False)
    failed = await provisioner.failed(server_id)
    assert (failed.name, failed.status) == (ServerStepName.PREREQUISITES, StepStatus.FAILED)
    assert "usermod -aG docker deployer" in failed.message


async def test_a_read_only_data_folder_is_named(provisioner: Provisioner, server: SshServer) -> None:
    server.run("mkdir", "-p", "/var/lib/seaway")
    server.run("mount", "-t", "tmpfs", "-o", "ro,size=4g", "none", "/var/lib/seaway")
    try:
        server_id = await provisioner.add(server)
        found = await provisioner.provision(server_id)
    finally:
        server.run("umount", "/var/lib/seaway")
    assert found.status == ServerStatus.NOT_USABLE
    assert found.status_message == (
        f"The folder /var/lib/seaway/{INSTANCE} cannot be written: its file system is read-only. Mount it "
        "writable."
    )
    assert (await provisioner.failed(server_id)).name == ServerStepName.PREREQUISITES


async def test_a_full_disk_is_named(provisioner: Provisioner, server: SshServer) -> None:
    server.run("mkdir", "-p", "/var/lib/seaway")
    server.run("mount", "-t", "tmpfs", "-o", "size=16m", "none", "/var/lib/seaway")
    try:
        found = await provisioner.provision(await provisioner.add(server))
    finally:
        server.run("umount", "/var/lib/seaway")
    assert found.status == ServerStatus.NOT_USABLE
    assert "GiB are free in /var/lib/seaway" in found.status_message


@pytest.mark.drill
async def test_a_server_that_serves_already_is_usable_however_full_it_is(
    provisioner: Provisioner, servers: SshServers
) -> None:
    machine = await asyncio.to_thread(servers.add)
    # Where the engine keeps its things is for whoever has installed it to say.
    root = "/srv/docker"
    await asyncio.to_thread(machine.stop_engine)
    machine.run("mkdir", "-p", root)
    machine.run("mount", "-t", "tmpfs", "-o", "size=1800m", "none", root)
    machine.run("sh", "-c", START_ENGINE.replace("dockerd ", f"dockerd --data-root {root} "))
    await eventually(lambda: machine.run("docker", "version")[0] == 0, 60, describe="Docker")

    server_id = await provisioner.add(machine)
    fresh = await provisioner.provision(server_id)
    assert fresh.status == ServerStatus.NOT_USABLE
    assert f"GiB are free in {root}; Docker's images" in fresh.status_message
    # It has served since it had more room.
    await provisioner.make_folders(server_id)
    again = await provisioner.provision(server_id)
    assert (again.status, again.status_message) == (ServerStatus.USABLE, "")
    step = (await provisioner.steps(server_id))[ServerStepName.PREREQUISITES]
    assert f"GiB are free in {root}" in step.message
    await asyncio.to_thread(machine.remove)


@pytest.mark.parametrize("case", ["wrong key", "unknown user", "closed port", "no such name", "no answer"])
async def test_a_server_out_of_reach_is_told_from_every_other(
    provisioner: Provisioner, server: SshServer, case: str
) -> None:
    silent = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    silent_port = silent.sockets[0].getsockname()[1]
    cases: dict[str, tuple[dict[str, Any], ServerStatus, str]] = {
        "wrong key": (
            {"private_key": generate_key().private_key.get_secret_value()},
            ServerStatus.NOT_USABLE,
            "refuses the user 'root' with the key SHA256:",
        ),
        "unknown user": (
            {"user": "nobody-there"},
            ServerStatus.NOT_USABLE,
            "refuses the user 'nobody-there'",
        ),
        "closed port": ({"port": refusing_port()}, ServerStatus.UNREACHABLE, "connection refused"),
        "no such name": (
            {"address": "nowhere.invalid"},
            ServerStatus.UNREACHABLE,
            "'nowhere.invalid' resolves to no address",
        ),
        "no answer": (
            {"address": "127.0.0.1", "port": silent_port},
            ServerStatus.UNREACHABLE,
            "accepts connections, but nobody could log in within 2 s",
        ),
    }
    fields, status, words = cases[case]
    async with silent:
        server_id = await provisioner.add(server, **fields)
        found = await provisioner.provision(server_id)
    assert found.status == status
    assert words in found.status_message
    assert (found.is_reachable, found.is_usable) == (False, False)
    failed = await provisioner.failed(server_id)
    assert failed.name == ServerStepName.REACH
    # What may pass is tried again, and says so meanwhile.
    passes = status is ServerStatus.UNREACHABLE
    assert (failed.status, failed.message) == (
        StepStatus.RUNNING if passes else StepStatus.FAILED,
        f"{found.status_message} Trying again." if passes else found.status_message,
    )


async def test_a_changed_host_key_is_an_alarm_until_a_person_has_looked(
    provisioner: Provisioner, server: SshServer
) -> None:
    other = " ".join(generate_key().public_key.split()[:2])
    server_id = await provisioner.add(server, host_key=other)
    found = await provisioner.provision(server_id)
    assert (found.status, found.is_reachable) == (ServerStatus.HOST_KEY_CHANGED, False)
    assert found.shown_host_key == server.host_key
    assert found.host_key == other
    assert (await provisioner.failed(server_id)).name == ServerStepName.REACH

    await provisioner.store.servers.set(server_id, host_key=server.host_key)
    assert (await provisioner.check(server_id)).status is ServerStatus.HOST_KEY_CHANGED
    assert (await provisioner.provision(server_id)).status == ServerStatus.USABLE
    await provisioner.remove(server_id)


async def test_an_engine_that_is_too_old_is_named(provisioner: Provisioner, tmp_path: Path) -> None:
    """Its answers are what matters here, and no such engine can be installed any more."""
    answers = {
        "/version": {"Version": "19.03.15", "ApiVersion": "1.40", "MinAPIVersion": "1.12", "Arch": "amd64"},
        "/info": {"OperatingSystem": "Debian", "CgroupVersion": "1"},
    }

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            path = line.decode().split()[1]
            while (await reader.readline()).strip():
                pass
            body = json.dumps(next(said for end, said in answers.items() if path.endswith(end))).encode()
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
                + f"{len(body)}\r\n\r\n".encode()
                + body
            )
        writer.close()

    socket = str(tmp_path / "docker.sock")
    listener = await asyncio.start_unix_server(answer, socket)
    engine = DockerEngine(socket)
    row = await provisioner.store.servers.create(Server(team_id=provisioner.team_id, name="old"))

    async def parts(server_id: str) -> Any:
        return SimpleNamespace(engine=engine)

    servers: Any = SimpleNamespace(parts=parts)
    activities = ProvisioningActivities(provisioner.store, servers)
    async with listener:
        await run(activities.begin, m.ServerTask(server_id=row.id))
        with pytest.raises(ApplicationError) as refused:
            await run(activities.check_engine_version, m.ServerTask(server_id=row.id))
        await engine.close()
    assert refused.value.non_retryable
    assert refused.value.message == (
        "The server has Docker 19.03.15; Seaway needs 20.10 or newer. Upgrade it."
    )
    assert (await provisioner.store.servers.get(row.id)).engine_version == "19.03.15"


@pytest.mark.drill
@pytest.mark.parametrize("user", ["root", "maintainer"])
async def test_a_bare_machine_gets_an_engine(
    provisioner: Provisioner, bare_server: SshServer, user: str
) -> None:
    await asyncio.to_thread(stop_engine, bare_server)
    server_id = await provisioner.add(bare_server, user)
    # As a new machine's own first update does.
    bare_server.run("sh", "-c", f"perl -e '{HOLD_LISTS}' >/tmp/held 2>&1 &")
    await eventually(lambda: "held" in bare_server.run("cat", "/tmp/held")[1], describe="the held lock")
    found = await provisioner.provision(server_id)
    assert (found.status, found.status_message) == (ServerStatus.USABLE, "")
    assert await provisioner.statuses(server_id) == ALL_DONE
    engine = (await provisioner.steps(server_id))[ServerStepName.ENGINE]
    assert engine.message.startswith("Installed.")
    assert "docker.io" in engine.detail
    assert "Could not get lock /var/lib/apt/lists/lock" in engine.detail


@pytest.mark.drill
async def test_a_server_behind_a_jump_host_is_provisioned_and_its_docker_answers(
    provisioner: Provisioner, servers: SshServers, server: SshServer
) -> None:
    gate = await asyncio.to_thread(lambda: servers.add("gate", docker=False))
    gate_id = await provisioner.add(gate)
    server_id = await provisioner.add(server, jump_server_id=gate_id)
    # What is behind the gate hears of nobody else.
    with server.dropping("INPUT", "-p", "tcp", "--dport", "22", "!", "-s", gate.host):
        found = await provisioner.provision(server_id)
        assert (found.status, found.status_message) == (ServerStatus.USABLE, "")
        parts = await provisioner.servers.parts(server_id)
        facts = await parts.engine.ping()
        assert facts.version == server.run("docker", "version", "-f", "{{.Server.Version}}")[1].strip()
        pinned = gate.host_key
        await asyncio.to_thread(gate.change_host_key)
        changed = await eventually_status(provisioner, server_id, ServerStatus.HOST_KEY_CHANGED)
        assert f"{gate.host}:22 shows another host key" in changed.message
        assert f"It is the jump host on the way to {server.host}:22: accept the key at the" in changed.message
        assert gate.host_key != pinned
        row = await provisioner.store.servers.get(server_id)
        assert (row.is_usable, row.shown_host_key) == (False, "")

        # Accepting it there, and asking again here, is the way back.
        await provisioner.store.servers.set(gate_id, host_key=gate.host_key)
        assert (await provisioner.provision(server_id)).status == ServerStatus.USABLE
        assert (await provisioner.remove(server_id)).kept_by == ()
    await provisioner.servers.forget(gate_id)
    await asyncio.to_thread(gate.remove)


async def eventually_status(
    provisioner: Provisioner, server_id: str, status: ServerStatus
) -> m.ServerCondition:
    """The first look that finds it; one may still use the link from before the cut."""

    async def look() -> m.ServerCondition | None:
        found = await provisioner.check(server_id)
        return found if found.status is status else None

    found = await eventually(look)
    assert found is not None
    return found
