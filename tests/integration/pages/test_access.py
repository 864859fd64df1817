from __future__ import annotations

from collections.abc import Mapping

import pytest
from pydantic import SecretStr
from sqlmodel import select

from store.tables import Membership, Variable
from tests.harness.pages_seeds import seed_fleet, seed_harbour, seed_registry
from tests.harness.pages_world import PASSWORD, World
from tests.integration.pages.conftest import Visit

TABS = ("", "/variables", "/settings", "/logs", "/deploy", "/restart", "/stop", "/scale", "/delete")


async def _pages(world: World) -> Mapping[str, str]:
    seeded = await seed_harbour(world)
    application = seeded["application"]
    return {
        "list": "/applications",
        "new": "/applications/new",
        **{f"application{tab}": f"{application}{tab}" for tab in TABS},
        "empty application": seeded["empty_application"],
        "second page": f"{application}?page=2",
        **{name: seeded[name] for name in ("running", "failed", "finished")},
        "cancel": f"{seeded['running']}/cancel",
        "rollback": f"{seeded['finished']}/rollback",
        "fragments": f"{seeded['running']}/fragments",
        **await _fleet(world),
    }


async def _fleet(world: World) -> Mapping[str, str]:
    fleet = await seed_fleet(world)
    (key,) = await world.store.servers.keys(team_id=world.owner.team_id)
    return {
        "servers": "/servers",
        "new server": "/servers/new",
        "keys": "/keys",
        **{f"server {name}": path for name, path in fleet.items()},
        "local server": f"/servers/{world.server.id}",
        **{f"server {tab}": f"{fleet['changed']}/{tab}" for tab in ("settings", "host-key", "remove")},
        "key deletion": f"/keys/{key.id}/delete",
        "registries": "/registries",
        "registry": (login := await seed_registry(world)),
        "registry deletion": f"{login}/delete",
    }


async def test_every_page_is_there_for_the_owner_and_locks_the_browser_down(
    visit: Visit, world: World
) -> None:
    for name, path in (await _pages(world)).items():
        answer = await visit.get(path)
        assert answer.status_code == 200, (name, answer.text[-2000:])
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy, name
        assert "unsafe" not in policy
        assert answer.headers["Cache-Control"] == "no-store"
        assert " style=" not in answer.text, name
        assert "<script>" not in answer.text, name


async def test_every_page_asks_for_the_log_in(stranger: Visit, world: World) -> None:
    for name, path in (await _pages(world)).items():
        answer = await stranger.get(path)
        assert answer.status_code == 303, name
        assert answer.headers["Location"].startswith("/login?next=%2F"), name


async def test_what_belongs_to_another_team_is_not_there(
    stranger: Visit, world: World, other_team: str
) -> None:
    pages = await _pages(world)
    await stranger.log_in(email=other_team)
    for name, path in pages.items():
        if name in ("list", "new", "servers", "new server", "keys", "registries"):
            continue
        answer = await stranger.get(path)
        assert answer.status_code == 404, name
        assert "Storefront" not in answer.text, name
        assert "Nothing is here" in answer.text
    assert "Storefront" not in (await stranger.get("/applications")).text
    assert "setting-up" not in (await stranger.get("/servers")).text
    assert "fleet" not in (await stranger.get("/keys")).text
    assert "fleet" not in (await stranger.get("/servers/new")).text
    assert "registry.harbour.example" not in (await stranger.get("/registries")).text


async def test_another_team_cannot_act(stranger: Visit, world: World, other_team: str) -> None:
    pages = await _pages(world)
    await stranger.log_in(email=other_team)
    for path in (
        pages["application/deploy"],
        pages["application/delete"],
        pages["cancel"],
        pages["rollback"],
        f"{pages['server usable']}/validate",
        f"{pages['server usable']}/clean-up",
        pages["server settings"],
        pages["server host-key"],
        pages["server remove"],
        pages["key deletion"],
        pages["registry"],
        f"{pages['registry']}/check",
        pages["registry deletion"],
    ):
        answer = await stranger.send("/applications", path, name="Storefront")
        assert answer.status_code == 404, path
    assert not world.servers.provisioned
    assert not world.servers.removed
    assert not world.clean_ups.started
    assert not world.operations.submitted
    assert not world.operations.cancelled


