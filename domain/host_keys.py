"""Host keys of SSH servers: how they are written and compared. No input or output here."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass

from domain.errors import InvalidInput

FIELD = "host_key"


@dataclass(frozen=True)
class HostKey:
    """A server's key: `text` as in `known_hosts` without the name, `fingerprint` as of `ssh-keygen -l`."""

    text: str
    fingerprint: str
    algorithm: str


def host_key_of(text: str) -> HostKey:
    """The key in one line of `algorithm base64`, whatever follows. Raises InvalidInput for `host_key`."""
    fields = text.split()
    try:
        blob = base64.b64decode(fields[1], validate=True)
        size = int.from_bytes(blob[:4], "big")
        algorithm = blob[4 : 4 + size].decode("ascii")
    except (IndexError, binascii.Error, UnicodeError, ValueError) as error:
        raise InvalidInput("That is not a host key: expected 'ssh-ed25519 AAAA…'.", field=FIELD) from error
    if algorithm != fields[0] or not algorithm:
        raise InvalidInput("That is not a host key: its parts do not belong together.", field=FIELD)
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return HostKey(f"{fields[0]} {fields[1]}", f"SHA256:{digest}", algorithm)


def fingerprint_of(text: str) -> str:
    """The fingerprint of a key that was stored; empty where none was."""
    return host_key_of(text).fingerprint if text else ""


def is_fingerprint_of(key: HostKey, fingerprint: str) -> bool:
    """Whether a person means this key. Takes the same time wherever the two differ."""
    given = fingerprint.strip().removesuffix("=")
    return hmac.compare_digest(key.fingerprint.encode(), given.encode())
