"""Cookies of browsers: who they belong to, and that other sites cannot use them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fastapi import Response
from pydantic import SecretStr

from api.sessions import SESSION_COOKIE, issue_session, read_session, set_session_cookie
from domain.errors import StartUpError
from store.tables import User
from tests.integration.api.conftest import SETTINGS, Seaway

USER = User(id="u" * 24, email="a@example.com", password_hash="", session_epoch=3)
DAY = 24 * 3600


def test_a_session_is_read_as_it_was_issued_for_fourteen_days() -> None:
    cookie = issue_session(USER, SETTINGS, now=0)
    session = read_session(cookie, SETTINGS, now=14 * DAY - 1)
    assert session is not None
    assert (session.user_id, session.epoch) == (USER.id, 3)
    assert read_session(cookie, SETTINGS, now=14 * DAY) is None


@pytest.mark.parametrize("position", [0, 26, 38, -1])
def test_a_session_with_one_character_changed_is_worth_nothing(position: int) -> None:
    cookie = issue_session(USER, SETTINGS, now=0)
    changed = list(cookie)
    changed[position] = "A" if changed[position] != "A" else "B"
    assert read_session("".join(changed), SETTINGS, now=1) is None


@pytest.mark.parametrize("cookie", ["", ".", "...", "a.b.c.d", "ü.1.1.x", "u" * 10_000])
def test_what_is_no_session_is_refused_without_an_error(cookie: str) -> None:
    assert read_session(cookie, SETTINGS) is None


def test_another_secret_makes_other_sessions() -> None:
    other = replace(SETTINGS, session_secret=SecretStr("another"))
    assert read_session(issue_session(USER, other), SETTINGS) is None


def test_without_a_secret_nobody_logs_in() -> None:
    without = replace(SETTINGS, session_secret=SecretStr(""))
    with pytest.raises(StartUpError):
        issue_session(USER, without)
    assert read_session(issue_session(USER, SETTINGS), without) is None


@pytest.mark.parametrize(("url", "is_secure"), [("http://a.test", False), ("https://a.test", True)])
def test_scripts_and_other_sites_do_not_get_the_cookie(url: str, is_secure: bool) -> None:
    response = Response()
    set_session_cookie(response, USER, replace(SETTINGS, public_url=url))
    attributes = response.headers["Set-Cookie"].lower().split("; ")
    assert {"httponly", "samesite=lax", "path=/", f"max-age={14 * DAY}"} <= set(attributes)
    assert ("secure" in attributes) is is_secure


async def test_a_logged_in_browser_may_use_the_api(seaway: Seaway) -> None:
    cookie = issue_session(seaway.mine.user, SETTINGS)
    async with seaway.client(Cookie=f"{SESSION_COOKIE}={cookie}") as client:
        assert (await client.get("/projects")).status_code == 200


async def test_raising_the_epoch_of_a_user_ends_their_sessions(seaway: Seaway) -> None:
    cookie = issue_session(seaway.mine.user, SETTINGS)
    async with seaway.store.database.writing() as session:
        row = await session.get(User, seaway.mine.user.id)
        assert row is not None
        row.session_epoch += 1
        session.add(row)
    async with seaway.client(Cookie=f"{SESSION_COOKIE}={cookie}") as client:
        assert (await client.get("/projects")).status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 201),
        ({"Origin": "http://seaway.test"}, 201),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://seaway.test"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://evil.test"}, 403),
        ({"Origin": "null"}, 403),
        ({}, 403),
    ],
)
async def test_another_site_cannot_change_anything_with_the_cookie(
    seaway: Seaway, headers: dict[str, str], status: int
) -> None:
    cookie = issue_session(seaway.mine.user, SETTINGS)
    async with seaway.client(Cookie=f"{SESSION_COOKIE}={cookie}", **headers) as client:
        assert (await client.post("/projects", json={"name": "new"})).status_code == status


async def test_a_wrong_token_is_not_mended_by_a_good_cookie(seaway: Seaway) -> None:
    cookie = issue_session(seaway.mine.user, SETTINGS)
    async with seaway.client("wrong", Cookie=f"{SESSION_COOKIE}={cookie}") as client:
        assert (await client.get("/projects")).status_code == 401
