"""Who looks at a page, and the proof that a form which arrives is one that we gave them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from api.authentication import (
    SESSION_COOKIE,
    Ability,
    Principal,
    has_ability,
    principal_of_request,
    require_ability,
    sees_secrets,
)
from api.context import ApiContext, context_of
from domain.errors import Forbidden, InvalidInput

LARGEST_FORM_BYTES = 2 * 1024 * 1024
LARGEST_FORM_FIELDS = 500
STALE_FORM = "This form is from an earlier log-in. Go back, load the page again and repeat what you did."


@dataclass(frozen=True)
class Visitor:
    """A logged-in person. `form_token` goes into each form that they are given."""

    principal: Principal
    form_token: str

    @property
    def team_id(self) -> str:
        """The team whose things they see."""
        return self.principal.team_id

    @property
    def may_write(self) -> bool:
        """Whether they may change what is configured."""
        return has_ability(self.principal, Ability.WRITE)

    @property
    def may_deploy(self) -> bool:
        """Whether they may change what runs."""
        return has_ability(self.principal, Ability.DEPLOY)

    @property
    def sees_secrets(self) -> bool:
        """Whether they may read values of variables, and logs."""
        return sees_secrets(self.principal)

    def must(self, ability: Ability) -> None:
        """Raises Forbidden unless they may do this."""
        require_ability(self.principal, ability)


async def visitor_of(request: Request) -> Visitor:
    """The person behind a request. Raises Unauthenticated, or Forbidden for a form of another site."""
    principal = await principal_of_request(request)
    return Visitor(principal, form_token(request))


def form_token(request: Request) -> str:
    """Bound to the log-in: nobody else can know it, and it ends with it."""
    secret = context_of(request).settings.session_secret.get_secret_value()
    key = hashlib.sha256(b"seaway form\0" + secret.encode()).digest()
    return hmac.new(key, request.cookies.get(SESSION_COOKIE, "").encode(), hashlib.sha256).hexdigest()


async def read_form(request: Request) -> Mapping[str, str]:
    """The fields that were sent; files are left out.

    Raises InvalidInput when they are too large, or hold null characters, which nobody types and PostgreSQL
    neither keeps nor compares with.
    """
    length = request.headers.get("Content-Length", "")
    if not length.isdigit() or int(length) > LARGEST_FORM_BYTES:
        raise InvalidInput("This form is larger than 2 MiB.")
    form = await request.form(max_fields=LARGEST_FORM_FIELDS)
    fields = {name: value for name, value in form.items() if isinstance(value, str)}
    if any("\0" in value for value in fields.values()):
        raise InvalidInput("This form holds a null character.")
    return fields


async def own_form(request: Request, visitor: Annotated[Visitor, Depends(visitor_of)]) -> Mapping[str, str]:
    """The fields of a form that we gave to this visitor. Raises Forbidden for any other."""
    form = await read_form(request)
    if not hmac.compare_digest(form.get("form_token", "").encode(), visitor.form_token.encode()):
        raise Forbidden(STALE_FORM)
    return form


Visiting = Annotated[Visitor, Depends(visitor_of)]
OwnForm = Annotated[Mapping[str, str], Depends(own_form)]
Context = Annotated[ApiContext, Depends(context_of)]
