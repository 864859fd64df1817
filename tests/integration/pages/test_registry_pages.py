"""Logins for registries as people keep them in the web interface."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import pytest

from domain.errors import EngineUnavailable, SeawayError
from domain.registries import RegistryCheck, RegistryLogin, RegistryState
from store.tables import Registry, Server
from tests.harness.pages_seeds import seed_registry
from tests.harness.pages_world import World
from tests.integration.pages.conftest import Visit

PASSWORD = "hunter2 of the registry"


@dataclass
class StatedChecks:
    """Stands for the engines that log in."""

    outcome: RegistryCheck | SeawayError = field(
        default_factory=lambda: RegistryCheck(RegistryState.FINE, "The registry lets the user in.")
    )
    asked: list[RegistryLogin] = field(default_factory=list)
    servers: list[str] = field(default_factory=list)

    async def check(self, server: Server, login: RegistryLogin) -> RegistryCheck:
        self.asked.append(login)
        self.servers.append(server.id)
        if isinstance(self.outcome, SeawayError):
            raise self.outcome
        return self.outcome


@pytest.fixture
def checks(world: World) -> StatedChecks:
    made = StatedChecks()
    # The context is frozen for everybody else.
    object.__setattr__(world.context, "registry_checks", made)
    return made


async def registries(world: World) -> list[Registry]:
    return list(await world.store.registries.list(team_id=world.owner.team_id))


async def test_a_login_is_added_for_a_project_or_the_team_and_shown_without_its_password(
    visit: Visit, world: World
) -> None:
    assert "No registry yet" in (await visit.get("/registries")).text
    typed = {"host": "https://ghcr.io/", "username": "robot", "password": PASSWORD}
    added = await visit.send("/registries", project_uuid=world.project.id, name="Packages", **typed)
    assert added.headers["Location"] == "/registries?done=registry"
    assert (await visit.send("/registries", project_uuid="", name="", **typed)).status_code == 303
    of_project, of_team = await registries(world)
    assert (of_project.name, of_project.project_id, of_project.host) == (
        "Packages",
        world.project.id,
        "ghcr.io",
    )
    assert (of_team.name, of_team.project_id) == ("ghcr.io", None)
    assert world.store.registries.reveal(of_team).password.get_secret_value() == PASSWORD
    page = (await visit.get("/registries")).text
    assert f"For project {world.project.name}" in page
    assert "For the whole team" in page
    assert PASSWORD not in page


async def test_a_refused_login_stays_in_its_form_without_the_password(visit: Visit, world: World) -> None:
    typed = {"host": "ghcr.io/acme", "username": "robot", "password": PASSWORD}
    refused = await visit.send("/registries", **typed)
    assert refused.status_code == 422
    assert "not the address of a registry" in refused.text
    assert 'value="ghcr.io/acme"' in refused.text
    assert PASSWORD not in refused.text
    await seed_registry(world)
    twin = await visit.send(
        "/registries", host="registry.harbour.example:5000", username="x", password=PASSWORD
    )
    assert twin.status_code == 409
    assert "Change that one" in twin.text
    assert len(await registries(world)) == 1


async def test_a_login_is_changed_and_keeps_its_password_unless_it_moves(visit: Visit, world: World) -> None:
    path = await seed_registry(world)
    page = (await visit.get(path)).text
    assert 'value="robot"' in page
    assert PASSWORD not in page
    typed = {"name": "Main", "host": "registry.harbour.example:5000", "username": "other", "password": ""}
    assert (await visit.send(path, **typed)).headers["Location"] == "/registries?done=registry"
    [changed] = await registries(world)
    assert (changed.name, changed.username) == ("Main", "other")
    assert world.store.registries.reveal(changed).password.get_secret_value() == PASSWORD
    moved = await visit.send(path, **{**typed, "host": "evil.example"})
    assert moved.status_code == 422
    assert "needs its own password" in moved.text
    assert (await visit.send(path, **{**typed, "host": "ghcr.io", "password": "new"})).status_code == 303
    [elsewhere] = await registries(world)
    login = world.store.registries.reveal(elsewhere)
    assert (login.host, login.username, login.password.get_secret_value()) == ("ghcr.io", "other", "new")


@pytest.mark.parametrize(
    ("outcome", "tone", "said"),
    [
        (RegistryCheck(RegistryState.FINE, "It lets the user in."), "good", "It lets the user in."),
        (
            RegistryCheck(RegistryState.WRONG_CREDENTIALS, "It refuses the user.", "401"),
            "bad",
            "It refuses the user.",
        ),
        (EngineUnavailable("The engine does not answer."), "bad", "The engine does not answer."),
    ],
)
async def test_a_login_is_tried_and_its_outcome_shown(
    visit: Visit,
    world: World,
    checks: StatedChecks,
    outcome: RegistryCheck | SeawayError,
    tone: str,
    said: str,
) -> None:
    path = await seed_registry(world)
    checks.outcome = outcome
    shown = await visit.send("/registries", f"{path}/check")
    assert f'class="notice {tone}"' in shown.text
    assert said in shown.text
    assert [login.password.get_secret_value() for login in checks.asked] == [PASSWORD]
    assert PASSWORD not in shown.text
    again = await visit.get(f"{path}/check")
    assert (again.status_code, again.headers["Location"]) == (303, "/registries")
    assert len(checks.asked) == 1


async def test_the_server_that_tries_a_login_is_chosen_where_there_are_several(
    visit: Visit, world: World, checks: StatedChecks
) -> None:
    path = await seed_registry(world)
    assert 'name="server_uuid"' not in (await visit.get("/registries")).text
    one, _wreck = [
        await world.store.servers.create(
            Server(team_id=world.owner.team_id, name=name, address=f"{name}.example.com", is_usable=usable)
        )
        for name, usable in (("pier", True), ("wreck", False))
    ]
    page = (await visit.get("/registries")).text
    options = re.findall(r'<option value="(\w+)">from ([\w-]+)</option>', page)
    assert options == [(world.server.id, world.server.name), (one.id, "pier")]
    tried = await visit.send("/registries", f"{path}/check", server_uuid=one.id)
    assert f'<option value="{one.id}" selected>from pier</option>' in tried.text
    await visit.send("/registries", f"{path}/check")
    assert checks.servers == [one.id, world.server.id]
    unknown = await visit.send("/registries", f"{path}/check", server_uuid="x" * 24)
    assert "There is no such server." in unknown.text
    assert len(checks.servers) == 2


async def test_a_login_is_deleted_after_a_question(visit: Visit, world: World) -> None:
    path = await seed_registry(world)
    assert "Seaway forgets the password of robot" in (await visit.get(f"{path}/delete")).text
    deleted = await visit.send("/registries", f"{path}/delete")
    assert deleted.headers["Location"] == "/registries?done=registry-deleted"
    assert await registries(world) == []
    assert (await visit.get(path)).status_code == 404
