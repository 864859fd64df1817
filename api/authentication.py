"""Who is asking, and what they may do."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyCookie, HTTPBearer
from starlette.requests import HTTPConnection

from api.context import ApiContext, context_of
from api.sessions import (
    SESSION_COOKIE,
    clear_session_cookie,
    issue_session,
    read_session,
    set_session_cookie,
)
from api.throttling import LoginThrottle, RequestLimiter
from domain.errors import Forbidden, Unauthenticated
from store.access import Principal

__all__ = [
    "SESSION_COOKIE",
    "Ability",
    "Deployer",
    "LoginThrottle",
    "Principal",
    "Reader",
    "Require",
    "SecretsReader",
    "Writer",
    "clear_session_cookie",
    "has_ability",
    "is_same_origin",
    "issue_session",
    "known_bearer",
    "principal_of_bearer",
    "principal_of_request",
    "read_session",
    "require",
    "require_ability",
    "sees_secrets",
    "set_session_cookie",
]

SAFE_METHODS = frozenset(["GET", "HEAD", "OPTIONS"])

_bearer_scheme = HTTPBearer(
    auto_error=False, scheme_name="bearerAuth", description="An API token of your team: `{id}|{secret}`."
)
_cookie_scheme = APIKeyCookie(
    auto_error=False, name=SESSION_COOKIE, scheme_name="sessionCookie", description="A logged-in browser."
)


class Ability(StrEnum):
    """What a token may do. `root` includes all others."""

    READ = "read"
    WRITE = "write"
    DEPLOY = "deploy"
    ROOT = "root"
    READ_SENSITIVE = "read:sensitive"
    WRITE_SENSITIVE = "write:sensitive"


async def principal_of_request(request: Request) -> Principal:
    """The owner of the bearer token or, without one, of the session cookie.

    Raises Unauthenticated; Forbidden when a page of another site uses the cookie to change something;
    TooManyRequests when a token asks too often.
    """
    if request.headers.get("Authorization"):
        return await principal_of_bearer(request)
    principal = await _principal_of_cookie(request)
    if principal is None:
        raise Unauthenticated("Unauthenticated.")
    if request.method not in SAFE_METHODS and not is_same_origin(request):
        raise Forbidden("This request comes from another site.")
    return principal


async def principal_of_bearer(connection: HTTPConnection) -> Principal:
    """The owner of the bearer token. Raises Unauthenticated without one; TooManyRequests as above."""
    principal = await known_bearer(connection)
    limiter: RequestLimiter = connection.app.state.request_limiter
    limiter.admit(_bearer_of(connection).partition("|")[0])
    return principal


async def known_bearer(connection: HTTPConnection) -> Principal:
    """The same for a connection that was admitted before: it counts as no request."""
    context: ApiContext = connection.app.state.context
    bearer = _bearer_of(connection)
    principal = await context.store.access.check_token(bearer) if "\0" not in bearer else None
    if principal is None:
        raise Unauthenticated("Unauthenticated.")
    return principal


def _bearer_of(connection: HTTPConnection) -> str:
    scheme, _, credentials = connection.headers.get("Authorization", "").partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else ""


def has_ability(principal: Principal, ability: Ability) -> bool:
    """Whether the principal may do this."""
    return ability in principal.abilities or Ability.ROOT in principal.abilities


def require_ability(principal: Principal, ability: Ability) -> None:
    """Raises Forbidden unless the principal may do this."""
    if not has_ability(principal, ability):
        raise Forbidden(f"Missing required permissions: {ability}")


def sees_secrets(principal: Principal) -> bool:
    """Whether values of variables, private keys and build logs are shown."""
    return has_ability(principal, Ability.READ_SENSITIVE)


class Require:
    """A FastAPI dependency: the principal, if they have this ability."""

    def __init__(self, ability: Ability) -> None:
        self.ability = ability

    async def __call__(
        self,
        request: Request,
        _bearer: Annotated[object, Security(_bearer_scheme)] = None,
        _cookie: Annotated[object, Security(_cookie_scheme)] = None,
    ) -> Principal:
        """Raises Unauthenticated or Forbidden."""
        principal = await principal_of_request(request)
        require_ability(principal, self.ability)
        return principal


def require(ability: str) -> Require:
    """The dependency for `Depends`."""
    return Require(Ability(ability))


Reader = Annotated[Principal, Depends(require(Ability.READ))]
Writer = Annotated[Principal, Depends(require(Ability.WRITE))]
Deployer = Annotated[Principal, Depends(require(Ability.DEPLOY))]
SecretsReader = Annotated[Principal, Depends(require(Ability.READ_SENSITIVE))]


async def _principal_of_cookie(request: Request) -> Principal | None:
    context = context_of(request)
    session = read_session(request.cookies.get(SESSION_COOKIE, ""), context.settings)
    if session is None:
        return None
    user = await context.store.access.user(session.user_id)
    if user is None or user.session_epoch != session.epoch:
        return None
    return await context.store.access.principal_of_user(user.id)


def is_same_origin(request: Request) -> bool:
    """By what browsers say of a request; one that says neither is no browser of ours."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("Origin", "")
    settings = context_of(request).settings
    own_hosts = {request.headers.get("Host"), urlsplit(settings.public_url).netloc}
    return bool(urlsplit(origin).netloc) and urlsplit(origin).netloc in own_hosts
