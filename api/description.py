"""The API's own OpenAPI description."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI


def describe(app: FastAPI) -> dict[str, Any]:
    """FastAPI's description, corrected: every error is JSON, whatever else the route answers."""
    if app.openapi_schema is None:
        document = FastAPI.openapi(app)
        for operations in document["paths"].values():
            for operation in operations.values():
                _correct_errors(operation["responses"])
    return app.openapi_schema or {}


def _correct_errors(responses: dict[str, Any]) -> None:
    for status, response in responses.items():
        if status.isdigit() and int(status) >= 400 and "content" in response:
            (schema,) = response["content"].values()
            response["content"] = {"application/json": schema}
