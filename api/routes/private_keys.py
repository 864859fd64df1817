"""Private keys, which open repositories and servers."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import SecretStr

from api.auditing import audit
from api.authentication import Principal, Reader, Writer, sees_secrets
from api.context import ApiContext
from api.key_uses import key_uses
from api.routes.parameters import ContextOf, Uuid
from api.server_access import KeyPair
from api.shapes.answers import Done
from api.shapes.descriptions import checked_description, checked_name
from api.shapes.private_keys import (
    ChangePrivateKey,
    CreatePrivateKey,
    GeneratePrivateKey,
    PrivateKeyAnswer,
)
from domain.errors import InvalidInput
from store.tables import PrivateKey

router = APIRouter(prefix="/security/keys", tags=["Private Keys"])


@router.get("", summary="List private keys")
async def list_private_keys(context: ContextOf, principal: Reader) -> list[PrivateKeyAnswer]:
    """The team's keys, oldest first."""
    keys = await context.store.servers.keys(team_id=principal.team_id)
    return [_answer(context, principal, key) for key in keys]


@router.post("", summary="Add a private key", status_code=201)
async def create_private_key(
    body: CreatePrivateKey, context: ContextOf, principal: Writer
) -> PrivateKeyAnswer:
    """Its public part and fingerprint are computed. A passphrase opens it once and is not kept."""
    pair = await context.key_pairs.read(body.private_key, body.passphrase)
    return await _add(context, principal, pair, body.name, body.description, "private_key.create")


@router.post("/generate", summary="Make a private key", status_code=201)
async def generate_private_key(
    context: ContextOf, principal: Writer, body: GeneratePrivateKey | None = None
) -> PrivateKeyAnswer:
    """A new Ed25519 key. Put its public part into `~/.ssh/authorized_keys` on a server."""
    asked = body or GeneratePrivateKey()
    pair = await context.key_pairs.generate()
    return await _add(context, principal, pair, asked.name, asked.description, "private_key.generate")


@router.get("/{uuid}", summary="One private key")
async def get_private_key_by_uuid(uuid: Uuid, context: ContextOf, principal: Reader) -> PrivateKeyAnswer:
    """Its private part is shown only to those who may see secrets."""
    return _answer(context, principal, await context.store.servers.key(uuid, team_id=principal.team_id))


@router.patch("/{uuid}", summary="Change a private key", status_code=201)
async def update_private_key(
    uuid: Uuid, body: ChangePrivateKey, context: ContextOf, principal: Writer
) -> PrivateKeyAnswer:
    """What is left out stays."""
    key = await context.store.servers.key(uuid, team_id=principal.team_id)
    key.name = checked_name(body.name) or key.name
    if "description" in body.model_fields_set:
        key.description = checked_description(body.description)
    private_key = None
    if body.private_key is not None:
        pair = await context.key_pairs.read(body.private_key, body.passphrase)
        private_key, key.public_key, key.fingerprint = pair.private_key, pair.public_key, pair.fingerprint
    elif body.passphrase is not None:
        raise InvalidInput("A passphrase opens a private key: give that as well.", field="private_key")
    changed = await context.store.servers.update_key(key, private_key)
    given = ", ".join(sorted(body.model_fields_set))
    await audit(context, principal, "private_key.update", "private_key", key.id, given)
    return _answer(context, principal, changed)


@router.delete("/{uuid}", summary="Delete a private key")
async def delete_private_key_by_uuid(uuid: Uuid, context: ContextOf, principal: Writer) -> Done:
    """Refused while an application or a server uses it; the message names them."""
    key = await context.store.servers.key(uuid, team_id=principal.team_id)
    if uses := (await key_uses(context, principal.team_id)).get(key.id):
        # Coolify's clients know this refusal by its status.
        raise InvalidInput(
            f"The key '{key.name}' is used by {uses}. Give them another key, or remove them, first."
        )
    await context.store.servers.delete_key(key.id, team_id=principal.team_id)
    await audit(context, principal, "private_key.delete", "private_key", key.id, key.name)
    return Done(message="Private Key deleted.")


async def _add(
    context: ApiContext,
    principal: Principal,
    pair: KeyPair,
    name: str | None,
    description: str | None,
    action: str,
) -> PrivateKeyAnswer:
    key = PrivateKey(
        team_id=principal.team_id,
        name=checked_name(name) or f"key {pair.fingerprint[7:15]}",
        description=checked_description(description),
        private_key_sealed="",
        public_key=pair.public_key,
        fingerprint=pair.fingerprint,
        is_git_related=True,
    )
    added = await context.store.servers.add_key(key, pair.private_key)
    await audit(context, principal, action, "private_key", added.id, f"{added.name}, {added.fingerprint}")
    return _answer(context, principal, added)


def _answer(context: ApiContext, principal: Principal, key: PrivateKey) -> PrivateKeyAnswer:
    private_key: SecretStr | None = context.store.servers.reveal(key) if sees_secrets(principal) else None
    return PrivateKeyAnswer.of(key, private_key)
