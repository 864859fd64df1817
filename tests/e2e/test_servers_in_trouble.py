"""One server over SSH, known by its IPv6 address, and what befalls it: another host key, a removal.

Its pages are used in a real browser.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import docker
import httpx
import pytest
from playwright.async_api import Page, async_playwright, expect

from domain.host_keys import fingerprint_of
from domain.servers import SERVER_STEP_TITLES
from tests.e2e.applications import Application, create
from tests.e2e.installation import Installation, installed
from tests.e2e.remote import add_key, add_server, load_images, until_usable, version_at
from tests.e2e.test_pages import CHROMIUM
from tests.harness.images import BaseImages
from tests.harness.repositories import GitRepository
from tests.harness.ssh_servers import SshServer, SshServers
from tests.harness.waiting import eventually

pytestmark = [pytest.mark.drill, pytest.mark.timeout(1200)]
IMPATIENT = {
    "SEAWAY_SERVER_CHECK_SECONDS": "2",
    "SEAWAY_LOST_SERVER_SECONDS": "5",
    "SEAWAY_WATCH_SECONDS": "2",
}
NOTICED_SECONDS = 60.0
LIMIT_MILLISECONDS = 60_000


@dataclass
class Place:
    """A Seaway, a machine, and what Seaway calls it."""

    seaway: Installation
    machine: SshServer
    address: str
    key: str
    server: str

    async def shown(self) -> dict[str, Any]:
        """The server, as the API shows it."""
        found: dict[str, Any] = await self.seaway.ask("GET", f"/servers/{self.server}")
        return found

    async def until(self, status: str) -> dict[str, Any]:
        """The server, once it stands so."""

        async def look() -> dict[str, Any] | None:
            shown = await self.shown()
            return shown if shown["status"] == status else None

        return await eventually(look, NOTICED_SECONDS, 0.2, f"a server that is {status}")

    async def logins(self) -> int:
        """How many log-ins the machine has accepted."""
        log = await asyncio.to_thread(self.machine.log)
        return len(re.findall("Accepted publickey", log))


@pytest.fixture(scope="module")
async def place(
    engine: docker.DockerClient, base_images: BaseImages, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Place]:
    """The server is added by its IPv6 address, and usable."""
    async with installed(tmp_path_factory.mktemp("seaway"), engine, **IMPATIENT) as seaway:
        with SshServers(engine, tmp_path_factory.mktemp("troubled")) as servers:
            await seaway.start()
            machine = await asyncio.to_thread(servers.add)
            address = await asyncio.to_thread(machine.give_ipv6)
            await load_images([machine], base_images.python)
            key = await add_key(seaway, servers.private_key)
            server = await add_server(seaway, machine, key, name="harbour", ip=f"[{address}]")
            yield Place(seaway, machine, address, key, server)


@pytest.fixture
async def deployed(place: Place, git_repository: GitRepository) -> Application:
    """An application that serves there."""
    application = await create(
        place.seaway,
        git_repository=git_repository.url,
        git_branch="main",
        server_uuid=place.server,
        drain_seconds=5,
        health_check_interval=1,
    )
    await application.deploy()
    return application


@pytest.fixture
async def page(place: Place) -> AsyncIterator[Page]:
    """A browser in which the first account is logged in."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        context = await browser.new_context(base_url=f"http://127.0.0.1:{place.seaway.ports.api}")
        context.set_default_timeout(LIMIT_MILLISECONDS)
        expect.set_options(timeout=LIMIT_MILLISECONDS)
        made = await context.new_page()
        await made.goto("/login")
        await made.get_by_label("E-mail").fill(place.seaway.credentials["email"])
        await made.get_by_label("Password").fill(place.seaway.credentials["password"])
        await made.get_by_role("button", name="Log in").click()
        await made.wait_for_url("**/applications")
        yield made
        await browser.close()


async def test_a_server_with_an_ipv6_address_serves_and_is_shown_with_brackets(
    place: Place, deployed: Application
) -> None:
    assert (await place.shown())["ip"] == place.address
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        answer = await client.get(f"http://[{place.address}]/", headers={"Host": deployed.host})
    assert (answer.status_code, answer.text.strip()) == (200, "v1")
    twin = {"name": "twin", "ip": place.address, "private_key_uuid": place.key}
    status, _ = await place.seaway.refused("POST", "/servers", json=twin)
    assert status == 409
    for wrong in (f"[{place.address}]:22", f"root@{place.address}", "fd21::1%eth0 -x", "[fd21::1", "::g"):
        status, refusal = await place.seaway.refused("POST", "/servers", json={**twin, "ip": wrong})
        assert (status, list(refusal["errors"])) == (422, ["ip"]), wrong
    listed = await place.seaway.command("server", "list")
    assert f"root@[{place.address}]:22" in listed.output
    ran = await place.seaway.command("run", deployed.name, "--server", place.address, "--", "cat", "VERSION")
    assert (ran.exit_code, ran.output) == (0, "v1\n"), ran.errors
    elsewhere = await place.seaway.command("run", deployed.name, "--server", "localhost", "--", "true")
    assert (elsewhere.exit_code, "it is on harbour" in elsewhere.errors) == (5, True)


