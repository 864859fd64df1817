"""Private keys: what there is, and adding, making and deleting them. Their private part is never shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import SecretStr

from api.authentication import Ability
from api.pages.application import Identifier
from api.pages.forms import action_page, filled, general_error, to
from api.pages.frames import Crumb, frame_of, page
from api.pages.page_route import PageRoute
from api.pages.server_views import ServerReader
from api.pages.views import ActionForm, FieldView
from api.pages.visitors import Context, OwnForm, Visiting
from api.routes.private_keys import create_private_key, delete_private_key_by_uuid, generate_private_key
from api.shapes.private_keys import CreatePrivateKey, GeneratePrivateKey
from domain.errors import SeawayError
from store.tables import PrivateKey

router = APIRouter(route_class=PageRoute, include_in_schema=False)

SECTION = "keys"
STORE = (
    FieldView("name", "Name", is_optional=True, placeholder="from its fingerprint"),
    FieldView(
        "private_key",
        "Private key",
        kind="text_area",
        rows=6,
        is_code=True,
        wide=True,
        required=True,
        placeholder="-----BEGIN OPENSSH PRIVATE KEY-----",
        hint="The whole file, Ed25519, ECDSA or RSA. Seaway stores it encrypted.",
    ),
    FieldView(
        "passphrase", "Passphrase", kind="password", hint="If it has one. It is used once and not kept."
    ),
)


async def key_of(key_id: Identifier, context: Context, visitor: Visiting) -> PrivateKey:
    """The key of the address. Raises NotFound, also for another team's."""
    return await context.store.servers.key(key_id, team_id=visitor.team_id)


OwnKey = Annotated[PrivateKey, Depends(key_of)]


async def _show(
    request: Request,
    context: Context,
    visitor: Visiting,
    *,
    form: Mapping[str, str] | None = None,
    error: SeawayError | None = None,
) -> Response:
    fields: tuple[FieldView, ...] = STORE
    if error is not None:
        fields = filled(STORE, {"name": (form or {}).get("name", "")}, error)
    frame = frame_of(request, visitor, title="Keys", crumbs=(Crumb("Keys"),), section=SECTION)
    return page(
        "private_keys",
        frame,
        HTTPStatus(error.http_status) if error else HTTPStatus.OK,
        keys=await ServerReader(context, visitor).keys(),
        fields=fields,
        error=general_error(error, STORE) if error else "",
    )


@router.get("/keys")
async def keys_page(request: Request, context: Context, visitor: Visiting) -> Response:
    """The team's keys, with what uses them."""
    return await _show(request, context, visitor)


@router.post("/keys")
async def store_key(request: Request, context: Context, visitor: Visiting, form: OwnForm) -> Response:
    """Stores a key that exists already."""
    visitor.must(Ability.WRITE)
    passphrase = form.get("passphrase", "")
    body = CreatePrivateKey(
        private_key=SecretStr(form.get("private_key", "")),
        passphrase=SecretStr(passphrase) if passphrase else None,
        name=form.get("name", "").strip() or None,
    )
    try:
        await create_private_key(body, context, visitor.principal)
    except SeawayError as error:
        return await _show(request, context, visitor, form=form, error=error)
    return to("/keys", "key")


@router.post("/keys/generate")
async def make_key(request: Request, context: Context, visitor: Visiting, form: OwnForm) -> Response:
    """Makes an Ed25519 key."""
    visitor.must(Ability.WRITE)
    body = GeneratePrivateKey(name=form.get("generated_name", "").strip() or None)
    try:
        await generate_private_key(context, visitor.principal, body)
    except SeawayError as error:
        return await _show(request, context, visitor, error=error)
    return to("/keys", "key-generated")


def _deletion(key: PrivateKey) -> ActionForm:
    return ActionForm(
        url=f"/keys/{key.id}/delete",
        title=f"Delete {key.name}",
        button="Delete the key",
        back_url="/keys",
        explanation=(f"{key.fingerprint} opens nothing for Seaway any more.",),
        is_dangerous=True,
    )


@router.get("/keys/{key_id}/delete")
async def deletion_form(request: Request, visitor: Visiting, key: OwnKey) -> Response:
    """Asks whether to delete it."""
    visitor.must(Ability.WRITE)
    crumbs = (Crumb("Keys", "/keys"), Crumb(key.name))
    return action_page(request, visitor, _deletion(key), crumbs, section=SECTION)


@router.post("/keys/{key_id}/delete")
async def delete_key(
    request: Request, context: Context, visitor: Visiting, key: OwnKey, _form: OwnForm
) -> Response:
    """Deletes it, unless something uses it."""
    visitor.must(Ability.WRITE)
    try:
        await delete_private_key_by_uuid(key.id, context, visitor.principal)
    except SeawayError as error:
        again = replace(_deletion(key), error=error.message)
        crumbs, status = (Crumb("Keys", "/keys"), Crumb(key.name)), HTTPStatus(error.http_status)
        return action_page(request, visitor, again, crumbs, status, section=SECTION)
    return to("/keys", "key-deleted")
