"""The API does what its own OpenAPI description says, also when it is asked for nonsense."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.application import create_api
from api.context import ApiContext
from domain.deployments import DeploymentStatus
from store.columns import now
from store.database import Database
from store.encryption import KeyRing
from store.store import Store
from store.tables import Deployment
from tests.integration.api.conftest import SETTINGS, Seaway, Tenant, make_seaway

Answer = TypeVar("Answer")

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
DOCUMENT = create_api(ApiContext(None, None, None, SETTINGS)).openapi()  # type: ignore[arg-type]
OPERATIONS = [result.ok() for result in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations()]  # type: ignore[union-attr]


def test_every_parameter_says_what_it_is() -> None:
    silent = [
        f"{verb} {path}: {parameter['name']}"
        for path, operations in DOCUMENT["paths"].items()
        for verb, operation in operations.items()
        for parameter in operation.get("parameters", [])
        if not parameter.get("description")
    ]
    assert silent == []


def cases() -> Iterator[Any]:
    """Each operation with what it describes and, where it takes anything at all, with what it does not."""
    for operation in OPERATIONS:
        yield pytest.param(operation, GenerationMode.POSITIVE, id=f"{operation.label}-as-described")
        if operation.body or operation.path_parameters or operation.query:
            yield pytest.param(operation, GenerationMode.NEGATIVE, id=f"{operation.label}-otherwise")


class LiveApi:
    """The API on a loop of its own, so that synchronous tests can ask it."""

    def __init__(self, app: FastAPI, database: Path, key: SecretStr, mine: Tenant, theirs: Tenant) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._store = Store(Database(f"sqlite:///{database}"), KeyRing([key]))
        self.seaway: Seaway = make_seaway(app, self._store, mine, theirs)
        self.ids = self.run(self._prepare())

    def run(self, coroutine: Coroutine[Any, Any, Answer]) -> Answer:
        """Waits for the coroutine on the loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=30)

    def ask(self, case: Case) -> httpx.Response:
        """Sends what was generated."""
        return self.run(self._ask(case))

    def close(self) -> None:
        """Ends the loop with all that still runs on it, and its thread."""
        self.run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        await self._store.database.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _ask(self, case: Case) -> httpx.Response:
        arguments = case.as_transport_kwargs(base_url="http://seaway.test")
        arguments.pop("cookies", None)
        if isinstance(arguments.get("data"), bytes):
            arguments["content"] = arguments.pop("data")
        transport = httpx.ASGITransport(self.seaway.app)
        async with httpx.AsyncClient(transport=transport) as client:
            headers = {
                name: value for name, value in arguments.pop("headers", {}).items() if value is not None
            }
            headers["Authorization"] = f"Bearer {self.seaway.mine.token}"
            return await client.request(headers=headers, **arguments)

    async def _prepare(self) -> dict[str, str]:
        mine = self.seaway.mine
        async with self.seaway.client(mine.token) as client:
            body = {"project_uuid": mine.project.id, "git_repository": "file:///srv/shop.git"}
            application = (await client.post("/applications/public", json=body)).json()["uuid"]
        deployment = Deployment(
            application_id=application, status=DeploymentStatus.FINISHED, finished_at=now()
        )
        await self._store.deployments.record(deployment)
        return {
            "applications": application,
            "deployments": deployment.id,
            "projects": mine.project.id,
            "servers": mine.server.id,
            "teams": mine.team.id,
        }


@pytest.fixture(scope="module")
def live(
    prepared: tuple[Path, SecretStr, Tenant, Tenant], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveApi]:
    """An API of its own."""
    source, key, mine, theirs = prepared
    path = tmp_path_factory.mktemp("live") / "seaway.db"
    shutil.copy(source, path)
    app = create_api(ApiContext(None, None, None, SETTINGS))  # type: ignore[arg-type]
    api = LiveApi(app, path, key, mine, theirs)
    yield api
    api.close()


@pytest.mark.parametrize(("operation", "mode"), list(cases()))
def test_every_answer_is_as_described(live: LiveApi, operation: Any, mode: GenerationMode) -> None:
    resource = operation.path.removeprefix("/api/v1/").split("/")[0]
    answered: list[int] = []

    @settings(
        max_examples=4,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), is_known=st.booleans())
    def ask(case: Case, is_known: bool) -> None:
        if is_known and resource in live.ids and "uuid" in case.path_parameters:
            case.path_parameters["uuid"] = live.ids[resource]
        answer = live.ask(case)
        case.validate_response(answer, checks=CHECKS)
        answered.append(answer.status_code)

    ask()
    assert answered
    assert max(answered) < 500
