"""Servers of several teams in one database."""

from __future__ import annotations

import pytest

from store.store import Store
from store.tables import Server, Team


@pytest.fixture
async def store(servers_store: Store) -> Store:
    return servers_store


async def test_the_servers_that_may_hold_something_are_one_teams_on_request(store: Store) -> None:
    async with store.database.writing() as session:
        session.add(Team(id="others", name="Dunes"))
        await session.flush()
        session.add(Server(id="theirs", team_id="others", name="theirs", data_folder="/data"))
    assert {one.id for one in await store.servers.deployable()} == {"local", "far", "theirs"}
    assert {one.id for one in await store.servers.deployable(team_id="team")} == {"local", "far"}
    assert {one.id for one in await store.servers.deployable(team_id="others")} == {"theirs"}
