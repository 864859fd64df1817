"""The pages in a real browser: live without reload, by keyboard, in light and dark."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect
from playwright.async_api import Error as PlaywrightError

from api.application import create_api
from api.pages import pages_router
from domain.deployments import DeploymentStatus, OperationKind, StepName, StepStatus
from domain.servers import ServerStatus
from store.columns import now
from tests.harness.pages_seeds import seed_fleet, seed_registry
from tests.harness.pages_world import EMAIL, PASSWORD, World, make_database, open_world
from tests.harness.waiting import eventually

CHROMIUM = os.environ.get("SEAWAY_CHROMIUM", "/usr/bin/chromium")
LIMIT_MILLISECONDS = 15_000
START_LIMIT_SECONDS = 20
LOAD_LIMIT_SECONDS = 30
NETWORK_CHANGED = "ERR_NETWORK_CHANGED"


@dataclass
class Site:
    """Seaway's pages on a port of their own, a browser page on them, and what is underneath."""

    world: World
    url: str
    page: Page

    async def log_in(self) -> None:
        await self.page.goto(f"{self.url}/login")
        await self.page.get_by_label("E-mail").fill(EMAIL)
        await self.page.get_by_label("Password").fill(PASSWORD)
        await self.page.get_by_role("button", name="Log in").click()
        await self.page.wait_for_url("**/applications")

    async def open(self, path: str) -> None:
        """A page that must not be loaded again afterwards: the mark would be lost."""
        await self.load(path)
        await self.page.evaluate("document.documentElement.dataset.mark = 'first load'")

    async def load(self, path: str) -> None:
        """The page with its script. Networks that containers come and go with make Chromium drop requests."""

        async def try_once() -> bool:
            await self.page.goto(self.url + path)
            return await self.page.evaluate("document.documentElement.classList.contains('has-script')")

        await eventually(try_once, LOAD_LIMIT_SECONDS, describe=path, ignored=(PlaywrightError,))

    async def was_not_loaded_again(self) -> bool:
        return await self.page.evaluate("document.documentElement.dataset.mark") == "first load"


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        await browser.close()


def _complaint(message: ConsoleMessage) -> list[str]:
    return [message.text] if message.type == "error" and NETWORK_CHANGED not in message.text else []


@pytest.fixture
async def site(browser: Browser, tmp_path: Path) -> AsyncIterator[Site]:
    """A fresh world; what a page complains about in its console fails the test."""
    path = tmp_path / "seaway.db"
    await make_database(path)
    async with open_world(path) as world:
        listener = socket.create_server(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        app = create_api(world.context, pages=pages_router())
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
        running = asyncio.create_task(server.serve(sockets=[listener]))
        complaints: list[str] = []
        await eventually(lambda: server.started, START_LIMIT_SECONDS, describe="the pages are served")
        context = await browser.new_context(color_scheme="light")
        context.set_default_timeout(LIMIT_MILLISECONDS)
        page = await context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.extend(_complaint(message)))
        expect.set_options(timeout=LIMIT_MILLISECONDS)
        try:
            yield Site(world, url, page)
        finally:
            # What is cut off by closing the browser is no complaint.
            complained = list(complaints)
            await context.close()
            server.should_exit = True
            await running
        assert complained == []


async def test_the_list_follows_what_happens_without_a_reload(site: Site) -> None:
    await site.log_in()
    application = await site.world.application("Storefront")
    await site.open("/applications")
    row = site.page.locator(f"#application-{application.id}")
    await expect(row).to_contain_text("Not deployed")
    deployment = await site.world.begin(
        await site.world.deployment(application, commit="5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a9b8c7d6e")
    )
    await expect(row).to_contain_text("Deploying")
    await expect(row).to_contain_text("5d4e3f2")
    await site.world.serve(application, deployment)
    await expect(row).to_contain_text("Running")
    other = await site.world.application("Kiosk")
    await expect(site.page.locator(f"#application-{other.id}")).to_be_visible()
    assert await site.was_not_loaded_again()


