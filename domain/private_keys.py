"""SSH private keys: which are accepted, and what is public about them."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
)
from pydantic import SecretStr

from domain.errors import InvalidInput

FIELD = "private_key"
MAXIMUM_LENGTH = 32 * 1024
MINIMUM_RSA_BITS = 2048
MAXIMUM_RSA_BITS = 8192
"""Each log-in signs with the key: a tenth of a second at this length, and eight times that at twice of it."""


@dataclass(frozen=True)
class PublicPart:
    """What may be shown of a key. `fingerprint` is written as `ssh-keygen -l` does."""

    public_key: str
    fingerprint: str


def normalise_private_key(text: SecretStr) -> SecretStr:
    """The key with plain line ends and one at its end, without which OpenSSH refuses it."""
    lines = text.get_secret_value().replace("\r\n", "\n").replace("\r", "\n")
    return SecretStr(lines.strip() + "\n")


def public_part(private_key: SecretStr) -> PublicPart:
    """Reads a key in OpenSSH's or PEM format. Raises InvalidInput, never with the key in the message.

    Whether it is a sound one, its reader has found out: trying the primes of an RSA key takes seconds.
    """
    text = private_key.get_secret_value()
    if len(text) > MAXIMUM_LENGTH:
        raise InvalidInput("That is too long for a private key.", field=FIELD)
    load = load_ssh_private_key if "BEGIN OPENSSH PRIVATE KEY" in text else load_pem_private_key
    try:
        key = load(text.encode(), password=None, unsafe_skip_rsa_key_validation=True)
    except TypeError as error:
        raise InvalidInput(
            "The key is protected by a passphrase. Give that as `passphrase`: Seaway encrypts keys itself.",
            field=FIELD,
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidInput(
            "That is not a private key. Paste the whole file, with its first and last line.", field=FIELD
        ) from error
    if not isinstance(key, Ed25519PrivateKey | RSAPrivateKey | EllipticCurvePrivateKey):
        raise InvalidInput("Use an Ed25519, RSA or ECDSA key.", field=FIELD)
    if isinstance(key, RSAPrivateKey) and key.key_size < MINIMUM_RSA_BITS:
        raise InvalidInput(f"An RSA key needs at least {MINIMUM_RSA_BITS} bits.", field=FIELD)
    if isinstance(key, RSAPrivateKey) and key.key_size > MAXIMUM_RSA_BITS:
        raise InvalidInput(f"An RSA key may have {MAXIMUM_RSA_BITS} bits at most.", field=FIELD)
    try:
        line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidInput("SSH does not know this kind of key.", field=FIELD) from error
    digest = hashlib.sha256(base64.b64decode(line.split()[1])).digest()
    return PublicPart(line, f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}")
