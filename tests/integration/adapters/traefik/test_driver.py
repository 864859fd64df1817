"""Switches of a real Traefik: confirmed, exact, and without a lost request."""

from __future__ import annotations

import asyncio
import dataclasses
import time
import uuid
from functools import partial

import httpx
import pytest

from adapters.connections import open_connections
from adapters.proxy import ApplicationRoutes, Route
from adapters.traefik import driver
from adapters.traefik import routes as route_rules
from adapters.traefik.driver import TraefikProxy
from adapters.traefik.settings import API_FILE
from domain.errors import ProxyUnavailable, RouteRefused
from tests.harness.load import LoadGenerator
from tests.harness.waiting import eventually
from tests.integration.adapters.traefik.conftest import free_ports, to

SWITCHES = 20


def has_succeeded(load: LoadGenerator, count: int) -> bool:
    return load.succeeded >= count


def application() -> str:
    return f"app{uuid.uuid4().hex[:16]}"


async def get(running, path: str = "/", host: str = "shop.example", **arguments) -> httpx.Response:
    url = f"http://127.0.0.1:{running.settings.http_port}{path}"
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        return await client.get(url, headers={"Host": host}, **arguments)


async def test_a_running_proxy_is_left_alone_and_survives_its_caller(running, docker_engine):
    before = await docker_engine.inspect(running.settings.container_name)
    await running.proxy.ensure_running()
    await TraefikProxy(running.folder, docker_engine, running.settings).ensure_running()
    after = await docker_engine.inspect(running.settings.container_name)
    assert (after.id, after.started_at) == (before.id, before.started_at)


async def test_a_proxy_answers_whoever_has_another_token_too_until_it_is_stopped(
    running, docker_engine, tmp_path
):
    other = TraefikProxy(tmp_path, docker_engine, running.settings)
    assert (await running.proxy.answers(), await other.answers()) == (True, True)
    await docker_engine.stop(running.settings.container_name, 5)
    assert (await running.proxy.answers(), await other.answers()) == (False, False)
    await running.proxy.ensure_running()
    assert await running.proxy.answers()


async def test_the_api_is_closed_to_who_does_not_know_the_token(running):
    async with httpx.AsyncClient(trust_env=False) as client:
        base = f"http://127.0.0.1:{running.settings.api_port}"
        assert (await client.get(f"{base}/api/rawdata")).status_code == 401
        assert (await client.get(f"{base}/dashboard/")).status_code == 404
    assert (running.folder / "api-token").stat().st_mode & 0o077 == 0
    token = (running.folder / "api-token").read_text()
    assert token not in (running.dynamic / f"{API_FILE}.yml").read_text()


async def test_routes_are_served_once_applied_and_gone_once_withdrawn(running, replica):
    name, app = await replica("v1"), application()
    assert (await get(running)).status_code == 404
    assert await running.proxy.routes_applied(app) is None
    await running.proxy.apply(to(app, "rel1", name))
    assert (await get(running)).text.strip() == "v1"
    assert await running.proxy.routes_applied(app) == "rel1"
    assert await running.proxy.current(app) == to(app, "rel1", name)
    assert {app, API_FILE} & await running.proxy.names() == {app}
    for _ in range(2):
        await running.proxy.withdraw(app)
    assert (await get(running)).status_code == 404
    assert await running.proxy.current(app) is None


async def test_an_application_that_is_applied_again_is_not_written_again(running, replica):
    name, app = await replica("v1"), application()
    await running.proxy.apply(to(app, "rel1", name))
    before = (running.dynamic / f"{app}.yml").stat()
    await running.proxy.apply(to(app, "rel1", name))
    assert (running.dynamic / f"{app}.yml").stat().st_ino == before.st_ino
    await running.proxy.withdraw(app)


