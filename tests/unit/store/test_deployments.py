"""Deployments as they are listed and counted."""

from __future__ import annotations

import pytest
from sqlalchemy import inspect

from domain.deployments import DeploymentStatus
from store.store import Store
from store.tables import Deployment
from tests.unit.store.test_locations import HERE, add, begin


@pytest.fixture
def store(servers_store: Store) -> Store:
    return servers_store


async def test_lists_bring_no_snapshots(store: Store) -> None:
    """Those of a team's large applications once filled the memory of whoever cleaned any server up."""
    shop = await add(store, HERE)
    release = await begin(store, shop)
    deployments = store.deployments
    listed = [
        *await deployments.list_all_open(),
        *await deployments.list_open(team_id=shop.team_id),
        *(await deployments.list_latest(team_id=shop.team_id)).values(),
        *(await deployments.list_of_application(shop.id))[1],
    ]
    await deployments.update(release.id, status=DeploymentStatus.FINISHED, image="seaway/a:b")
    listed += await deployments.list_finished(shop.id)
    assert [row.id for row in listed] == [release.id] * 5
    assert all("snapshot_sealed" in inspect(row).unloaded for row in listed)
    assert (await deployments.snapshot(release.id)).name == "shop"


async def test_an_application_is_busy_while_any_deployment_of_it_waits_or_runs(store: Store) -> None:
    shop, quiet = await add(store, HERE), await add(store, HERE)
    waiting = await store.deployments.record(Deployment(application_id=shop.id))
    running = await begin(store, shop)
    for ended in (waiting, running):
        assert await store.deployments.busy_applications() == {shop.id}
        assert await store.deployments.is_busy(shop.id)
        assert not await store.deployments.is_busy(quiet.id)
        await store.deployments.update(ended.id, status=DeploymentStatus.FAILED)
    assert await store.deployments.busy_applications() == frozenset()
    assert not await store.deployments.is_busy(shop.id)