async def test_steps_and_log_of_a_deployment_arrive_without_a_reload(site: Site) -> None:
    world = site.world
    await site.log_in()
    application = await world.application("Storefront")
    deployment = await world.deployment(application, commit_message="Search by colour")
    await site.open(f"/deployments/{deployment.id}")
    await expect(site.page.locator("#timeline")).to_contain_text("Its steps will be listed here")
    await world.begin(deployment)
    await world.step(deployment, StepName.BUILD, StepStatus.RUNNING)
    await world.write(deployment, StepName.BUILD, "#1 load <b>definition</b>", "#2 copy")
    log = site.page.locator("#deployment-log")
    await expect(log.locator(".log-line")).to_have_text(["#1 load <b>definition</b>", "#2 copy"])
    await expect(log.locator(".log-heading")).to_have_text("Build image")
    step = site.page.locator("#timeline li").filter(has_text="Build image")
    await expect(step).to_have_class("running")
    await world.step(deployment, StepName.BUILD, StepStatus.SUCCEEDED, "Built in one go")
    await expect(step).to_have_class("succeeded done")
    await expect(step).to_contain_text("Built in one go")
    await world.step(deployment, StepName.HEALTH, StepStatus.RUNNING)
    await world.write(deployment, StepName.HEALTH, "GET / answered 200")
    await world.step(deployment, StepName.HEALTH, StepStatus.SUCCEEDED)
    await world.serve(application, deployment)
    await expect(site.page.locator("#deployment-outcome")).to_contain_text("This version serves.")
    await expect(site.page.locator("#deployment-head .status")).to_have_text("Finished")
    await expect(log.locator(".log-line")).to_have_count(3)
    assert await log.locator(".log-line").last.get_attribute("data-number") == "3"
    assert await site.was_not_loaded_again()


async def test_a_page_opened_midway_goes_on_after_the_lines_it_has(site: Site) -> None:
    world = site.world
    await site.log_in()
    deployment = await world.begin(await world.deployment(await world.application("Shop")))
    await world.write(deployment, StepName.BUILD, "one", "two")
    await site.open(f"/deployments/{deployment.id}")
    lines = site.page.locator(".log-line")
    await expect(lines).to_have_text(["one", "two"])
    await world.write(deployment, StepName.BUILD, "three")
    await expect(lines).to_have_text(["one", "two", "three"])
    await expect(site.page.locator(".log-heading")).to_have_count(1)


async def test_a_newer_attempt_replaces_the_lines_of_the_older_one(site: Site) -> None:
    world = site.world
    await site.log_in()
    deployment = await world.begin(await world.deployment(await world.application("Shop")))
    await world.write(deployment, StepName.RESOLVE_SOURCE, "kept")
    await world.write(deployment, StepName.BUILD, "from a worker that died")
    await site.open(f"/deployments/{deployment.id}")
    lines = site.page.locator(".log-line")
    await expect(lines).to_have_count(2)
    await world.store.logs.open(deployment.id, StepName.BUILD, "localhost", 2)
    await world.write(deployment, StepName.BUILD, "again", attempt=2)
    await expect(lines).to_have_text(["kept", "again"])
    assert await lines.last.get_attribute("data-number") == "2"


async def test_the_log_follows_its_end_until_its_reader_scrolls_up(site: Site) -> None:
    world = site.world
    await site.log_in()
    deployment = await world.begin(await world.deployment(await world.application("Shop")))
    await world.write(deployment, StepName.BUILD, *(f"line {number}" for number in range(400)))
    await site.open(f"/deployments/{deployment.id}")
    log = site.page.locator("#deployment-log")
    await expect(site.page.get_by_text("line 399", exact=True)).to_be_in_viewport()
    await log.hover()
    await site.page.mouse.wheel(0, -2000)
    follow = site.page.get_by_role("button", name="Follow")
    await expect(follow).to_have_attribute("aria-pressed", "false")
    top = await log.evaluate("element => element.scrollTop")
    await world.write(deployment, StepName.BUILD, "the newest")
    await expect(site.page.get_by_text("the newest", exact=True)).to_be_attached()
    assert abs(await log.evaluate("element => element.scrollTop") - top) < 5
    await site.page.get_by_role("button", name="To the newest line").click()
    await expect(site.page.get_by_text("the newest", exact=True)).to_be_in_viewport()
    await expect(follow).to_have_attribute("aria-pressed", "true")


