"""Cleaning a server on demand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.servers import ServerStatus
from tests.harness.pages_stand_ins import RecordedCleanUps
from tests.integration.api.conftest import Seaway

STARTED = {"message": "Manual cleanup job started.", "event_uuid": "event-1"}


@pytest.fixture
async def clean_ups(seaway: Seaway) -> RecordedCleanUps:
    made = RecordedCleanUps()
    seaway.app.state.context = replace(seaway.app.state.context, clean_ups=made)
    await seaway.store.servers.set(seaway.mine.server.id, status=ServerStatus.USABLE)
    return made


async def test_a_usable_server_is_cleaned_and_the_record_says_who_asked(seaway, client, clean_ups):
    answer = await client.post(f"/servers/{seaway.mine.server.id}/docker-cleanup/run")
    assert (answer.status_code, answer.json()) == (200, STARTED)
    assert clean_ups.started == [seaway.mine.server.id]
    events = await seaway.store.audit.list(team_id=seaway.mine.team.id)
    assert events[0].action == "server.clean_up"


@pytest.mark.parametrize("what", ["delete_unused_volumes", "delete_unused_networks"])
async def test_volumes_and_networks_are_never_removed(seaway, client, clean_ups, what):
    answer = await client.post(f"/servers/{seaway.mine.server.id}/docker-cleanup/run", json={what: True})
    assert answer.status_code == 422
    assert "never removes volumes" in answer.json()["errors"][what][0]
    assert not clean_ups.started


async def test_a_server_that_can_be_reached_is_cleaned_also_when_it_is_not_usable(seaway, client, clean_ups):
    full = {"status": ServerStatus.NOT_USABLE, "status_message": "Its disk is full.", "is_reachable": True}
    await seaway.store.servers.set(seaway.mine.server.id, **full)
    answer = await client.post(f"/servers/{seaway.mine.server.id}/docker-cleanup/run")
    assert answer.status_code == 200
    assert len(clean_ups.started) == 1


async def test_a_server_that_cannot_be_reached_is_not_cleaned(seaway, client, clean_ups):
    away = {"status": ServerStatus.UNREACHABLE, "is_reachable": False}
    await seaway.store.servers.set(seaway.mine.server.id, **away)
    answer = await client.post(f"/servers/{seaway.mine.server.id}/docker-cleanup/run")
    assert answer.status_code == 400
    assert "is not usable now" in answer.json()["message"]
    assert not clean_ups.started
