"""The cookie of a logged-in browser: `user_id.expires.epoch.signature`, signed with HMAC-SHA256."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from dataclasses import dataclass
from datetime import timedelta

from fastapi import Response

from api.context import ApiSettings
from domain.errors import StartUpError
from store.tables import User

SESSION_COOKIE = "seaway_session"
SESSION_LIFETIME = timedelta(days=14)


@dataclass(frozen=True)
class Session:
    """What a genuine cookie says. `epoch` must still be the user's `session_epoch`."""

    user_id: str
    epoch: int


def issue_session(user: User, settings: ApiSettings, *, now: float | None = None) -> str:
    """The cookie's value. Raises StartUpError without a secret, with which anybody could sign."""
    expires = int((time.time() if now is None else now) + SESSION_LIFETIME.total_seconds())
    payload = f"{user.id}.{expires}.{user.session_epoch}"
    if not settings.session_secret.get_secret_value():
        raise StartUpError("No session secret is set, so nobody can log in.")
    return f"{payload}.{_signature(payload, settings)}"


def read_session(cookie: str, settings: ApiSettings, *, now: float | None = None) -> Session | None:
    """What the cookie says, or None when it is forged, damaged or expired."""
    payload, _, signature = cookie.rpartition(".")
    if not settings.session_secret.get_secret_value() or not cookie.isascii():
        return None
    if not hmac.compare_digest(signature, _signature(payload, settings)):
        return None
    user_id, expires, epoch = payload.split(".")
    if int(expires) <= (time.time() if now is None else now):
        return None
    return Session(user_id, int(epoch))


def set_session_cookie(response: Response, user: User, settings: ApiSettings) -> None:
    """Logs this browser in for 14 days."""
    response.set_cookie(
        SESSION_COOKIE,
        issue_session(user, settings),
        max_age=int(SESSION_LIFETIME.total_seconds()),
        path="/",
        httponly=True,
        samesite="lax",
        secure=settings.public_url.startswith("https://"),
    )


def clear_session_cookie(response: Response) -> None:
    """Logs this browser out."""
    response.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="lax")


def _signature(payload: str, settings: ApiSettings) -> str:
    key = hashlib.sha256(b"seaway session\0" + settings.session_secret.get_secret_value().encode()).digest()
    digest = hmac.new(key, payload.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
