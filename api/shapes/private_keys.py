"""Private keys."""

from __future__ import annotations

from datetime import datetime

from pydantic import SecretStr

from api.shapes.answers import Body, Resource, number_of
from store.tables import PrivateKey


class CreatePrivateKey(Body):
    """A new key, in OpenSSH's or PEM format and without a passphrase."""

    private_key: SecretStr
    name: str | None = None
    description: str | None = None


class ChangePrivateKey(Body):
    """What to change; what is left out stays."""

    private_key: SecretStr | None = None
    name: str | None = None
    description: str | None = None


class PrivateKeyAnswer(Resource):
    """A key. The private part is shown only to those who may see secrets."""

    name: str
    description: str | None
    private_key: str | None
    public_key: str
    fingerprint: str
    is_git_related: bool
    team_id: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, key: PrivateKey, private_key: SecretStr | None) -> PrivateKeyAnswer:
        """The answer for a key."""
        return cls(
            id=number_of(key.id),
            uuid=key.id,
            name=key.name,
            description=key.description or None,
            private_key=private_key.get_secret_value() if private_key else None,
            public_key=key.public_key,
            fingerprint=key.fingerprint,
            is_git_related=key.is_git_related,
            team_id=number_of(key.team_id),
            created_at=key.created_at,
            updated_at=key.updated_at,
        )
