"""Containers on a real engine: the same call again has the same end."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import re
import threading
import uuid
from pathlib import PurePosixPath

import pytest
from pydantic import SecretStr

from adapters.docker import ContainerSpecification, DockerEngine, MountSpecification, connection
from domain.configuration import PortMapping, VolumeKind
from domain.errors import (
    CommandFailed,
    DeadlineExceeded,
    EngineUnavailable,
    ImageNotFound,
    NotFound,
    ReplicaRefused,
)
from tests.harness.waiting import eventually


async def test_ping_tells_version_architecture_and_system(docker_engine: DockerEngine):
    facts = await docker_engine.ping()
    assert facts.version[0].isdigit()
    assert facts.architecture
    assert facts.operating_system
    assert facts.cgroup in ("1", "2")


@pytest.mark.parametrize("where", ["", "192.0.2.7:22"])
async def test_an_engine_that_is_not_there_is_unavailable_by_the_name_that_people_know(tmp_path, where):
    socket = str(tmp_path / "no.sock")
    absent = DockerEngine(socket, where=where)
    with pytest.raises(EngineUnavailable, match=f"Docker Engine at {re.escape(where or socket)} does not"):
        await absent.ping()
    await absent.close()


async def test_an_engine_that_never_answers_is_unavailable_after_the_limit(tmp_path):
    asked = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()
        writer.close()

    silent = await asyncio.start_unix_server(say_nothing, str(tmp_path / "s.sock"))
    engine = DockerEngine(str(tmp_path / "s.sock"), call_timeout_seconds=0.3)
    with pytest.raises(EngineUnavailable):
        await engine.ping()
    assert asked.is_set()
    await engine.close()
    silent.close()


async def test_nobody_waits_longer_than_he_wants_for_a_question_to_an_engine_that_never_answers(tmp_path):
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_unix_server(say_nothing, str(tmp_path / "s.sock"))
    engine = DockerEngine(str(tmp_path / "s.sock"), call_timeout_seconds=5)
    began = asyncio.get_running_loop().time()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await engine.ping()
    assert asyncio.get_running_loop().time() - began < 2
    await engine.close()
    silent.close()


async def test_the_same_specification_is_one_container_even_when_asked_at_once(docker_engine, container):
    specification = await container("sleep", "60")
    first = await docker_engine.inspect(specification.name)
    again = await asyncio.gather(*(docker_engine.ensure_container(specification) for _ in range(4)))
    assert {state.id for state in again} == {first.id}
    await docker_engine.start(specification.name)
    assert (await docker_engine.inspect(specification.name)).restart_count == 0


async def test_creation_by_two_at_once_ends_with_one_container(docker_engine, base_images):
    name = f"seaway-test-{uuid.uuid4().hex[:12]}"
    specification = ContainerSpecification(name=name, image=base_images.python, command=("sleep", "60"))
    try:
        states = await asyncio.gather(*(docker_engine.ensure_container(specification) for _ in range(4)))
        assert len({state.id for state in states}) == 1
    finally:
        await docker_engine.remove(name)


async def test_a_changed_specification_replaces_the_container(docker_engine, container):
    specification = await container("sleep", "60")
    before = await docker_engine.inspect(specification.name)
    changed = dataclasses.replace(specification, environment={"A": SecretStr("b")})
    after = await docker_engine.ensure_container(changed)
    assert after.id != before.id
    assert after.status == "created"


async def test_a_container_of_somebody_else_is_never_replaced(docker_engine, container, engine):
    specification = await container("sleep", "60", start=False)
    await docker_engine.remove(specification.name)
    foreign = engine.containers.create(specification.image, ["sleep", "60"], name=specification.name)
    with pytest.raises(ReplicaRefused, match="did not make"):
        await docker_engine.ensure_container(specification)
    assert (await docker_engine.inspect(specification.name)).id == foreign.id


async def test_a_running_container_has_a_pid_addresses_labels_and_a_start_time(docker_engine, container):
    label = uuid.uuid4().hex
    network = f"seaway-test-{label[:12]}"
    await docker_engine.ensure_network(network, {"seaway.managed": "true"})
    await docker_engine.ensure_network(network, {"seaway.managed": "true"})
    try:
        specification = await container(
            "sleep", "60", network=network, aliases=("web",), labels={"seaway.test": label}
        )
        (state,) = await docker_engine.list_containers({"seaway.test": label})
        assert (state.name, state.running, state.status) == (specification.name, True, "running")
        assert state.pid > 0
        assert network in state.addresses
        assert state.started_at is not None
        assert state.started_at.tzinfo is not None
        await docker_engine.remove(specification.name)
        assert await docker_engine.list_containers({"seaway.test": ""}) == []
    finally:
        await docker_engine.remove_network(network)
        await docker_engine.remove_network(network)


async def test_the_end_of_a_container_and_its_reason_are_known(docker_engine, container):
    specification = await container("sh", "-c", "exit 7")
    assert await docker_engine.wait(specification.name, 10) == 7
    missing = await container("no-such-command")
    assert await docker_engine.wait(missing.name, 10) == 127
    state = await docker_engine.inspect(missing.name)
    assert state.exit_reason == "ended with exit code 127: its command was not found in the image"


async def test_waiting_has_a_limit_and_needs_a_container(docker_engine, container):
    specification = await container("sleep", "60")
    with pytest.raises(DeadlineExceeded):
        await docker_engine.wait(specification.name, 0.2)
    with pytest.raises(NotFound):
        await docker_engine.wait("seaway-test-absent", 5)


async def test_stop_and_remove_do_not_mind_what_is_gone(docker_engine, container):
    specification = await container("sleep", "60")
    for _ in range(2):
        await docker_engine.stop(specification.name, 1)
    assert not (await docker_engine.inspect(specification.name)).running
    for _ in range(2):
        await docker_engine.remove(specification.name)
    await docker_engine.stop(specification.name, 1)
    assert await docker_engine.inspect(specification.name) is None


async def test_an_engine_answers_while_many_containers_take_their_time_to_stop(docker_engine, container):
    label, grace, count = uuid.uuid4().hex, 8, 12
    script = "trap 'echo asked' TERM; while :; do sleep 0.1; done"
    names = [
        (await container("sh", "-c", script, labels={"seaway.test": label}, init=False)).name
        for _ in range(count)
    ]
    began = asyncio.get_running_loop().time()
    stops = [asyncio.create_task(docker_engine.stop(name, grace)) for name in names]

    async def are_asked() -> bool:
        return all([await docker_engine.logs(name, 1) == ["asked"] for name in names])

    await eventually(are_asked, grace)
    await docker_engine.ping()
    assert len(await docker_engine.list_containers({"seaway.test": label})) == count
    assert not any(stop.done() for stop in stops)
    await asyncio.gather(*stops)
    assert asyncio.get_running_loop().time() - began < 2 * grace
    assert not any(one.running for one in await docker_engine.list_containers({"seaway.test": label}))


async def test_who_waits_for_the_turn_of_a_long_call_is_within_the_limit_or_has_begun_nothing(
    engine_path, monkeypatch
):
    monkeypatch.setattr(connection, "LONG_CALL_THREADS", 1)
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT_SECONDS", 0)
    engine = DockerEngine(engine_path, call_timeout_seconds=0.1)
    ended: list[str] = []
    loop = asyncio.get_running_loop()
    may_end = [threading.Event(), threading.Event()]

    def hold(event: threading.Event, _client: object) -> None:
        event.wait(60)
        ended.append("holder")

    def work(name: str, _client: object) -> None:
        ended.append(name)

    async def longer_than_any_of_them_may_take() -> None:
        began = loop.time()
        await eventually(lambda: loop.time() - began > 1)

    holders = [
        asyncio.create_task(engine.call(functools.partial(hold, event), extra_seconds=60))
        for event in may_end
    ]
    first, second, third = [
        asyncio.create_task(engine.call(functools.partial(work, name), extra_seconds=0.1))
        for name in ("first", "second", "third")
    ]
    await longer_than_any_of_them_may_take()
    assert not any(call.done() for call in (*holders, first, second, third))
    may_end[0].set()
    await holders[0]
    # The wait for whoever has the turn now is as good.
    await longer_than_any_of_them_may_take()
    assert not any(call.done() for call in (holders[1], first, second, third))
    second.cancel()
    await asyncio.wait([second])
    assert second.cancelled()
    may_end[1].set()
    await asyncio.gather(holders[1], first, third)
    assert ended == ["holder", "holder", "first", "third"]
    await engine.close()


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"mounts": (MountSpecification(VolumeKind.BIND, "/no/such/folder", "/data"),)}, "/no/such/folder"),
        ({"network": "seaway-test-no-network"}, "seaway-test-no-network"),
        ({"init": False, "command": ("no-such-command",)}, "no-such-command"),
    ],
)
async def test_what_the_engine_refuses_is_told_in_words(container, fields, part):
    with pytest.raises(ReplicaRefused, match=part):
        await container("sleep", "60", **fields)


async def test_a_port_that_another_container_has_is_refused_and_named(docker_engine, container, free_port):
    mapping = (PortMapping(host_port=free_port, container_port=80),)
    await container("sleep", "60", port_mappings=mapping)
    with pytest.raises(ReplicaRefused, match=f"{free_port} is already"):
        await container("sleep", "60", port_mappings=mapping)


async def test_an_image_that_is_not_there_is_named(container):
    with pytest.raises(ImageNotFound, match="seaway-test/absent"):
        await container("sleep", "60", image="seaway-test/absent:1")


async def test_a_file_can_be_written_before_the_start_and_into_a_volume(docker_engine, container):
    volume = f"seaway-test-{uuid.uuid4().hex[:12]}"
    for _ in range(2):
        await docker_engine.ensure_volume(volume, {"seaway.managed": "true"})
    try:
        mounts = (MountSpecification(VolumeKind.NAMED, volume, "/data"),)
        specification = await container("cat", "/etc/app.ini", "/data/x", mounts=mounts, start=False)
        await docker_engine.write_file(specification.name, PurePosixPath("/etc/app.ini"), b"one\n", 0o600)
        await docker_engine.write_file(specification.name, PurePosixPath("/data/x"), b"two\n")
        await docker_engine.start(specification.name)
        await docker_engine.wait(specification.name, 10)
        assert await docker_engine.logs(specification.name, 10) == ["one", "two"]
        assert not await docker_engine.remove_volume(volume)
        assert await docker_engine.users_of_volume(volume) == [specification.name]
        await docker_engine.remove(specification.name)
        assert await docker_engine.users_of_volume(volume) == []
    finally:
        for _ in range(2):
            assert await docker_engine.remove_volume(volume)


async def test_a_cancelled_creation_is_done_or_not_begun_so_that_its_undo_finds_it(
    docker_engine, base_images
):
    name = f"seaway-test-{uuid.uuid4().hex[:12]}"
    specification = ContainerSpecification(name=name, image=base_images.python, command=("sleep", "60"))
    for loops in range(6):
        creation = asyncio.create_task(docker_engine.ensure_container(specification))
        for _ in range(loops):
            await asyncio.sleep(0.002)
        creation.cancel()
        await asyncio.wait([creation])
        await docker_engine.remove(name)
    assert await docker_engine.inspect(name) is None


async def test_output_is_followed_line_by_line_with_its_stream_and_time(docker_engine, container):
    specification = await container(
        "sh", "-c", "echo one; echo two >&2; read _ </dev/null; sleep 0.1; echo three"
    )
    entries = [entry async for entry in docker_engine.follow_logs(specification.name, 100)]
    assert sorted((entry.stream, entry.text) for entry in entries) == [
        ("stderr", "two"),
        ("stdout", "one"),
        ("stdout", "three"),
    ]
    assert all(entry.at.tzinfo is not None for entry in entries)
    later = [e async for e in docker_engine.follow_logs(specification.name, 100, since=entries[-1].at)]
    assert [entry.text for entry in later] == ["three"]
    assert await docker_engine.logs(specification.name, 1) == ["three"]
    assert await docker_engine.logs("seaway-test-absent", 5) == []


async def test_a_line_longer_than_the_engines_buffer_stays_one_line(docker_engine, container):
    specification = await container("python3", "-c", "print('x' * 40000); print('end')")
    await docker_engine.wait(specification.name, 10)
    assert [len(line) for line in await docker_engine.logs(specification.name, 10)] == [40000, 3]


async def test_a_silent_log_can_be_left_at_once(docker_engine, container):
    specification = await container("sleep", "60")
    entries = docker_engine.follow_logs(specification.name, 10)
    listening = asyncio.create_task(anext(entries))
    await eventually(lambda: docker_engine.open_streams == 1)
    listening.cancel()
    async with asyncio.timeout(1):
        await asyncio.wait([listening])
    assert docker_engine.open_streams == 0


async def test_closing_the_engine_ends_who_listens(engine_path, container):
    specification = await container("sleep", "60")
    engine = DockerEngine(engine_path)

    async def follow() -> list[str]:
        return [entry.text async for entry in engine.follow_logs(specification.name, 10)]

    listening = asyncio.create_task(follow())
    await eventually(lambda: engine.open_streams == 1)
    await engine.close()
    async with asyncio.timeout(2):
        assert await listening == []


async def test_a_command_gives_its_output_environment_and_exit_code(docker_engine, container):
    specification = await container("sleep", "60")
    lines: list[str] = []
    script = 'echo "$A $1"; echo problem >&2; printf unfinished; exit 3'
    code = await docker_engine.execute(
        specification.name,
        ["sh", "-c", script, "x", "an 'odd' $argument"],
        lines.append,
        10,
        {"A": SecretStr("value")},
    )
    assert code == 3
    assert sorted(lines) == ["problem", "unfinished", "value an 'odd' $argument"]


async def processes(engine: DockerEngine, name: str) -> str:
    lines: list[str] = []
    await engine.execute(
        name, ["sh", "-c", 'for p in /proc/[0-9]*/cmdline; do tr "\\0" " " <$p; echo; done'], lines.append, 10
    )
    return "\n".join(lines)


async def test_a_command_over_its_time_is_ended_with_its_children(docker_engine, container):
    specification = await container("sleep", "60")
    with pytest.raises(DeadlineExceeded):
        await docker_engine.execute(specification.name, ["sh", "-c", "sleep 71 & sleep 72"], print, 0.5)
    assert "sleep 7" not in await processes(docker_engine, specification.name)


async def test_a_cancelled_command_is_ended_even_when_it_ignores_the_first_signal(docker_engine, container):
    specification = await container("sleep", "60")
    started = asyncio.Event()
    script = "trap '' TERM; echo started; while :; do sleep 0.2; done # stubborn"
    running = asyncio.create_task(
        docker_engine.execute(specification.name, ["sh", "-c", script], lambda _line: started.set(), 60)
    )
    await asyncio.wait_for(started.wait(), 5)
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()
    assert "stubborn" not in await processes(docker_engine, specification.name)


async def test_a_command_whose_caller_was_killed_is_ended_too(docker_engine, container, engine_path):
    specification = await container("sleep", "60")
    started = asyncio.Event()
    other = DockerEngine(engine_path)
    running = asyncio.create_task(
        other.execute(
            specification.name, ["sh", "-c", "echo started; sleep 73"], lambda _line: started.set(), 60
        )
    )
    await asyncio.wait_for(started.wait(), 5)
    await other.close()  # cuts the connections, as the end of the process would
    await asyncio.wait([running])
    assert isinstance(running.exception(), EngineUnavailable)

    async def gone() -> bool:
        return "sleep 73" not in await processes(docker_engine, specification.name)

    await eventually(gone)


async def test_a_command_needs_a_running_container(docker_engine, container):
    specification = await container("sleep", "60", start=False)
    for name in (specification.name, "seaway-test-absent"):
        with pytest.raises(CommandFailed, match="does not run"):
            await docker_engine.execute(name, ["true"], print, 5)
