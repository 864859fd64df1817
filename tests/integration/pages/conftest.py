"""The pages in this process, on a real database, seen by a browser without a screen."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from api.application import create_api
from api.authentication import SESSION_COOKIE, issue_session
from api.pages import pages_router
from api.throttling import LoginThrottle
from tests.harness.pages_world import EMAIL, PASSWORD, World, make_database, open_world, world_of
from tests.harness.refilled_database import RefilledDatabase

ORIGIN = "http://seaway.test"


@dataclass
class Visit:
    """A browser: it keeps cookies, says where its forms come from, and sends back hidden fields."""

    client: httpx.AsyncClient
    headers: dict[str, str] = field(default_factory=lambda: {"Origin": ORIGIN})

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.get(path, headers=headers)

    async def log_in(
        self, email: str = EMAIL, password: str = PASSWORD, next_path: str = ""
    ) -> httpx.Response:
        form = {"email": email, "password": password, "next": next_path}
        return await self.client.post("/login", data=form, headers=self.headers)

    async def send(self, page: str, path: str = "", **fields: str) -> httpx.Response:
        """Opens the page and sends its form to `path`, or to the page itself."""
        html = (await self.client.get(page)).text
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', html))
        form = {name: unescape(value) for name, value in hidden.items() if name != "next"}
        return await self.client.post(path or page, data={**form, **fields}, headers=self.headers)


@pytest.fixture(scope="session")
async def made_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pages") / "seaway.db"
    await make_database(path)
    return path


@pytest.fixture(scope="session")
async def refilled(
    made_database: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RefilledDatabase]:
    refilled = RefilledDatabase(made_database, tmp_path_factory.mktemp("refilled"))
    yield refilled
    await refilled.database.close()


@pytest.fixture
async def world(refilled: RefilledDatabase) -> World:
    return await world_of(await refilled.refill())


@pytest.fixture(scope="session")
async def application_server(made_database: Path) -> FastAPI:
    """Made once, because that takes longer than most tests; each test gives it its own world."""
    async with open_world(made_database) as world:
        return create_api(world.context, pages=pages_router())


@pytest.fixture
async def stranger(application_server: FastAPI, world: World) -> AsyncIterator[Visit]:
    """A browser in which nobody is logged in."""
    application_server.state.context = world.context
    application_server.state.login_throttle = LoginThrottle()
    transport = httpx.ASGITransport(application_server)
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
        yield Visit(client)


@pytest.fixture
async def visit(stranger: Visit, world: World) -> Visit:
    """A browser in which the owner is logged in."""
    user = await world.store.access.user(world.owner.user_id)
    assert user is not None
    stranger.client.cookies.set(SESSION_COOKIE, issue_session(user, world.context.settings), "seaway.test")
    return stranger


@pytest.fixture
async def other_team(world: World) -> str:
    """The e-mail of the owner of another team, who has the same password."""
    email = "otto@example.com"
    await world.store.access.create_user(email=email, password=SecretStr(PASSWORD), team_name="Others")
    return email