async def test_the_log_shows_the_step_that_is_chosen(site: Site) -> None:
    world = site.world
    await site.log_in()
    deployment = await world.begin(await world.deployment(await world.application("Shop")))
    await world.write(deployment, StepName.RESOLVE_SOURCE, "fetching")
    await world.write(deployment, StepName.BUILD, "building")
    await site.open(f"/deployments/{deployment.id}")
    await site.page.locator("#timeline button").filter(has_text="Build image").click()
    await expect(site.page.get_by_text("building", exact=True)).to_be_visible()
    await expect(site.page.get_by_text("fetching", exact=True)).to_be_hidden()
    await world.write(deployment, StepName.RESOLVE_SOURCE, "fetching more")
    await world.write(deployment, StepName.BUILD, "building more")
    await expect(site.page.get_by_text("building more", exact=True)).to_be_visible()
    await expect(site.page.get_by_text("fetching more", exact=True)).to_be_hidden()
    await site.page.get_by_label("Show the log of").select_option("")
    await expect(site.page.get_by_text("fetching", exact=True)).to_be_visible()


async def test_the_runtime_log_is_followed(site: Site) -> None:
    await site.log_in()
    application = await site.world.application("Shop")
    site.world.runtime.lines[application.id] = [f"GET /{number}" for number in range(90)]
    await site.open(f"/applications/{application.id}/logs")
    await expect(site.page.locator("[data-log-live]")).to_have_text("Live")
    await expect(site.page.get_by_text("GET /89", exact=True)).to_be_in_viewport()
    await site.world.runtime.news.put("GET /<script>")
    await expect(site.page.get_by_text("GET /<script>", exact=True)).to_be_in_viewport()
    await expect(site.page.locator(".log-line")).to_have_count(91)


async def test_d_asks_and_deploys(site: Site) -> None:
    await site.log_in()
    application = await site.world.application("Shop")
    await site.open(f"/applications/{application.id}")
    await site.page.keyboard.press("d")
    dialog = site.page.get_by_role("dialog", name="Deploy Shop")
    await expect(dialog).to_be_visible()
    await site.page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    assert not site.world.operations.submitted
    await site.page.keyboard.press("d")
    await dialog.get_by_label("Branch or tag").fill("release")
    await dialog.get_by_role("button", name="Deploy").click()
    await site.page.wait_for_url("**/deployments/*")
    ((_, kind, options),) = site.world.operations.submitted
    assert (kind, options["branch"]) == (OperationKind.DEPLOY, "release")


async def test_a_shortcut_counts_from_the_moment_that_a_dialog_is_closed(site: Site) -> None:
    await site.log_in()
    application = await site.world.application("Shop")
    await site.open(f"/applications/{application.id}")
    dialog = site.page.get_by_role("dialog", name="Deploy Shop")
    await site.page.keyboard.press("d")
    for _ in range(3):
        await expect(dialog).to_be_visible()
        # The browser leaves the focus in the closed dialog until it draws the page anew.
        await asyncio.gather(site.page.keyboard.press("Escape"), site.page.keyboard.press("d"))
    await expect(dialog).to_be_visible()
    await expect(dialog.get_by_label("Branch or tag")).to_have_value("")