async def test_paths_are_matched_by_segment_and_stripped(running, replica):
    site, api, app = await replica("site"), await replica("api"), application()
    await running.proxy.apply(
        ApplicationRoutes(
            app,
            "rel1",
            (
                Route("shop.example", (f"http://{site}:3000",)),
                Route("shop.example", (f"http://{api}:3000",), path="/api"),
            ),
        )
    )
    assert (await get(running)).text.strip() == "site"
    assert (await get(running, "/api")).text.strip() == "api"
    assert (await get(running, "/api/")).text.strip() == "api"
    assert (await get(running, "/apis")).text.strip() != "api"
    await running.proxy.withdraw(app)


async def test_https_is_served_and_forced_by_a_redirect_that_browsers_do_not_keep(running, replica):
    name, app = await replica("v1"), application()
    await running.proxy.apply(to(app, "rel1", name, scheme="https"))
    answer = await get(running, "/x?y=1")
    assert answer.status_code == 302
    assert answer.headers["location"].startswith("https://shop.example")
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        url = f"https://127.0.0.1:{running.settings.https_port}/"
        secure = await client.get(url, headers={"Host": "shop.example"})
    assert secure.text.strip() == "v1"
    await running.proxy.withdraw(app)


async def test_a_removed_address_is_gone_when_the_switch_is_confirmed(running, replica):
    name, app = await replica("v1"), application()
    upstreams = (f"http://{name}:3000",)
    both = (Route("a.example", upstreams), Route("b.example", upstreams))
    await running.proxy.apply(ApplicationRoutes(app, "rel1", both))
    assert (await get(running, host="b.example")).status_code == 200
    await running.proxy.apply(ApplicationRoutes(app, "rel1", both[:1]))
    assert (await get(running, host="b.example")).status_code == 404
    await running.proxy.withdraw(app)


async def test_what_traefik_rejects_is_told_and_the_routes_from_before_stay(running, replica, monkeypatch):
    name, app = await replica("v1"), application()
    await running.proxy.apply(to(app, "rel1", name))
    monkeypatch.setattr(route_rules, "RETRY", {"attempts": 0})
    with pytest.raises(RouteRefused) as refused:
        await running.proxy.apply(to(app, "rel2", name))
    assert "attempt" in refused.value.detail
    monkeypatch.undo()
    await running.proxy.apply(to(app, "rel1", name))
    assert (await get(running)).text.strip() == "v1"
    assert await running.proxy.routes_applied(app) == "rel1"
    await running.proxy.withdraw(app)


async def test_a_repetition_that_is_refused_takes_no_routes_away(running, replica, monkeypatch):
    name, app = await replica("v1"), application()
    await running.proxy.apply(to(app, "rel1", name))
    monkeypatch.setattr(route_rules, "RETRY", {"attempts": 0})

    async def dies(*_: object) -> None:
        raise ProxyUnavailable("The worker was killed here.")

    with monkeypatch.context() as killed:
        killed.setattr(driver, "confirm_applied", dies)
        with pytest.raises(ProxyUnavailable):
            await running.proxy.apply(to(app, "rel2", name))
    with pytest.raises(RouteRefused):
        await running.proxy.apply(to(app, "rel2", name))
    assert (await running.proxy.current(app)).release_id == "rel2"
    monkeypatch.undo()
    await running.proxy.apply(to(app, "rel1", name))
    assert (await get(running)).text.strip() == "v1"
    await running.proxy.withdraw(app)


async def test_a_refused_route_leaves_no_file_and_others_can_still_switch(running, replica):
    name, app = await replica("v1"), application()
    with pytest.raises(RouteRefused):
        await running.proxy.apply(to("bad", "rel1", name, host="x`) || Host(`y"))
    assert await running.proxy.current("bad") is None
    await running.proxy.apply(to(app, "rel1", name))
    assert list((running.folder / "staging").iterdir()) == []
    await running.proxy.withdraw(app)


