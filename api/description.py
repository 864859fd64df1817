"""The API's own OpenAPI description."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from api.shapes.answers import DomainConflicts, Problem, ValidationProblem

REFERENCE = "#/components/schemas/"
PLAIN_PROBLEMS = (400, 401, 403, 404, 429, 500, 503)
OF_FASTAPI = ("HTTPValidationError", "ValidationError")


def describe(app: FastAPI) -> dict[str, Any]:
    """FastAPI's description with our own error answers.

    They are the same for every route, so they are added here; given to each route, they would cost
    FastAPI most of its start.
    """
    if app.openapi_schema is None:
        document = FastAPI.openapi(app)
        _, problems = models_json_schema(
            [(model, "serialization") for model in (Problem, ValidationProblem, DomainConflicts)],
            ref_template=REFERENCE + "{model}",
        )
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for name in OF_FASTAPI:
            schemas.pop(name, None)
        schemas.update(problems["$defs"])
        for operations in document["paths"].values():
            for operation in operations.values():
                operation["responses"].update(_error_answers())
    return app.openapi_schema or {}


def _error_answers() -> dict[str, Any]:
    answers = {str(status): _answer(HTTPStatus(status).phrase, "Problem") for status in PLAIN_PROBLEMS}
    answers["409"] = _answer("Taken already", "DomainConflicts", "Problem")
    # The server's own limit answers before any of our code sees the request.
    answers["413"] = {
        "description": "Body too long",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
    answers["422"] = _answer("Validation failed", "ValidationProblem")
    return answers


def _answer(description: str, *models: str) -> dict[str, Any]:
    references = [{"$ref": REFERENCE + model} for model in models]
    schema = references[0] if len(references) == 1 else {"anyOf": references}
    return {"description": description, "content": {"application/json": {"schema": schema}}}
