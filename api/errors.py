"""Errors as HTTP answers, in Coolify's format and with our stable `code`."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import IntegrityError, OperationalError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from domain.errors import Conflict, DomainTaken, InvalidInput, SeawayError, TooManyRequests, TransientError
from domain.identifiers import new_identifier

logger = logging.getLogger(__name__)

VALIDATION_FAILED = "Validation failed."
NOT_ALLOWED = "This field is not allowed."
DOMAIN_WARNING = "Two applications on one address would take each other's visitors."
TRANSIENT_RETRY_SECONDS = 5


def install_error_handlers(app: FastAPI) -> None:
    """Gives every error one shape. Nothing about our insides goes to the user."""
    app.add_exception_handler(SeawayError, _answer_seaway_error)
    app.add_exception_handler(RequestValidationError, _answer_validation_error)
    app.add_exception_handler(HTTPException, _answer_http_exception)
    app.add_exception_handler(IntegrityError, _answer_lost_race)
    app.add_exception_handler(OperationalError, _answer_absent_database)
    app.add_middleware(UnexpectedErrors)


def body_of(error: SeawayError) -> dict[str, Any]:
    """What the user is told."""
    body: dict[str, Any] = {"message": error.message, "code": error.code}
    if error.detail:
        body["detail"] = error.detail
    if isinstance(error, InvalidInput):
        body["errors"] = {field: list(messages) for field, messages in error.fields.items()}
        if error.fields:
            body["message"] = VALIDATION_FAILED
    if isinstance(error, DomainTaken):
        body["warning"] = DOMAIN_WARNING
        body["conflicts"] = [
            {
                "domain": one.address,
                "resource_name": one.application_name,
                "resource_uuid": one.application_id,
                "resource_type": "application",
                "message": f"{one.address} is already in use by "
                + (f"the application '{one.application_name}'." if one.application_name else "another."),
            }
            for one in error.taken
        ]
    return body


def _answer_seaway_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, SeawayError)  # noqa: S101  it is registered for nothing else
    headers = {}
    if isinstance(error, TooManyRequests):
        headers["Retry-After"] = str(error.retry_after_seconds)
    elif isinstance(error, TransientError):
        headers["Retry-After"] = str(TRANSIENT_RETRY_SECONDS)
    if error.http_status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if error.http_status == HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("a request failed: %s", error.code, exc_info=error)
    return JSONResponse(body_of(error), status_code=error.http_status, headers=headers)


def _answer_validation_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101  it is registered for nothing else
    errors: dict[str, list[str]] = defaultdict(list)
    for one in error.errors():
        place, *names = one["loc"]
        if place == "path":
            return _plain(HTTPStatus.NOT_FOUND, "Not found.", "not_found")
        if one["type"] == "json_invalid":
            return _plain(HTTPStatus.BAD_REQUEST, "The body is not valid JSON.", "invalid_json")
        field = ".".join(str(name) for name in names) or str(place)
        errors[field].append(_say(one))
    body = {"message": VALIDATION_FAILED, "code": InvalidInput.code, "errors": errors}
    return JSONResponse(body, status_code=HTTPStatus.UNPROCESSABLE_ENTITY)


def _say(problem: Mapping[str, Any]) -> str:
    """One problem that pydantic found, without what was given: that may be a secret."""
    match problem["type"]:
        case "extra_forbidden":
            return NOT_ALLOWED
        case "missing":
            return "This field is required."
        case _:
            return f"{problem['msg'].removeprefix('Value error, ').rstrip('.')}."


def _answer_http_exception(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101  it is registered for nothing else
    status = HTTPStatus(error.status_code)
    return _plain(status, f"{status.phrase}.", status.name.lower(), error.headers)


def _answer_lost_race(request: Request, error: Exception) -> JSONResponse:
    """What was checked a moment ago is no longer so: the database's own constraints had the last word."""
    logger.warning("a request lost a race", exc_info=error)
    return _answer_seaway_error(
        request, Conflict("Somebody else changed this at the same moment. Look at it and try again.")
    )


def _answer_absent_database(request: Request, error: Exception) -> JSONResponse:
    logger.error("the database does not answer", exc_info=error)
    return _answer_seaway_error(
        request, TransientError("The database does not answer. Try again in a moment.")
    )


def _plain(
    status: HTTPStatus, message: str, code: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    return JSONResponse({"message": message, "code": code}, status_code=status, headers=headers)


class UnexpectedErrors:
    """Turns what nobody expected into a plain 500, and keeps the evidence in the server's log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes everything through, but for an exception before the answer began."""
        has_begun = False

        async def watch(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            await self._app(scope, receive, watch)
        except Exception as error:
            error_id = new_identifier()
            logger.error(
                "unexpected error %s in %s %s", error_id, scope["method"], scope["path"], exc_info=error
            )
            if not has_begun:
                answer = _plain(
                    HTTPStatus.INTERNAL_SERVER_ERROR,
                    f"Something went wrong within Seaway. Its log says more under {error_id}.",
                    "internal",
                )
                await answer(scope, receive, send)