async def test_a_changed_setting_makes_a_new_container_with_the_old_routes(running, replica, docker_engine):
    name, app = await replica("v1"), application()
    await running.proxy.apply(to(app, "rel1", name))
    before = await docker_engine.inspect(running.settings.container_name)
    changed = dataclasses.replace(running.settings, https_port=free_ports(1)[0])
    try:
        await TraefikProxy(running.folder, docker_engine, changed).ensure_running()
        assert (await docker_engine.inspect(running.settings.container_name)).id != before.id
        assert await running.proxy.routes_applied(app) == "rel1"
        assert (await get(running)).text.strip() == "v1"
    finally:
        await running.proxy.ensure_running()
    await running.proxy.withdraw(app)


async def test_a_proxy_that_does_not_answer_is_unavailable(running, docker_engine, monkeypatch):
    monkeypatch.setattr("adapters.traefik.confirmation.CONFIRM_LIMIT_SECONDS", 0.3)
    (closed,) = [running.settings.api_port]
    settings = type(running.settings)(api_port=closed + 1 if closed < 65535 else closed - 1)
    proxy = TraefikProxy(running.folder / "other", docker_engine, settings)
    (running.folder / "other" / "staging").mkdir(parents=True)
    (running.folder / "other" / "dynamic").mkdir()
    with pytest.raises(ProxyUnavailable):
        await proxy.apply(to(application(), "rel1", "nobody"))


async def test_twenty_switches_under_load_lose_no_request(running, replica, record_property):
    names = [await replica("v1"), await replica("v2")]
    app = application()
    await running.proxy.apply(to(app, "rel0", names[0]))
    milliseconds: list[float] = []
    load = LoadGenerator(
        "http://shop.example",
        address=running.address,
        rate_per_second=50,
        slow_every_seconds=0.5,
        slow_seconds=1.5,
        websocket_seconds=3,
    )
    async with load:
        for number in range(1, SWITCHES + 1):
            begun = time.monotonic()
            await running.proxy.apply(to(app, f"rel{number}", names[number % 2]))
            milliseconds.append((time.monotonic() - begun) * 1000)
            assert (await get(running)).text.strip() == f"v{number % 2 + 1}"
            target = load.succeeded + 5
            await eventually(partial(has_succeeded, load, target))
    report = load.report()
    record_property("switch_milliseconds", sorted(round(value) for value in milliseconds))
    record_property("load", report.summary())
    report.assert_no_failures(minimum_requests=100)
    assert report.slow_succeeded >= 3
    assert {seen.version for seen in report.versions} >= {"v1", "v2"}
    await running.proxy.withdraw(app)


async def test_after_a_switch_the_old_version_counts_exactly_what_is_open_and_then_nothing(
    running, replica, docker_engine, record_property
):
    old, new, app = await replica("v1"), await replica("v2"), application()
    await running.proxy.apply(to(app, "rel1", old))
    pid = (await docker_engine.inspect(old)).pid

    async def count() -> int | None:
        return await open_connections(pid, 3000)

    async def counts(number: int) -> bool:
        return await count() == number

    async def slow(seconds: float) -> str:
        return (await get(running, f"/slow?seconds={seconds:g}")).text.strip()

    short = [asyncio.create_task(slow(1.5)) for _ in range(8)]
    open_requests = [asyncio.create_task(slow(seconds)) for seconds in (5, 5, 7)]
    await eventually(lambda: counts(11))
    await asyncio.gather(*short)  # the proxy keeps their connections, idle
    begun = time.monotonic()
    await running.proxy.apply(to(app, "rel2", new))
    await eventually(lambda: counts(3), timeout_seconds=3)
    record_property("seconds_until_exact", round(time.monotonic() - begun, 2))
    for _ in range(5):
        assert (await get(running)).text.strip() == "v2"
        assert await count() == 3
    assert await asyncio.gather(*open_requests[:2]) == ["v1", "v1"]
    await eventually(lambda: counts(1), timeout_seconds=2)
    assert await open_requests[2] == "v1"
    await eventually(lambda: counts(0), timeout_seconds=2)
    await docker_engine.stop(old, 5)
    assert await count() == 0
    await running.proxy.withdraw(app)
