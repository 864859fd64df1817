"""SSH key pairs: made here, or uploaded in any of the usual formats, with or without a passphrase."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_ssh_private_key,
)
from pydantic import SecretStr

from adapters.ssh.key_envelopes import ENCRYPT_ANEW, NO_KEY, KeyBlock, key_block, refuse_endless_work
from domain.errors import InvalidInput
from domain.private_keys import FIELD, MAXIMUM_LENGTH, normalise_private_key, public_part

AcceptedKey = Ed25519PrivateKey | EllipticCurvePrivateKey | RSAPrivateKey

PUBLIC_KEY_BEGINNINGS: Final = ("ssh-", "ecdsa-sha2-", "sk-ssh-", "-----BEGIN PUBLIC KEY", "---- BEGIN SSH2")

WRONG_KIND: Final = "Use an Ed25519, ECDSA or RSA key."


@dataclass(frozen=True)
class ParsedKey:
    """A key pair. `private_key` is in OpenSSH's format without a passphrase: Seaway itself encrypts it.

    `fingerprint` is written as `ssh-keygen -l` does, `algorithm` as SSH names it (`ssh-ed25519`).
    """

    private_key: SecretStr
    public_key: str
    fingerprint: str
    algorithm: str


def generate_key() -> ParsedKey:
    """A new Ed25519 key pair."""
    return _parsed(Ed25519PrivateKey.generate())


def parse_private_key(
    text: SecretStr, passphrase: SecretStr | None = None, *, is_known: bool = False
) -> ParsedKey:
    """Reads an Ed25519, ECDSA or RSA key in OpenSSH's, PKCS#8 or PEM format.

    Raises InvalidInput for the field `private_key`, or `passphrase` where that is wrong; the message never
    has any of the key. Opening a key and trying an RSA key's primes hold up all of this process for seconds:
    what comes from outside is read in another one (`adapters.ssh.key_reading`). `is_known` is for a key that
    was read so before: its primes are not tried again.
    """
    content = normalise_private_key(text).get_secret_value()
    _refuse_what_is_no_private_key(content)
    password = passphrase.get_secret_value().encode() if passphrase else b""
    key = _load(key_block(content), password or None)
    parsed = _parsed(key)
    if isinstance(key, RSAPrivateKey) and not is_known:
        _refuse_unsound(key)
    return parsed


def _refuse_what_is_no_private_key(content: str) -> None:
    if not content.strip():
        raise InvalidInput("Paste a private key.", field=FIELD)
    if len(content) > MAXIMUM_LENGTH:
        raise InvalidInput("That is too long for a private key.", field=FIELD)
    if content.startswith(PUBLIC_KEY_BEGINNINGS):
        raise InvalidInput(
            "That is the public half of a key. Paste the private one: the file without .pub.", field=FIELD
        )
    if content.startswith("PuTTY-User-Key-File"):
        raise InvalidInput(
            "That is a key of PuTTY's. Export it in PuTTYgen: Conversions, Export OpenSSH key.", field=FIELD
        )


def _load(block: KeyBlock, password: bytes | None) -> AcceptedKey:
    if block.is_openssh and b"\0\0\0\7ssh-dss" in block.body:
        raise InvalidInput(WRONG_KIND, field=FIELD)
    # A passphrase for a key that needs none is no mistake worth a complaint.
    needed = password if block.is_encrypted else None
    if needed is not None:
        refuse_endless_work(block)
    load = load_ssh_private_key if block.is_openssh else load_pem_private_key
    try:
        key = load(block.text.encode(), needed, unsafe_skip_rsa_key_validation=True)
    except TypeError as error:
        raise InvalidInput(
            "The key is protected by a passphrase. Give it as well.", field="passphrase"
        ) from error
    except UnsupportedAlgorithm as error:
        raise InvalidInput(
            f"The key is encrypted in a way that Seaway does not know. {ENCRYPT_ANEW}", field=FIELD
        ) from error
    except ValueError as error:
        if needed is not None:
            raise InvalidInput("The passphrase does not open the key.", field="passphrase") from error
        raise InvalidInput(NO_KEY, field=FIELD) from error
    if not isinstance(key, Ed25519PrivateKey | EllipticCurvePrivateKey | RSAPrivateKey):
        raise InvalidInput(WRONG_KIND, field=FIELD)
    return key


def _refuse_unsound(key: RSAPrivateKey) -> None:
    """After its length was looked at, on which depends how long this takes."""
    try:
        key.private_numbers().private_key()
    except ValueError as error:
        raise InvalidInput("The RSA key is damaged: its numbers do not fit together.", field=FIELD) from error


def _parsed(key: AcceptedKey) -> ParsedKey:
    try:
        text = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidInput("SSH does not know this kind of key.", field=FIELD) from error
    private_key = SecretStr(text)
    # The rules for what is accepted (bits, curves) stand in one place.
    public = public_part(private_key)
    return ParsedKey(private_key, public.public_key, public.fingerprint, public.public_key.split()[0])
