"""One server as the edge of an application on several: releases, and the loss of a server, under load."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import docker
import httpx
import pytest

from tests.e2e.applications import Application, brief, create
from tests.e2e.installation import Installation, installed
from tests.e2e.remote import add_key, add_server, load_images
from tests.harness.images import SAMPLE_APPLICATION_FOLDER, BaseImages
from tests.harness.load import NUMBER, LoadGenerator
from tests.harness.load_report import Failure, now
from tests.harness.repositories import GitRepository
from tests.harness.ssh_servers import SshServer, SshServers
from tests.harness.waiting import eventually

# The first run on a machine makes the servers' images.
pytestmark = [pytest.mark.drill, pytest.mark.timeout(1200)]
COUNT = 3
EDGE_PORT = 9480
LIMIT_SECONDS = 240.0


@dataclass
class Fleet:
    """A Seaway, and machines with what it calls them."""

    seaway: Installation
    machines: list[SshServer]
    ids: list[str]

    @property
    def visitors_address(self) -> str:
        """Where everything that this machine sends to the servers comes from."""
        return self.machines[0].host.rpartition(".")[0] + ".1"


@pytest.fixture(scope="module")
async def fleet(
    engine: docker.DockerClient, base_images: BaseImages, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Fleet]:
    """Three usable servers."""
    async with installed(tmp_path_factory.mktemp("seaway"), engine) as seaway:
        with SshServers(engine, tmp_path_factory.mktemp("fleet")) as servers:
            await seaway.start()
            machines = [await asyncio.to_thread(servers.add) for _ in range(COUNT)]
            await load_images(machines, base_images.python)
            key = await add_key(seaway, servers.private_key)
            adding = [add_server(seaway, machine, key) for machine in machines]
            yield Fleet(seaway, machines, list(await asyncio.gather(*adding)))


@pytest.fixture
async def behind_an_edge(fleet: Fleet, git_repository: GitRepository) -> Application:
    """An application on all servers; the first one is its edge as well."""
    application = await create(
        fleet.seaway,
        git_repository=git_repository.url,
        git_branch="main",
        server_uuid=fleet.ids[0],
        server_uuids=fleet.ids,
        edge_server_uuid=fleet.ids[0],
        replicas=2,
        drain_seconds=20,
        health_check_interval=1,
        health_check_timeout=2,
    )
    await released(application)
    return application


async def released(application: Application) -> dict[str, Any]:
    """A deployment, which must succeed; each takes its time on three servers of one busy machine."""
    shown = await application.ended(await application.start_deploy(), LIMIT_SECONDS)
    assert shown["outcome"] == "finished", brief(shown)
    return shown


def visitors(application: Application, edge: SshServer, **mixture: Any) -> LoadGenerator:
    return LoadGenerator(
        f"http://{application.host}",
        address=(edge.host, 80),
        rate_per_second=25,
        websockets=3,
        websocket_seconds=4,
        **mixture,
    )


async def ask(
    machine: SshServer, host: str, path: str, *, port: int = 80, forwarded_for: str = ""
) -> httpx.Response:
    headers = {"Host": host, **({"X-Forwarded-For": forwarded_for} if forwarded_for else {})}
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        return await client.get(f"http://{machine.host}:{port}{path}", headers=headers)


async def who_answers(edge: SshServer, host: str, count: int) -> set[str]:
    """So many replicas, which all answer visitors in these moments; other visitors take turns as well."""
    found: set[str] = set()

    async def all_of_them() -> bool:
        answer = await ask(edge, host, "/hostname")
        found.update({answer.text.strip()} if answer.status_code == 200 else ())
        return len(found) == count

    await eventually(all_of_them, 120, describe=lambda: f"{count} replicas that answer, not {found}")
    return found


async def requests_at(machine: SshServer, application: Application, since: datetime) -> set[int]:
    """The numbers of the requests that replicas there had begun and not answered at that moment.

    It is asked past the link, which is cut.
    """
    look = ("docker", "ps", "-q", "--filter", f"label=seaway.application={application.uuid}")
    containers = (await asyncio.to_thread(machine.run, *look))[1].split()
    ask_it = (
        "import urllib.request as r; "
        f"print(r.urlopen('http://127.0.0.1:3000/open?since={since.timestamp()}').read().decode())"
    )
    found: set[int] = set()
    for one in containers:
        code, output = await asyncio.to_thread(machine.run, "docker", "exec", one, "python3", "-c", ask_it)
        assert code == 0, output
        found.update(json.loads(output))
    return found


def number_of(failure: Failure) -> int:
    """Of a request whose load is numbered."""
    return int(parse_qs(urlsplit(failure.path).query)[NUMBER][0])


async def test_a_release_through_the_edge_is_noticed_by_no_visitor(
    fleet: Fleet, behind_an_edge: Application, git_repository: GitRepository
) -> None:
    application, edge = behind_an_edge, fleet.machines[0]
    git_repository.release("v2")
    async with visitors(application, edge, slow_seconds=3) as load:
        shown = await released(application)
        await eventually(
            lambda: any(seen.version == "v2" for seen in load.report().versions), 60, describe="v2"
        )
    load.report().assert_no_failures(50)
    assert {step["server"] for step in shown["steps"] if step["name"] == "edge"} == {edge.name}
    assert len(await who_answers(edge, application.host, 2 * COUNT)) == 2 * COUNT

    # Only who the edge is may say who a visitor is.
    answer = await ask(edge, application.host, "/headers", forwarded_for="203.0.113.9")
    seen_by_application = {name.lower(): value for name, value in json.loads(answer.text).items()}
    assert seen_by_application["x-forwarded-for"].split(",")[0] == fleet.visitors_address
    assert not any(name.startswith("x-seaway") for name in seen_by_application)
    assert (await ask(fleet.machines[1], application.host, "/headers", port=EDGE_PORT)).status_code == 404

    await application.change(edge_server_uuid=None, server_uuids=fleet.ids[1:])
    await released(application)
    assert (await ask(edge, application.host, "/")).status_code == 404
    assert (await ask(fleet.machines[1], application.host, "/")).text.strip() == "v2"


async def test_a_health_check_that_moves_is_noticed_by_no_visitor_while_the_edge_asks_for_the_old_one(
    fleet: Fleet, behind_an_edge: Application, git_repository: GitRepository
) -> None:
    application, edge = behind_an_edge, fleet.machines[0]
    await application.change(server_uuids=fleet.ids[1:])
    await released(application)
    before = (SAMPLE_APPLICATION_FOLDER / "app.py").read_text()
    moved = before.replace('case "/health":', 'case "/healthz":')
    assert moved != before
    git_repository.release("v2", {"app.py": moved})
    await application.change(health_check_path="/healthz")
    async with visitors(application, edge) as load:
        # Only visitors reach the edge, so it learns of the release when the servers have had it for long.
        with edge.dropping("INPUT", "-p", "tcp", "--dport", str(edge.port)):
            deployment = await application.start_deploy()
            await eventually(
                lambda: any(seen.version == "v2" for seen in load.report().versions), 120, describe="v2"
            )
            answered = load.succeeded
            await eventually(lambda: load.succeeded >= answered + 200, 60, describe="checks that are made")
            assert (await application.shown(deployment))["outcome"] is None
        shown = await application.ended(deployment, LIMIT_SECONDS)
    assert shown["outcome"] == "finished", brief(shown)
    load.report().assert_no_failures(50)
    assert (await ask(edge, application.host, "/")).text.strip() == "v2"


async def test_a_release_without_a_server_leads_nobody_to_the_old_version_there(
    fleet: Fleet, behind_an_edge: Application, git_repository: GitRepository
) -> None:
    application, (edge, _, third) = behind_an_edge, fleet.machines
    await application.change(
        min_available=COUNT - 1, health_check_timeout=1, health_check_interval=1, health_check_retries=3
    )
    git_repository.release("v2")
    async with visitors(application, edge, slow_seconds=3) as load:
        # Seaway cannot ask the replicas there; the proxy beside them can.
        with third.dropping("OUTPUT", "-p", "tcp", "--dport", "3000", "--syn"):
            shown = await released(application)
        assert shown["note"].startswith(f"Released without {third.name} ("), shown["note"]
        assert (await ask(third, application.host, "/")).text.strip() == "v1"
        answers = [await ask(edge, application.host, "/") for _ in range(6 * COUNT)]
        assert {answer.text.strip() for answer in answers} == {"v2"}
        git_repository.release("v3")
        await released(application)
        await who_answers(edge, application.host, 2 * COUNT)
    load.report().assert_no_failures(50)
    assert [(await ask(one, application.host, "/")).text.strip() for one in fleet.machines] == ["v3"] * COUNT


async def test_the_loss_of_a_server_costs_at_most_what_is_in_flight_on_it(
    fleet: Fleet, behind_an_edge: Application, record_property: Callable[[str, object], None]
) -> None:
    application, (edge, _, lost) = behind_an_edge, fleet.machines
    everyone = await who_answers(edge, application.host, 2 * COUNT)
    async with visitors(application, edge, slow_every_seconds=0.25, slow_seconds=3, numbered=True) as load:
        await eventually(lambda: load.succeeded >= 60, 60, describe="a load that runs")
        cut_at = now()
        await asyncio.to_thread(lost.cut)
        lost_at = now()
        in_flight = [await requests_at(one, application, cut_at) for one in fleet.machines]
        await asyncio.to_thread(lost.kill)
        before = load.succeeded
        await eventually(lambda: load.succeeded >= before + 250, 120, describe="visitors who go on")
        assert await who_answers(edge, application.host, 2 * (COUNT - 1)) < everyone
        await asyncio.to_thread(lost.start)
        assert await who_answers(edge, application.host, 2 * COUNT) == everyone
    report = load.report()
    record_property("report", report.summary())
    *elsewhere, there = in_flight
    record_property("in flight", f"{len(there)} there, {[len(one) for one in elsewhere]} elsewhere")
    assert all(in_flight), "requests are open on every server"
    # What was sent while the link was being cut may have been on its way there.
    on_the_way = [one for one in report.failures if cut_at <= one.started_at <= lost_at]
    allowed = [one for one in report.failures if number_of(one) in there or one in on_the_way]
    assert [one for one in report.failures if one not in allowed] == [], f"{there}: {report.summary()}"
    assert len(on_the_way) <= 25 * (lost_at - cut_at).total_seconds() + 2
