"""What an application gets at run time, and how visitors reach it."""

from __future__ import annotations

import asyncio
from typing import Any

import docker

from tests.e2e.applications import SOON_UNHEALTHY, statuses
from tests.e2e.sites import BASE
from tests.harness.processes import free_port
from tests.harness.waiting import eventually


async def test_an_application_sees_its_variables_and_what_it_is_told_about_itself(seaway, new_application):
    application = await new_application()
    await application.set_variables(OWN='it\'s 100% "own"', PORT_COPY="$PORT", SHARED="a\nb")
    shown = await application.deploy()
    seen = await application.environment()
    url = f"http://{application.host}:{seaway.ports.http}"
    (container,) = await application.containers()
    expected = {
        "OWN": 'it\'s 100% "own"',
        "PORT_COPY": "3000",
        "SHARED": "a\nb",
        "PORT": "3000",
        "HOST": "0.0.0.0",
        "SOURCE_COMMIT": shown["commit"],
        "SEAWAY_DEPLOYMENT_UUID": shown["uuid"],
    }
    for prefix in ("SEAWAY", "COOLIFY"):
        expected |= {
            f"{prefix}_URL": url,
            f"{prefix}_FQDN": application.host,
            f"{prefix}_BRANCH": "main",
            f"{prefix}_RESOURCE_UUID": application.uuid,
            f"{prefix}_CONTAINER_NAME": container.name,
        }
    assert {key: seen.get(key) for key in expected} == expected


async def test_several_domains_and_paths_lead_to_one_application_and_its_other_port(
    new_application, git_repository
):
    git_repository.commit(
        {
            "admin/index.html": "admin",
            "Dockerfile": f"FROM {BASE}\nWORKDIR /app\nCOPY . .\n"
            'CMD ["sh", "-c", "busybox httpd -p 9000 -h /app/admin && exec python3 app.py"]\n',
        }
    )
    application = await new_application(domain=False, ports_exposes="3000,9000")
    one, two = f"one-{application.uuid}.localhost", f"two-{application.uuid}.localhost"
    await application.change(
        domains=f"http://{one},http://{two},http://{one}/api,http://{one}:9000/admin,http://{two}:9000/x/y"
    )
    await application.deploy()
    assert (await application.get("/", one)).text == "v1"
    assert (await application.get("/", two)).text == "v1"
    assert (await application.get("/api/health", one)).text == "health"
    assert (await application.get("/apiary", one)).status_code == 404
    assert (await application.get("/admin/", one)).text == "admin"
    assert (await application.get("/x/y/index.html", two)).text == "admin"
    assert (await application.get("/", "three.localhost")).status_code == 404
    await application.change(is_stripprefix_enabled=False)
    await application.deploy()
    assert (await application.get("/api/health", one)).status_code == 404


async def test_every_replica_gets_requests_and_scaling_changes_their_number_at_once(new_application):
    application = await new_application(replicas=3)
    await application.deploy()

    async def answering() -> set[str]:
        answers = [await application.get("/hostname") for _ in range(30)]
        assert {answer.status_code for answer in answers} == {200}
        return {answer.text for answer in answers}

    first = await answering()
    assert len(first) == 3
    async with application.load() as load:
        await application.operate("scale", replicas=1)
        assert len(await answering()) == 1
        assert await answering() < first
        await application.operate("scale", replicas=2)
        assert len(await answering()) == 2
    load.report().assert_no_failures(10)
    await application.deploy()
    assert len(await answering()) == 2


async def test_limits_command_labels_and_restart_policy_are_those_of_the_settings(new_application):
    application = await new_application(
        limits_memory="96m",
        limits_memory_swap="128m",
        limits_memory_reservation="32m",
        limits_cpus="0.75",
        limits_cpuset="0",
        limits_cpu_shares=512,
        restart_policy="on-failure",
        stop_grace_period=7,
        start_command="app.py --flag 'two words'",
        entrypoint="python3 -u",
        custom_labels="com.example.team=shop\ncom.example.tier=web",
    )
    await application.deploy()
    (container,) = await application.containers()
    host, config = container.attrs["HostConfig"], container.attrs["Config"]
    mebibyte = 1024**2
    assert (host["Memory"], host["MemorySwap"], host["MemoryReservation"]) == (
        96 * mebibyte, 128 * mebibyte, 32 * mebibyte,
    )  # fmt: skip
    assert (host["NanoCpus"], host["CpusetCpus"], host["CpuShares"]) == (750_000_000, "0", 512)
    assert host["RestartPolicy"]["Name"] == "on-failure"
    assert config["Entrypoint"] == ["python3", "-u"]
    assert config["Cmd"] == ["app.py", "--flag", "two words"]
    assert config["Labels"]["com.example.team"] == "shop"
    assert config["Labels"]["com.example.tier"] == "web"
    assert config["Labels"]["seaway.application"] == application.uuid
    assert await application.version() == "v1"


