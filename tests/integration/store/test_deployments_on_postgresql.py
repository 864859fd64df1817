"""Deployments that the API and a worker write at the same moment, on PostgreSQL; SQLite has one writer."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy.exc import IntegrityError

from domain.identifiers import new_identifier
from store.store import Store
from store.tables import Application, Deployment

PAIRS = 30


async def test_two_that_write_the_same_request_at_once_find_one_deployment(store: Store):
    project = await store.projects.create(team_id="team", name="shop")
    [environment] = await store.projects.environments(project.id)
    application = Application(
        team_id="team", environment_id=environment.id, name="shop", configuration_sealed=""
    )
    async with store.database.writing() as session:
        session.add(application)

    def request(deployment_id: str) -> Deployment:
        return Deployment(id=deployment_id, application_id=application.id)

    ids = [new_identifier() for _ in range(PAIRS)]
    recorded = await asyncio.gather(
        *(store.deployments.record(request(one)) for one in ids for _ in ("API", "worker"))
    )
    assert [row.id for row in recorded] == [one for one in ids for _ in range(2)]
    count, _ = await store.deployments.list_of_application(application.id)
    assert count == PAIRS

    with pytest.raises(IntegrityError):
        await store.deployments.record(Deployment(id=new_identifier(), application_id="no such application"))