async def test_a_name_that_resolves_to_nothing_is_told_and_nothing_hangs(place: Place) -> None:
    body = {"ip": "no-such-host.invalid", "private_key_uuid": place.key, "instant_validate": True}
    async with asyncio.timeout(30):
        server = await place.seaway.ask("POST", "/servers", json=body)
    assert server["status"] == "unreachable"
    assert "'no-such-host.invalid' resolves to no address" in server["status_message"]
    await place.seaway.ask("DELETE", f"/servers/{server['uuid']}")


async def test_another_host_key_stops_all_work_until_a_person_accepts_it(
    place: Place, deployed: Application, git_repository: GitRepository, page: Page
) -> None:
    await page.goto(f"/servers/{place.server}")
    pinned = fingerprint_of(place.machine.host_key)
    shown_key = fingerprint_of(await asyncio.to_thread(place.machine.change_host_key))
    logins = await place.logins()
    alarmed = await place.until("host_key_changed")
    for fingerprint in (pinned, shown_key):
        assert fingerprint in alarmed["status_message"]
    alarm = page.get_by_role("alert")
    await expect(alarm).to_contain_text("This is not the server it was")
    await expect(alarm).to_contain_text(shown_key)
    command = await place.seaway.command("server", "show", "harbour")
    assert "seaway server accept-host-key harbour" in command.output + command.errors

    async def is_told() -> bool:
        events = await place.seaway.ask("GET", f"/servers/{place.server}/events")
        return any("another host key" in event["message"] for event in events)

    await eventually(is_told, NOTICED_SECONDS, describe="an event of the changed host key")

    git_repository.release("v2")
    failed = await deployed.fail(120)
    assert failed["error"]["code"] == "host_key_changed"
    assert "accept the key" in failed["error"]["message"]
    ran = await place.seaway.command("run", deployed.name, "--", "true")
    assert (ran.exit_code, "another host key" in ran.errors) == (1, True)
    assert await version_at(place.machine, deployed.host) == "v1"
    assert await place.logins() == logins

    path = f"/servers/{place.server}/host-key/accept"
    status, refusal = await place.seaway.refused("POST", path, json={"fingerprint": pinned})
    assert (status, shown_key in refusal["message"]) == (409, True)
    assert (await place.shown())["status"] == "host_key_changed"
    assert await place.logins() == logins
    accepted = await place.seaway.command("server", "accept-host-key", "harbour", shown_key)
    assert accepted.exit_code == 0, accepted.errors
    await until_usable(place.seaway, place.server)
    await deployed.deploy()
    assert await version_at(place.machine, deployed.host) == "v2"


async def test_a_server_is_added_watched_and_removed_by_its_pages(
    place: Place, page: Page, deployed: Application
) -> None:
    """By its other address: what serves under the first one stays when this one goes."""
    await page.goto("/servers/new")
    await page.get_by_label("Address").fill(place.machine.host)
    await page.get_by_label("Name").fill("quay")
    await page.get_by_label("One of mine").check()
    await page.get_by_role("button", name="Add the server").click()
    await page.wait_for_url(re.compile(r"/servers/[a-z0-9]+(\?.*)?$"))
    await page.evaluate("document.documentElement.dataset.mark = 'first load'")
    timeline = page.locator("#server-timeline")
    for title in SERVER_STEP_TITLES.values():
        await expect(timeline).to_contain_text(f"{title}, ")
    await expect(page.locator("#server-head .status")).to_have_text("Usable")
    await expect(timeline.locator("li.done")).to_have_count(len(SERVER_STEP_TITLES))
    await expect(page.locator("#server-facts")).to_contain_text(fingerprint_of(place.machine.host_key))
    assert await page.evaluate("document.documentElement.dataset.mark") == "first load"

    url = page.url.partition("?")[0]
    await page.goto(f"{url}/metrics")
    await expect(page.locator("svg path[d^='M']").first).to_be_attached()
    await page.goto(f"{url}/remove")
    await page.get_by_label("Type quay to confirm").fill("quay")
    await page.get_by_role("button", name="Remove the server").click()
    await page.wait_for_url("**/servers*")
    await expect(page.get_by_role("link", name="quay")).to_have_count(0)
    assert await version_at(place.machine, deployed.host) == "v1"
