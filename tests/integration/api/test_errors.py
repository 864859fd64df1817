"""Errors have one shape, and tell nothing about our insides."""

from __future__ import annotations

import logging

import httpx
import pytest
from sqlalchemy.exc import IntegrityError, OperationalError

from tests.integration.api.conftest import Seaway


async def test_what_nobody_expected_is_a_plain_500_and_a_line_in_the_log(
    seaway: Seaway,
    client: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail(**_: object) -> None:
        raise RuntimeError("the secret inside")

    monkeypatch.setattr(seaway.store.projects, "list", fail)
    with caplog.at_level(logging.ERROR, logger="api.errors"):
        answer = await client.get("/projects")
    assert answer.status_code == 500
    body = answer.json()
    assert set(body) == {"message", "code"}
    assert body["code"] == "internal"
    assert "secret inside" not in answer.text
    (record,) = caplog.records
    error_id = body["message"].rstrip(".").split()[-1]
    assert error_id in record.getMessage()
    assert record.exc_info is not None


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (IntegrityError("INSERT secret", {}, Exception("UNIQUE")), 409, "conflict"),
        (OperationalError("SELECT secret", {}, Exception("locked")), 503, "transient"),
    ],
)
async def test_troubles_of_the_database_are_told_without_its_words(
    seaway: Seaway,
    client: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    status: int,
    code: str,
) -> None:
    async def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(seaway.store.projects, "create", fail)
    answer = await client.post("/projects", json={"name": "a"})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("PUT", "/projects", 405, "method_not_allowed"),
        ("GET", "/projects/not%20an%20id", 404, "not_found"),
        ("GET", "/projects/%00", 404, "not_found"),
    ],
)
async def test_what_is_not_there_answers_in_the_same_shape(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    answer = await client.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert set(answer.json()) == {"message", "code"}


async def test_a_body_that_is_no_json_is_a_400(client: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await client.post("/projects", content=b"{", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_json")


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, {"name": ["This field is required."]}),
        ({"name": "a", "nmae": "b"}, {"nmae": ["This field is not allowed."]}),
        ({"name": ["a"]}, {"name": ["Input should be a valid string."]}),
        ([], {"body": ["Input should be a valid dictionary or object to extract fields from."]}),
    ],
)
async def test_wrong_fields_are_named(
    client: httpx.AsyncClient, body: object, errors: dict[str, list[str]]
) -> None:
    answer = await client.post("/projects", json=body)
    assert answer.status_code == 422
    assert answer.json() == {"message": "Validation failed.", "code": "invalid_input", "errors": errors}


async def test_a_wrong_secret_is_not_repeated(client: httpx.AsyncClient) -> None:
    answer = await client.post("/security/keys", json={"private_key": {"hunter2": "hunter2"}})
    assert answer.status_code == 422
    assert "hunter2" not in answer.text


async def test_a_body_that_is_too_long_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/projects", json={"name": "x" * 9 * 1024**2})
    assert answer.status_code == 413