async def test_an_old_version_that_does_not_end_is_killed_after_its_grace(new_application, git_repository):
    deaf = 'CMD ["sh", "-c", "trap : TERM; python3 app.py & while :; do wait; sleep 0.2; done"]\n'
    git_repository.commit({"Dockerfile": f"FROM {BASE}\nWORKDIR /app\nCOPY . .\n{deaf}"})
    application = await new_application(stop_grace_period=2)
    await application.deploy()
    (old,) = await application.containers()
    git_repository.commit({"VERSION": "v2\n"})
    shown = await application.deploy()
    step = next(one for one in shown["steps"] if one["name"] == "stop_old")
    assert await application.version() == "v2"
    assert old.id not in [one.id for one in await application.containers()]
    assert step["status"] == "succeeded"


async def run_in(container: Any, *command: str) -> str:
    code, output = await asyncio.to_thread(container.exec_run, list(command))
    assert code == 0, output
    return str(output.decode().strip())


async def test_a_volume_keeps_its_data_over_releases_and_binds_and_files_are_mounted(
    new_application, git_repository, tmp_path
):
    application = await new_application()
    (tmp_path / "shared.txt").write_text("from the host")
    await application.mount(type="persistent", name="data", mount_path="/data")
    await application.mount(
        type="persistent", host_path=str(tmp_path), mount_path="/mnt/host", is_read_only=True
    )
    await application.mount(type="file", mount_path="/etc/app/settings.ini", content="colour = blue\n")
    await application.deploy()
    (old,) = await application.containers()
    await run_in(old, "sh", "-c", "echo kept >/data/file")
    assert await run_in(old, "cat", "/etc/app/settings.ini") == "colour = blue"
    assert await run_in(old, "cat", "/mnt/host/shared.txt") == "from the host"
    code, _ = await asyncio.to_thread(old.exec_run, ["touch", "/mnt/host/new"])
    assert code != 0

    git_repository.release("v2")
    storages = await application.installation.ask("GET", f"/applications/{application.uuid}/storages")
    file = storages["file_storages"][0]["uuid"]
    await application.installation.ask("DELETE", f"/applications/{application.uuid}/storages/{file}")
    await application.mount(type="file", mount_path="/etc/app/settings.ini", content="colour = red\n")
    await application.deploy()
    (new,) = await application.containers()
    assert new.id != old.id
    assert await run_in(new, "cat", "/data/file") == "kept"
    assert await run_in(new, "cat", "/etc/app/settings.ini") == "colour = red"

    assert len(await application.volumes()) == 1
    await application.delete(volumes=False)
    assert len(await application.volumes()) == 1
    assert (tmp_path / "shared.txt").read_text() == "from the host"


async def test_applications_reach_each_other_by_their_network_aliases(deployed, new_application):
    other = await new_application(custom_network_aliases="Backend,db.internal")
    await other.deploy()
    (container,) = await deployed.containers()
    for name in ("backend", "db.internal", other.name):
        assert await run_in(container, "busybox", "wget", "-qO-", f"http://{name}:3000/") == "v1"


async def test_a_port_of_the_host_moves_to_the_new_version_and_back_when_that_fails(
    new_application, git_repository
):
    port = free_port()
    application = await new_application(ports_mappings=f"127.0.0.1:{port}:3000")

    async def direct() -> str:
        answer = await application.installation.proxy.get(f"http://127.0.0.1:{port}/")
        return answer.text

    await application.deploy()
    assert await direct() == "v1"
    git_repository.release("v2")
    shown = await application.deploy()
    assert [one["name"] for one in shown["steps"]].index("stop_old") < [
        one["name"] for one in shown["steps"]
    ].index("start")
    assert await direct() == await application.version() == "v2"
    assert len(await application.containers()) == 1

    git_repository.release("v3")
    await application.set_variables(HEALTH_STATUS="500")
    await application.change(**SOON_UNHEALTHY)
    failed = await application.fail()
    assert failed["error"]["code"] == "release_unhealthy"
    assert statuses(failed)["stop_old"] == "compensated"
    assert await direct() == await application.version() == "v2"
    assert len(await application.containers()) == 1

    taken = await new_application(ports_mappings=f"127.0.0.1:{port}:3000")
    error = (await taken.fail())["error"]
    assert error["code"] == "replica_refused"
    assert str(port) in error["message"]
    assert await taken.containers() == []
    assert await direct() == "v2"


async def test_a_crashed_application_is_restarted_and_its_status_says_so(
    deployed, engine: docker.DockerClient
):
    (container,) = await deployed.containers()
    await asyncio.to_thread(container.exec_run, ["sh", "-c", "kill -9 $(busybox pidof python3)"])

    async def restarted() -> bool:
        details = await asyncio.to_thread(engine.api.inspect_container, container.id)
        return details["RestartCount"] == 1 and details["State"]["Running"]

    await eventually(restarted)
    await eventually(deployed.version)
    seen: list[str] = []

    async def runs() -> bool:
        shown = await deployed.installation.ask("GET", f"/applications/{deployed.uuid}")
        seen.append(shown["status"])
        return seen[-1].startswith("running")

    await eventually(runs, 30)
    # An engine that is busy for longer than a page waits leaves it unknown; nothing else is said meanwhile.
    assert set(seen[:-1]) <= {"unknown:unknown"}
