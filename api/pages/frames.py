"""What surrounds the content of every page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import Request
from fastapi.responses import HTMLResponse

from api.context import context_of
from api.pages.visitors import Visitor
from ui.rendering import render

THEME_COOKIE = "seaway_theme"
THEMES = ("auto", "light", "dark")
FRAGMENT_HEADER = "X-Seaway-Fragment"
NOTICES = {
    "settings": "The settings are saved. They take effect with the next deployment.",
    "variable": "The variable is saved. It takes effect with the next deployment.",
    "variables": "The variables are saved. They take effect with the next deployment.",
    "variable-deleted": "The variable is deleted. What runs keeps it until the next deployment.",
    "created": "The application is created. Deploy it when you are ready.",
    "deleting": "The application is being deleted.",
    "server": "The server is saved.",
    "server-added": "The server is added. Its steps are below.",
    "server-removing": "The server is being removed.",
    "validating": "The server is being checked, step by step.",
    "cleaning": "The server is being cleaned. What was removed is told below.",
    "host-key": "The new host key is accepted. The server is being checked.",
    "key": "The key is stored.",
    "key-generated": "The key is made. Put its public part into ~/.ssh/authorized_keys on the server.",
    "key-deleted": "The key is deleted.",
    "registry": "The login is stored. Log in once to see that it works.",
    "registry-deleted": "The login is deleted.",
    "cancelling": "The deployment is being cancelled: what it did is being undone.",
}


@dataclass(frozen=True)
class Crumb:
    """One part of the way to a page; the last has no address."""

    label: str
    url: str = ""


@dataclass(frozen=True)
class Frame:
    """What the frame of a page shows."""

    title: str
    path: str
    section: str
    crumbs: tuple[Crumb, ...]
    theme: str
    user_email: str
    role: str
    may_write: bool
    form_token: str
    temporal_url: str
    version: str
    live_url: str
    notice: str


def theme_of(request: Request) -> str:
    """The colours that this browser's user chose."""
    theme = request.cookies.get(THEME_COOKIE, "auto")
    return theme if theme in THEMES else "auto"


def frame_of(
    request: Request,
    visitor: Visitor,
    *,
    title: str,
    crumbs: Sequence[Crumb],
    section: str = "applications",
    live_url: str = "",
) -> Frame:
    """The frame of one page. `live_url` is the stream that keeps its parts current."""
    settings = context_of(request).settings
    return Frame(
        title=title,
        path=request.url.path,
        section=section,
        crumbs=tuple(crumbs),
        theme=theme_of(request),
        user_email=visitor.principal.user_email,
        role=visitor.principal.role,
        may_write=visitor.may_write,
        form_token=visitor.form_token,
        temporal_url=settings.temporal_ui_url,
        version=settings.version,
        live_url=live_url,
        notice=NOTICES.get(request.query_params.get("done", ""), ""),
    )


def page(template: str, frame: Frame, status: HTTPStatus = HTTPStatus.OK, **values: object) -> HTMLResponse:
    """A whole page."""
    return HTMLResponse(render(f"pages/{template}.html", frame=frame, **values), status)


def wants_fragment(request: Request) -> bool:
    """Whether our script asks for the inner part of a page only."""
    return FRAGMENT_HEADER in request.headers
