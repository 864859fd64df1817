"""PostgreSQL takes no null character in any text, so none may reach the database. SQLite would take them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest
from sqlalchemy import event

from api.application import create_api
from api.context import ApiContext
from tests.integration.api.conftest import SETTINGS, Seaway

DOCUMENT = create_api(ApiContext(None, None, None, SETTINGS)).openapi()  # type: ignore[arg-type]
SCHEMAS: Mapping[str, Any] = DOCUMENT["components"]["schemas"]
UNDESCRIBED = {"/api/v1/applications/dockerfile"}
"""It refuses every body."""
SEALED = "content"
"""Of a file: it may hold anything, and is sealed before it is kept."""


@pytest.fixture(autouse=True)
def refusing(seaway: Seaway) -> Iterator[None]:
    """The database refuses them as PostgreSQL does."""

    def refuse(_connection: object, _cursor: object, _statement: str, parameters: Any, *_: object) -> None:
        for value in parameters.values() if isinstance(parameters, Mapping) else parameters:
            assert not (isinstance(value, str) and "\0" in value), "PostgreSQL would refuse this"

    engine = seaway.store.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", refuse)
    yield
    event.remove(engine, "before_cursor_execute", refuse)


def is_text(schema: Mapping[str, Any]) -> bool:
    """Whether it may be a text, or a list with texts, that is not one of a few."""
    if parts := [*schema.get("anyOf", ()), *([schema["items"]] if "items" in schema else ())]:
        return any(is_text(one) for one in parts)
    return schema.get("type") == "string" and "enum" not in schema and "const" not in schema


def parameters() -> Iterator[Any]:
    for path, operations in DOCUMENT["paths"].items():
        for verb, operation in operations.items():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] in ("path", "query") and is_text(parameter["schema"]):
                    place, name = parameter["in"], parameter["name"]
                    yield pytest.param(verb, path, place, name, id=f"{verb} {path} {name}")


def bodies() -> Iterator[Any]:
    """Each operation with the fields of its body that are texts."""
    for path, operations in DOCUMENT["paths"].items():
        for verb, operation in operations.items():
            if "requestBody" not in operation or path in UNDESCRIBED:
                continue
            body = operation["requestBody"]["content"]["application/json"]["schema"]
            [model] = [one["$ref"] for one in body.get("anyOf", [body]) if "$ref" in one]
            properties = SCHEMAS[model.rpartition("/")[2]]["properties"]
            if texts := [name for name, schema in properties.items() if is_text(schema) and name != SEALED]:
                yield pytest.param(verb, path, texts, id=f"{verb} {path}")


@pytest.mark.parametrize(("verb", "path", "place", "name"), list(parameters()))
async def test_no_parameter_takes_one(
    seaway: Seaway,
    client: httpx.AsyncClient,
    application: dict[str, Any],
    verb: str,
    path: str,
    place: str,
    name: str,
) -> None:
    known = known_ids(seaway, application, path)
    if place == "path":
        known[name] = "%00"
    answer = await client.request(
        verb, path.removeprefix("/api/v1").format_map(known), params={name: "\0"} if place == "query" else {}
    )
    assert answer.status_code < 500, answer.text


@pytest.mark.parametrize(("verb", "path", "texts"), list(bodies()))
async def test_no_field_takes_one(
    seaway: Seaway,
    client: httpx.AsyncClient,
    application: dict[str, Any],
    verb: str,
    path: str,
    texts: list[str],
) -> None:
    known = known_ids(seaway, application, path)
    answer = await client.request(
        verb, path.removeprefix("/api/v1").format_map(known), json=dict.fromkeys(texts, "a\0b")
    )
    assert answer.status_code == 422, answer.text
    assert set(texts) <= set(answer.json()["errors"])


async def test_a_file_may_hold_some(client: httpx.AsyncClient, application: dict[str, Any]) -> None:
    body = {"type": "file", "mount_path": "/etc/motd", "content": "a\0b"}
    answer = await client.post(f"/applications/{application['uuid']}/storages", json=body)
    assert (answer.status_code, answer.json()["content"]) == (201, "a\0b")


def known_ids(seaway: Seaway, application: Mapping[str, Any], path: str) -> dict[str, str]:
    """With these the path leads to something, wherever there is such a thing."""
    known = {"applications": application["uuid"], "projects": seaway.mine.project.id}
    others = dict.fromkeys(["environment_name_or_uuid", "storage_uuid", "env_uuid"], "production")
    return {**others, "uuid": known.get(path.split("/")[3], seaway.mine.server.id)}
