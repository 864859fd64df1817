"""How private keys are wrapped: the one block that is read, and how much work opening it is.

A key says itself how often its passphrase is hashed, so whoever uploads one decides how long we compute.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final

from domain.errors import InvalidInput
from domain.private_keys import FIELD

OPENSSH: Final = "OPENSSH PRIVATE KEY"
ENCRYPTED_PKCS8: Final = "ENCRYPTED PRIVATE KEY"
MOST_ROUNDS: Final = 1000
"""Some seconds of computing; ssh-keygen's default is 24."""
MOST_ITERATIONS: Final = 1_000_000
"""Half a second; OpenSSL's default is 2048."""

NO_KEY: Final = "That is not a private key. Paste the whole file, with its first and last line."
ENCRYPT_ANEW: Final = "Encrypt it anew: ssh-keygen -p -a 100 -f FILE"

_BLOCK: Final = re.compile(
    r"^-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----[ \t]*\n(.*?)^-----END \1-----", re.MULTILINE | re.DOTALL
)
_BEGINNING: Final = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY")
_MAGIC: Final = b"openssh-key-v1\0"
# DER of the object identifiers of PBES2 and PBKDF2 (RFC 8018).
_PBES2: Final = bytes.fromhex("2a864886f70d01050d")
_PBKDF2: Final = bytes.fromhex("2a864886f70d01050c")
_INTEGER, _OCTETS, _IDENTIFIER, _SEQUENCE = 0x02, 0x04, 0x06, 0x30


@dataclass(frozen=True)
class KeyBlock:
    """A private key as its file has it. `text` has nothing but what was looked at: that is what is read."""

    label: str
    text: str
    body: bytes

    @property
    def is_openssh(self) -> bool:
        """Whether it is in OpenSSH's own format."""
        return self.label == OPENSSH

    @property
    def is_encrypted(self) -> bool:
        """Whether it needs a passphrase."""
        if self.is_openssh:
            # The cipher's name after its length (OpenSSH's PROTOCOL.key).
            return not self.body.startswith(_MAGIC + b"\0\0\0\4none")
        return self.label == ENCRYPTED_PKCS8 or "ENCRYPTED" in self.text


def key_block(content: str) -> KeyBlock:
    """The private key in a file, without what stands around it. Raises InvalidInput for none or several."""
    if len(_BEGINNING.findall(content)) > 1:
        raise InvalidInput("There is more than one private key in that. Paste one.", field=FIELD)
    found = _BLOCK.search(content)
    if found is None:
        raise InvalidInput(NO_KEY, field=FIELD)
    label, inner = found.groups()
    if ":" in inner and label not in (OPENSSH, ENCRYPTED_PKCS8):
        # PEM's old encryption, whose work is fixed, has headers that the library has to see.
        return KeyBlock(label, found[0] + "\n", b"")
    try:
        body = base64.b64decode("".join(inner.split()), validate=True)
    except binascii.Error as error:
        raise InvalidInput(NO_KEY, field=FIELD) from error
    lines = base64.encodebytes(body).decode()
    return KeyBlock(label, f"-----BEGIN {label}-----\n{lines}-----END {label}-----\n", body)


def refuse_endless_work(block: KeyBlock) -> None:
    """Raises InvalidInput for a key that takes too long to open, or does not say how long."""
    if block.is_openssh:
        # After the magic come cipher, kdf, and the kdf's salt and rounds.
        rest = _after_string(_after_string(block.body.removeprefix(_MAGIC)))
        rounds = int.from_bytes(_after_string(rest[4:])[:4], "big")
        if rounds > MOST_ROUNDS:
            raise _too_long(f"{rounds} rounds, more than {MOST_ROUNDS}")
    elif block.label == ENCRYPTED_PKCS8:
        iterations = _iterations(block.body)
        if iterations > MOST_ITERATIONS:
            raise _too_long(f"{iterations} iterations, more than {MOST_ITERATIONS}")


def _too_long(work: str) -> InvalidInput:
    return InvalidInput(f"Opening this key takes {work}. {ENCRYPT_ANEW}", field=FIELD)


def _after_string(data: bytes) -> bytes:
    return data[4 + int.from_bytes(data[:4], "big") :]


def _iterations(body: bytes) -> int:
    """How often PBKDF2 hashes for a key in PKCS#8 (RFC 5958, RFC 8018). Raises InvalidInput for others."""
    try:
        outer, _ = _opened(body, _SEQUENCE)
        algorithm, _ = _opened(outer, _SEQUENCE)
        scheme, rest = _opened(algorithm, _IDENTIFIER)
        parameters, _ = _opened(rest, _SEQUENCE)
        derivation, _ = _opened(parameters, _SEQUENCE)
        function, rest = _opened(derivation, _IDENTIFIER)
        if (scheme, function) != (_PBES2, _PBKDF2):
            raise ValueError
        settings, _ = _opened(rest, _SEQUENCE)
        _, rest = _opened(settings, _OCTETS)
        iterations, _ = _opened(rest, _INTEGER)
    except (ValueError, IndexError) as error:
        raise InvalidInput(
            f"The key is encrypted in a way that Seaway does not know. {ENCRYPT_ANEW}", field=FIELD
        ) from error
    return int.from_bytes(iterations, "big")


def _opened(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """The content of the DER value that `data` begins with, and what follows it."""
    length, start = data[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[2:start], "big")
    if data[0] != tag or len(data) < start + length:
        raise ValueError
    return data[start : start + length], data[start + length :]
