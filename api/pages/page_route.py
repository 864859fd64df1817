"""Errors of pages are pages, and every page tells the browser to trust nothing but us."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from api.pages.frames import Crumb, frame_of, theme_of
from api.pages.visitors import visitor_of
from domain.errors import SeawayError, Unauthenticated
from domain.identifiers import new_identifier
from ui.rendering import render

logger = logging.getLogger(__name__)

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
}
HEADINGS = {
    HTTPStatus.FORBIDDEN: "You may not do this",
    HTTPStatus.NOT_FOUND: "Nothing is here",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Something went wrong within Seaway",
    HTTPStatus.SERVICE_UNAVAILABLE: "Not possible at this moment",
}
NOT_HERE = "There is no such page, or it belongs to another team."


class PageRoute(APIRoute):
    """A route whose answers, errors included, are for people."""

    def get_route_handler(self) -> Handler:
        """The handler of the route, with its errors as pages."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                response = await handler(request)
            except Unauthenticated:
                response = _to_login(request)
            except SeawayError as error:
                response = await _error_page(request, HTTPStatus(error.http_status), error.message)
            except RequestValidationError:
                response = await _error_page(request, HTTPStatus.NOT_FOUND, NOT_HERE)
            except HTTPException:
                raise
            except Exception:
                reference = new_identifier()
                logger.exception("page %s failed (%s)", request.url.path, reference)
                message = f"It is not your doing. The log of Seaway has more about it under {reference}."
                response = await _error_page(request, HTTPStatus.INTERNAL_SERVER_ERROR, message)
            for name, value in SECURITY_HEADERS.items():
                response.headers.setdefault(name, value)
            response.headers.setdefault("Cache-Control", "no-store")
            return response

        return handle


def _to_login(request: Request) -> Response:
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    wanted = wanted if request.method == "GET" else "/applications"
    return RedirectResponse(f"/login?{urlencode({'next': wanted})}", HTTPStatus.SEE_OTHER)


async def _error_page(request: Request, status: HTTPStatus, message: str) -> Response:
    heading = HEADINGS.get(status, "That did not work")
    values = {"status": int(status), "heading": heading, "message": message}
    try:
        visitor = await visitor_of(request)
    except SeawayError:
        frame: object = {"title": heading, "theme": theme_of(request), "live_url": ""}
        return HTMLResponse(render("pages/error_outside.html", frame=frame, **values), status)
    frame = frame_of(request, visitor, title=heading, crumbs=(Crumb(heading),), section="")
    return HTMLResponse(render("pages/error.html", frame=frame, **values), status)
