"""SSH key pairs: made here, or uploaded in any of the usual formats, with or without a passphrase."""

from __future__ import annotations

import base64
import binascii
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

from domain.errors import InvalidInput
from domain.private_keys import FIELD, MAXIMUM_LENGTH, normalise_private_key, public_part

AcceptedKey = Ed25519PrivateKey | EllipticCurvePrivateKey | RSAPrivateKey

PUBLIC_KEY_BEGINNINGS: Final = ("ssh-", "ecdsa-sha2-", "sk-ssh-", "-----BEGIN PUBLIC KEY", "---- BEGIN SSH2")


OPENSSH: Final = "BEGIN OPENSSH PRIVATE KEY"
MOST_ROUNDS: Final = 1000
"""Some seconds of computing; ssh-keygen's default is 24."""
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


def parse_private_key(text: SecretStr, passphrase: SecretStr | None = None) -> ParsedKey:
    """Reads an Ed25519, ECDSA or RSA key in OpenSSH's, PKCS#8 or PEM format.

    Raises InvalidInput for the field `private_key`, or `passphrase` where that is wrong; the message never
    has any of the key. Opening a key with a passphrase takes a moment of computing: call it in a thread.
    """
    content = normalise_private_key(text).get_secret_value()
    _refuse_what_is_no_private_key(content)
    password = passphrase.get_secret_value().encode() if passphrase else b""
    return _parsed(_load(content, password or None))


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
    if OPENSSH in content and b"\0\0\0\7ssh-dss" in _openssh_body(content):
        raise InvalidInput(WRONG_KIND, field=FIELD)


def _refuse_endless_work(content: str) -> None:
    """A key says itself how long opening it takes; one of 2^32 rounds would never be done."""
    if OPENSSH not in content:
        return
    # OpenSSH's PROTOCOL.key: after the magic come cipher, kdf, and the kdf's salt and rounds.
    rest = _openssh_body(content).removeprefix(b"openssh-key-v1\0")
    for _ in range(2):
        rest = _after_string(rest)
    rounds = int.from_bytes(_after_string(rest[4:])[:4], "big")
    if rounds > MOST_ROUNDS:
        raise InvalidInput(
            f"Opening this key takes {rounds} rounds, more than {MOST_ROUNDS}. Encrypt it anew: "
            "ssh-keygen -p -a 100 -f FILE",
            field=FIELD,
        )


def _after_string(data: bytes) -> bytes:
    return data[4 + int.from_bytes(data[:4], "big") :]


def _load(content: str, password: bytes | None) -> AcceptedKey:
    load = load_ssh_private_key if OPENSSH in content else load_pem_private_key
    # A passphrase for a key that needs none is no mistake worth a complaint.
    needed = password if _is_encrypted(content) else None
    if needed is not None:
        _refuse_endless_work(content)
    try:
        key = load(content.encode(), needed)
    except TypeError as error:
        raise InvalidInput(
            "The key is protected by a passphrase. Give it as well.", field="passphrase"
        ) from error
    except UnsupportedAlgorithm as error:
        raise InvalidInput(
            "The key is encrypted in a way that Seaway does not know. Encrypt it anew: ssh-keygen -p -f FILE",
            field=FIELD,
        ) from error
    except ValueError as error:
        if needed is not None:
            raise InvalidInput("The passphrase does not open the key.", field="passphrase") from error
        raise InvalidInput(
            "That is not a private key. Paste the whole file, with its first and last line.", field=FIELD
        ) from error
    if not isinstance(key, Ed25519PrivateKey | EllipticCurvePrivateKey | RSAPrivateKey):
        raise InvalidInput(WRONG_KIND, field=FIELD)
    return key


def _is_encrypted(content: str) -> bool:
    if OPENSSH in content:
        # "openssh-key-v1\0", then the cipher's name after its length (OpenSSH's PROTOCOL.key).
        return not _openssh_body(content).startswith(b"openssh-key-v1\0\0\0\0\4none")
    return "ENCRYPTED" in content


def _openssh_body(content: str) -> bytes:
    lines = [line for line in content.splitlines() if not line.startswith("-----")]
    try:
        return base64.b64decode("".join(lines))
    except binascii.Error:
        return b""


def _parsed(key: AcceptedKey) -> ParsedKey:
    try:
        text = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidInput("SSH does not know this kind of key.", field=FIELD) from error
    private_key = SecretStr(text)
    # The rules for what is accepted (bits, curves) stand in one place.
    public = public_part(private_key)
    return ParsedKey(private_key, public.public_key, public.fingerprint, public.public_key.split()[0])
