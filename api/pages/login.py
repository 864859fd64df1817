"""Logging in and out, and the choice of colours."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import SecretStr

from api.authentication import (
    LoginThrottle,
    clear_session_cookie,
    is_same_origin,
    set_session_cookie,
)
from api.pages.frames import THEME_COOKIE, THEMES, theme_of
from api.pages.page_route import PageRoute
from api.pages.visitors import Context, OwnForm, Visiting, read_form, visitor_of
from domain.errors import Forbidden, TooManyRequests, Unauthenticated
from ui.rendering import render

router = APIRouter(route_class=PageRoute, include_in_schema=False)

FIRST_PAGE = "/applications"
WRONG = "The e-mail or the password is wrong."
ONE_YEAR_SECONDS = 365 * 24 * 3600


def safe_next(wanted: str) -> str:
    """Where to go after the log-in: a path of ours and never another site.

    Browsers read a backslash as a slash and drop tabs and newlines, so none of these may be in it.
    """
    parts = urlsplit(wanted)
    is_ours = (
        wanted.startswith("/")
        and not wanted.startswith("//")
        and "\\" not in wanted
        and wanted.isprintable()
        and not parts.scheme
        and not parts.netloc
    )
    return wanted if is_ours else FIRST_PAGE


def login_throttle_of(request: Request) -> LoginThrottle:
    """The one counter of wrong passwords."""
    throttle: LoginThrottle = request.app.state.login_throttle
    return throttle


@router.get("/")
async def first_page() -> Response:
    """The applications."""
    return RedirectResponse(FIRST_PAGE, HTTPStatus.SEE_OTHER)


@router.get("/login")
async def login_page(request: Request) -> Response:
    """The form, unless somebody is logged in already."""
    wanted = safe_next(request.query_params.get("next", FIRST_PAGE))
    try:
        await visitor_of(request)
    except Unauthenticated:
        return _form(request, wanted)
    return RedirectResponse(wanted, HTTPStatus.SEE_OTHER)


@router.post("/login")
async def log_in(
    request: Request, context: Context, throttle: Annotated[LoginThrottle, Depends(login_throttle_of)]
) -> Response:
    """Checks the password and starts a session."""
    if not is_same_origin(request):
        raise Forbidden("This request comes from another site.")
    form = await read_form(request)
    email, wanted = form.get("email", ""), safe_next(form.get("next", ""))
    address = request.client.host if request.client else ""
    try:
        throttle.admit(email, address)
    except TooManyRequests as error:
        return _form(request, wanted, email, error.message, HTTPStatus.TOO_MANY_REQUESTS)
    principal = await context.store.access.check_password(email, SecretStr(form.get("password", "")))
    user = await context.store.access.user(principal.user_id) if principal else None
    if user is None:
        return _form(request, wanted, email, WRONG, HTTPStatus.UNAUTHORIZED)
    throttle.succeeded(email, address)
    response = RedirectResponse(wanted, HTTPStatus.SEE_OTHER)
    set_session_cookie(response, user, context.settings)
    return response


@router.post("/logout")
async def log_out(context: Context, visitor: Visiting, _form: OwnForm) -> Response:
    """Ends every session of this person: a signed cookie cannot be taken back one by one."""
    await context.store.access.end_sessions(visitor.principal.user_id)
    response = RedirectResponse("/login", HTTPStatus.SEE_OTHER)
    clear_session_cookie(response)
    return response


@router.post("/theme")
async def choose_theme(form: OwnForm) -> Response:
    """Remembers light or dark, for browsers without our script."""
    response = RedirectResponse(safe_next(form.get("next", "")), HTTPStatus.SEE_OTHER)
    theme = form.get("theme", "")
    if theme in THEMES:
        # Our script reads and writes this cookie too, so it cannot be closed to scripts.
        response.set_cookie(THEME_COOKIE, theme, max_age=ONE_YEAR_SECONDS, samesite="lax")
    return response


def _form(
    request: Request, wanted: str, email: str = "", error: str = "", status: HTTPStatus = HTTPStatus.OK
) -> HTMLResponse:
    frame = {"title": "Log in", "theme": theme_of(request), "live_url": ""}
    html = render("pages/login.html", frame=frame, next=wanted, email=email, error=error)
    return HTMLResponse(html, status)
