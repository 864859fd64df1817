"""Private keys."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field, SecretStr

from api.shapes.answers import Body, Resource, number_of
from store.tables import PrivateKey

ABOUT_PASSPHRASES = "What opens the private key. It is used once and not kept: Seaway encrypts keys itself."


class CreatePrivateKey(Body):
    """A key that exists already, in OpenSSH's, PKCS#8 or PEM format."""

    private_key: SecretStr
    passphrase: SecretStr | None = Field(default=None, description=ABOUT_PASSPHRASES)
    name: str | None = None
    description: str | None = None


class GeneratePrivateKey(Body):
    """What to call a new Ed25519 key."""

    name: str | None = None
    description: str | None = None


class ChangePrivateKey(Body):
    """What to change; what is left out stays."""

    private_key: SecretStr | None = None
    passphrase: SecretStr | None = Field(default=None, description=ABOUT_PASSPHRASES)
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
