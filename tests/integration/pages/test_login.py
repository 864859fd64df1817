from __future__ import annotations

import asyncio

import pytest

from api.pages.login import safe_next
from tests.harness.pages_world import World
from tests.integration.pages.conftest import ORIGIN, Visit


async def test_whoever_is_not_logged_in_is_sent_to_the_log_in_and_then_to_the_wanted_page(
    stranger: Visit, world: World
) -> None:
    application = await world.application("Shop")
    wanted = f"/applications/{application.id}/settings?done=settings"
    sent = await stranger.get(wanted)
    assert sent.status_code == 303
    form = await stranger.get(sent.headers["Location"])
    assert form.status_code == 200
    assert "/settings?done=settings" in form.text
    answer = await stranger.log_in(next_path=wanted)
    assert answer.headers["Location"] == wanted
    assert (await stranger.get(wanted)).status_code == 200


async def test_a_null_character_in_a_form_is_refused(stranger: Visit) -> None:
    # Not looked up: PostgreSQL would refuse it as nobody expects.
    answer = await stranger.log_in(email="a\0b@example.com")
    assert (answer.status_code, "null character" in answer.text) == (422, True)


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "javascript:alert(1)",
        "",
        "evil",
    ],
)
async def test_the_log_in_never_leads_to_another_site(stranger: Visit, wanted: str) -> None:
    assert safe_next(wanted) == "/applications"
    assert (await stranger.log_in(next_path=wanted)).headers["Location"] == "/applications"


async def test_a_wrong_password_says_nothing_about_which_part_is_wrong(stranger: Visit) -> None:
    wrong_password = await stranger.log_in(password="no")
    unknown = await stranger.log_in(email="nobody@example.com", password="no")
    assert wrong_password.status_code == unknown.status_code == 401
    said = "The e-mail or the password is wrong."
    assert said in wrong_password.text
    assert said in unknown.text
    assert "seaway_session" not in wrong_password.cookies


async def test_guessing_passwords_is_slowed_down(stranger: Visit) -> None:
    for _ in range(5):
        assert (await stranger.log_in(password="guess")).status_code == 401
    assert (await stranger.log_in()).status_code == 429


async def test_guessing_many_passwords_at_the_same_moment_is_slowed_down_too(stranger: Visit) -> None:
    answers = await asyncio.gather(*(stranger.log_in(password=f"guess {number}") for number in range(12)))
    assert sorted(answer.status_code for answer in answers) == [401] * 5 + [429] * 7


async def test_another_site_cannot_log_somebody_in(stranger: Visit) -> None:
    stranger.headers = {"Origin": "https://evil.example"}
    answer = await stranger.log_in()
    assert answer.status_code == 403
    assert "seaway_session" not in answer.cookies


async def test_the_session_cookie_is_closed_to_scripts_and_to_other_sites(stranger: Visit) -> None:
    cookie = (await stranger.log_in()).headers["Set-Cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie


async def test_logging_out_ends_the_session(visit: Visit) -> None:
    answer = await visit.send("/applications", "/logout")
    assert answer.headers["Location"] == "/login"
    assert (await visit.get("/applications")).status_code == 303


async def test_a_copied_cookie_is_worth_nothing_after_logging_out(visit: Visit) -> None:
    copied = dict(visit.client.cookies)
    await visit.send("/applications", "/logout")
    visit.client.cookies.update(copied)
    assert (await visit.get("/applications")).status_code == 303


async def test_a_logged_in_visitor_of_the_log_in_goes_on(visit: Visit) -> None:
    assert (await visit.get("/login")).headers["Location"] == "/applications"


async def test_the_first_page_is_the_list(stranger: Visit) -> None:
    assert (await stranger.get("/")).headers["Location"] == "/applications"


async def test_the_colours_are_remembered_without_a_script(visit: Visit) -> None:
    answer = await visit.send("/applications", "/theme", theme="dark", next="/applications")
    assert answer.headers["Location"] == "/applications"
    assert 'data-theme="dark"' in (await visit.get("/applications")).text
    await visit.send("/applications", "/theme", theme='"><script>', next="//evil.example")
    assert 'data-theme="dark"' in (await visit.get("/applications")).text


@pytest.mark.parametrize("origin", ["https://evil.example", "null", f"{ORIGIN}.evil.example"])
async def test_a_form_of_another_site_is_refused(visit: Visit, world: World, origin: str) -> None:
    application = await world.application("Shop")
    visit.headers = {"Origin": origin}
    answer = await visit.send(f"/applications/{application.id}/deploy")
    assert answer.status_code == 403
    assert not world.operations.submitted


@pytest.mark.parametrize("token", ["", "0" * 64, "ä"])
async def test_a_form_without_our_token_is_refused(visit: Visit, world: World, token: str) -> None:
    application = await world.application("Shop")
    answer = await visit.client.post(
        f"/applications/{application.id}/deploy", data={"form_token": token}, headers=visit.headers
    )
    assert answer.status_code == 403
    assert "earlier log-in" in answer.text
    assert not world.operations.submitted