async def test_shortcuts_lead_around_and_leave_typing_alone(site: Site) -> None:
    await site.log_in()
    application = await site.world.application("Garden")
    await site.world.application("Shop")
    await site.open(f"/applications/{application.id}/settings")
    await site.page.get_by_label("Name", exact=True).fill("")
    await site.page.keyboard.type("g a d?/")
    assert await site.page.get_by_label("Name", exact=True).input_value() == "g a d?/"
    assert await site.was_not_loaded_again()
    await site.page.get_by_label("Name", exact=True).blur()
    await site.page.keyboard.press("?")
    await expect(site.page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    await site.page.keyboard.press("Escape")
    await site.page.keyboard.press("g")
    await site.page.keyboard.press("a")
    await site.page.wait_for_url("**/applications")
    await site.page.keyboard.press("/")
    await site.page.keyboard.type("gard")
    await expect(site.page.get_by_role("link", name="Garden", exact=True)).to_be_visible()
    await expect(site.page.get_by_role("link", name="Shop", exact=True)).to_be_hidden()
    await site.page.keyboard.type("zzz")
    await expect(site.page.get_by_text("No application matches")).to_be_visible()


async def test_the_chosen_colours_stay(site: Site) -> None:
    await site.log_in()

    async def paper() -> str:
        return await site.page.evaluate("getComputedStyle(document.body).backgroundColor")

    light = await paper()
    await site.page.get_by_role("button", name="Dark").click()
    dark = await paper()
    assert dark != light
    await site.page.reload()
    assert await paper() == dark
    await site.page.get_by_role("button", name="As the system").click()
    assert await paper() == light


async def test_a_value_is_fetched_only_when_it_is_revealed(site: Site) -> None:
    await site.log_in()
    application = await site.world.application("Shop")
    await site.open(f"/applications/{application.id}/variables")
    await site.page.get_by_label("Name").fill("TOKEN")
    await site.page.get_by_label("Value").fill("t0ken")
    await site.page.get_by_role("button", name="Add", exact=True).click()
    row = site.page.get_by_role("row", name="TOKEN")
    assert "t0ken" not in await site.page.content()
    await row.get_by_text("Reveal").click()
    await expect(row).to_contain_text("t0ken")
    await row.get_by_text("Hide").click()
    await expect(row).not_to_contain_text("t0ken")


async def test_without_scripts_everything_still_works(site: Site, browser: Browser) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    plain = Site(site.world, site.url, page)
    await plain.log_in()
    application = await site.world.application("Shop")
    await page.goto(f"{site.url}/applications/{application.id}")
    await page.get_by_role("link", name="Deploy", exact=True).click()
    await page.get_by_role("button", name="Deploy", exact=True).click()
    await page.wait_for_url("**/deployments/*")
    await page.get_by_role("link", name="Cancel").click()
    await page.get_by_role("button", name="Cancel the deployment").click()
    await expect(page.get_by_text("is being cancelled")).to_be_visible()
    assert len(site.world.operations.cancelled) == 1
    await page.get_by_role("button", name="Dark").click()
    assert await page.locator("html").get_attribute("data-theme") == "dark"
    await context.close()


async def test_a_changed_host_key_alarms_an_open_page_and_is_accepted_there(site: Site) -> None:
    world, page = site.world, site.page
    path = (await seed_fleet(world))["usable"]
    await site.log_in()
    await site.open(path)
    await expect(page.locator("#server-head .status")).to_have_text("Usable")
    shown = world.host_keys.key
    await world.store.servers.set(
        path.rpartition("/")[2], status=ServerStatus.HOST_KEY_CHANGED, shown_host_key=shown.text
    )
    alarm = page.get_by_role("alert")
    await expect(alarm).to_contain_text("This is not the server it was")
    await expect(alarm).to_contain_text(shown.fingerprint)
    assert await site.was_not_loaded_again()
    await alarm.get_by_role("link", name="Compare and accept").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text(f"Shown now: {shown.fingerprint}")
    await dialog.get_by_label("Fingerprint").fill(shown.fingerprint)
    await dialog.get_by_role("button", name="Accept this key").click()
    await expect(page.get_by_role("status").first).to_contain_text("The new host key is accepted")
    assert world.servers.provisioned == [path.rpartition("/")[2]]


@pytest.mark.parametrize("width", [360, 1280])
async def test_no_page_is_wider_than_the_window(site: Site, width: int) -> None:
    world = site.world
    await site.log_in()
    application = await world.application("A" * 120)
    deployment = await world.begin(
        await world.deployment(application, commit_message="b" * 300, branch="c" * 200)
    )
    await world.write(deployment, StepName.BUILD, "d" * 1000)
    await world.store.deployments.update(
        deployment.id,
        status=DeploymentStatus.FAILED,
        finished_at=now(),
        error_message="e" * 300,
        error_detail="f" * 500,
    )
    await site.page.set_viewport_size({"width": width, "height": 800})
    paths = ["/applications", "/applications/new", f"/deployments/{deployment.id}"]
    paths += [f"/applications/{application.id}{tab}" for tab in ("", "/variables", "/settings", "/logs")]
    server = (await seed_fleet(world))["broken"]
    await world.store.servers.set(
        server.rpartition("/")[2],
        name="g" * 120,
        address="h" * 200,
        status_message="i" * 300,
        system="j" * 120,
    )
    paths += ["/registries", await seed_registry(world)]
    paths += ["/servers", "/servers/new", "/keys", server, f"{server}/settings", f"{server}/remove"]
    for path in paths:
        await site.load(path)
        excess = await site.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert excess <= 0, path