async def _member(world: World) -> str:
    email = "mia@example.com"
    user, _ = await world.store.access.create_user(
        email=email, password=SecretStr(PASSWORD), team_name="Her own"
    )
    async with world.store.database.writing() as session:
        own = (await session.exec(select(Membership).where(Membership.user_id == user.id))).one()
        await session.delete(own)
        session.add(Membership(team_id=world.owner.team_id, user_id=user.id, role="member"))
    return email


async def test_a_member_reads_but_neither_changes_nor_sees_secrets(stranger: Visit, world: World) -> None:
    pages = await _pages(world)
    await stranger.log_in(email=await _member(world))
    page = (await stranger.get(pages["application"])).text
    assert f"{pages['application']}/deploy" not in page
    variables = (await stranger.get(pages["application/variables"])).text
    assert "DATABASE_URL" in variables
    assert "Reveal" not in variables
    assert "s3cret" not in variables
    variable = await _variable(world, pages["application"], "DATABASE_URL")
    url = f"{pages['application']}/variables/{variable.id}"
    assert (await stranger.get(f"{url}/value")).status_code == 403
    revealed = await stranger.get(f"{pages['application/variables']}?reveal={variable.id}")
    assert "s3cret" not in revealed.text
    assert "Compiled" not in (await stranger.get(pages["running"])).text
    assert "INVOICE_START" not in (await stranger.get(pages["failed"])).text
    for path in ("/deploy", "/stop", "/delete"):
        answer = await stranger.send("/applications", pages["application"] + path, name="Storefront")
        assert answer.status_code == 403, path
        assert "You may not do this" in answer.text
    assert (await stranger.send("/applications", f"{url}/delete")).status_code == 403
    assert (await stranger.send("/applications", pages["application/settings"], name="x")).status_code == 403
    assert (await stranger.get("/applications/new")).status_code == 403
    assert "Unable to locate" not in (await stranger.get(pages["server broken"])).text
    registry = pages["registry"]
    assert (await stranger.get(registry)).status_code == 403
    for path in ("/registries", registry, f"{registry}/check", f"{registry}/delete"):
        assert (await stranger.send("/registries", path, host="ghcr.io")).status_code == 403, path
    assert 'method="post"' not in (await stranger.get("/registries")).text.partition("<main")[2]
    for path in ("/servers/new", "/keys", "/keys/generate", pages["server settings"], pages["server remove"]):
        assert (await stranger.send("/applications", path, ip="192.0.2.1")).status_code == 403, path
    for action in ("validate", "clean-up"):
        answer = await stranger.send("/applications", f"{pages['server usable']}/{action}")
        assert answer.status_code == 403, action
    assert not world.servers.provisioned
    assert not world.clean_ups.started
    assert not world.operations.submitted


async def _variable(world: World, application_path: str, key: str) -> Variable:
    variables = await world.store.applications.variables(application_path.rpartition("/")[2])
    return next(one for one in variables if one.key == key)


@pytest.mark.parametrize(
    "path", ["/nowhere", "/applications/nothing", "/deployments/%00", "/applications/x/y/z"]
)
async def test_a_page_that_does_not_exist_says_so_in_the_design(visit: Visit, path: str) -> None:
    answer = await visit.get(path)
    assert answer.status_code == 404
    assert "Nothing is here" in answer.text
    assert "All applications" in answer.text


async def test_below_the_api_the_answer_stays_json(visit: Visit) -> None:
    answer = await visit.get("/api/v1/nowhere")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/json"


async def test_a_fault_of_ours_is_a_page_that_gives_nothing_away(
    visit: Visit, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*, team_id: str) -> dict[str, str]:
        raise RuntimeError("the secret of the engine")

    monkeypatch.setattr(world.runtime, "statuses", broken)
    answer = await visit.get("/applications")
    assert answer.status_code == 500
    assert "Something went wrong within Seaway" in answer.text
    assert "secret of the engine" not in answer.text
    assert "RuntimeError" not in answer.text


async def test_static_files_are_kept_by_browsers_and_nothing_else_can_be_read(stranger: Visit) -> None:
    page = (await stranger.get("/login")).text
    start = page.index("/static/")
    sheet = page[start : page.index('"', start)]
    answer = await stranger.get(sheet)
    assert answer.status_code == 200
    assert "immutable" in answer.headers["Cache-Control"]
    outdated = await stranger.get("/static/old/styles/base.css")
    assert outdated.headers["Cache-Control"] == "no-cache"
    for escape in ("../rendering.py", "%2e%2e/rendering.py", "styles/../../rendering.py"):
        assert (await stranger.get(f"/static/x/{escape}")).status_code == 404
