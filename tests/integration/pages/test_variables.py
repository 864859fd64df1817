from __future__ import annotations

import pytest

from store.tables import Application, Variable
from tests.harness.pages_world import World
from tests.integration.pages.conftest import Visit


@pytest.fixture
async def application(world: World) -> Application:
    return await world.application("Shop")


async def _stored(world: World, application: Application) -> dict[str, str]:
    store = world.store.applications
    return {
        one.key: store.reveal(one).value.get_secret_value() for one in await store.variables(application.id)
    }


async def _only(world: World, application: Application) -> Variable:
    (variable,) = await world.store.applications.variables(application.id)
    return variable


async def test_a_variable_is_added_masked_and_revealed_on_demand(
    visit: Visit, world: World, application: Application
) -> None:
    url = f"/applications/{application.id}/variables"
    answer = await visit.send(url, key="TOKEN", value="<b>t0k&n</b>", is_runtime="true")
    assert answer.headers["Location"] == f"{url}?done=variable"
    variable = await _only(world, application)
    assert (variable.is_runtime, variable.is_buildtime, variable.is_build_secret) == (True, False, False)
    assert "t0k" not in (await visit.get(url)).text
    assert (await visit.get(f"{url}/{variable.id}/value")).json() == {"value": "<b>t0k&n</b>"}
    revealed = (await visit.get(f"{url}?reveal={variable.id}")).text
    assert "&lt;b&gt;t0k&amp;n&lt;/b&gt;" in revealed


async def test_a_value_to_be_shown_once_is_never_shown_again_and_stays_when_left_empty(
    visit: Visit, world: World, application: Application
) -> None:
    url = f"/applications/{application.id}/variables"
    await visit.send(url, key="TOKEN", value="t0ken", is_runtime="true")
    variable = await _only(world, application)
    async with world.store.database.writing() as session:
        row = await session.get(Variable, variable.id)
        assert row is not None
        row.is_shown_once = True
        session.add(row)
    assert (await visit.get(f"{url}/{variable.id}/value")).status_code == 403
    assert "t0ken" not in (await visit.get(f"{url}/{variable.id}")).text
    await visit.send(f"{url}/{variable.id}", value="", is_buildtime="true", comment="rotated")
    assert await _stored(world, application) == {"TOKEN": "t0ken"}
    changed = await _only(world, application)
    assert (changed.is_runtime, changed.is_buildtime, changed.comment) == (False, True, "rotated")


async def test_a_variable_is_changed_and_deleted(
    visit: Visit, world: World, application: Application
) -> None:
    url = f"/applications/{application.id}/variables"
    await visit.send(url, key="KEY", value="1", is_runtime="true")
    variable = await _only(world, application)
    await visit.send(f"{url}/{variable.id}", value="one\r\ntwo", is_runtime="true")
    assert await _stored(world, application) == {"KEY": "one\ntwo"}
    answer = await visit.send(f"{url}/{variable.id}/delete")
    assert answer.headers["Location"] == f"{url}?done=variable-deleted"
    assert await _stored(world, application) == {}


async def test_a_wrong_name_is_marked_and_what_was_typed_stays(
    visit: Visit, world: World, application: Application
) -> None:
    answer = await visit.send(f"/applications/{application.id}/variables", key="1 BAD", value="kept")
    assert answer.status_code == 422
    assert 'id="key-error"' in answer.text
    assert 'value="kept"' in answer.text
    assert await _stored(world, application) == {}


async def test_a_name_that_exists_is_refused_with_a_message(
    visit: Visit, world: World, application: Application
) -> None:
    url = f"/applications/{application.id}/variables"
    await visit.send(url, key="KEY", value="first")
    answer = await visit.send(url, key="KEY", value="second")
    assert answer.status_code == 409
    assert "exists already" in answer.text
    assert await _stored(world, application) == {"KEY": "first"}


async def test_a_pasted_file_is_read_whole_or_not_at_all(
    visit: Visit, world: World, application: Application
) -> None:
    url = f"/applications/{application.id}/variables"
    await visit.send(url, key="KEPT", value="old", is_build_secret="true", is_buildtime="true")
    text = "# comment\r\nexport A=1\r\nB='two words'\r\nKEPT=new\r\n"
    answer = await visit.send(url, f"{url}/bulk", variables=text)
    assert answer.headers["Location"] == f"{url}?done=variables"
    assert await _stored(world, application) == {"KEPT": "new", "A": "1", "B": "two words"}
    kept = next(one for one in await world.store.applications.variables(application.id) if one.key == "KEPT")
    assert kept.is_build_secret
    refused = await visit.send(url, f"{url}/bulk", variables="C=3\nthis is no assignment")
    assert refused.status_code == 422
    assert 'id="variables-error"' in refused.text
    assert "this is no assignment" in refused.text
    assert "C" not in await _stored(world, application)


async def test_another_applications_variable_is_not_found_here(
    visit: Visit, world: World, application: Application
) -> None:
    other = await world.application("Kiosk")
    await visit.send(f"/applications/{application.id}/variables", key="KEY", value="x")
    variable = await _only(world, application)
    assert (await visit.get(f"/applications/{other.id}/variables/{variable.id}/value")).status_code == 404
