"""Encryption at rest with a key ring: the newest key writes, every key reads."""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import SecretStr

from domain.errors import StartUpError


class KeyRing:
    """Encrypts and decrypts text (Fernet: AES-128-CBC with HMAC-SHA256)."""

    def __init__(self, keys: list[SecretStr]) -> None:
        """`keys` are Fernet keys, newest first."""
        if not keys:
            raise StartUpError("No encryption key was given. Set SEAWAY_SECRET_KEYS or a data folder.")
        try:
            self._fernet = MultiFernet([Fernet(key.get_secret_value()) for key in keys])
        except ValueError as error:
            raise StartUpError(
                "An encryption key in SEAWAY_SECRET_KEYS is not a Fernet key (32 bytes, URL-safe base64)."
            ) from error
        self._fingerprint_key = hashlib.sha256(keys[-1].get_secret_value().encode()).digest()

    def encrypt(self, text: str) -> str:
        """The text, sealed with the newest key."""
        return self._fernet.encrypt(text.encode()).decode()

    def decrypt(self, sealed: str) -> str:
        """The text again, whichever key of the ring sealed it."""
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken as error:
            raise StartUpError(
                "A stored secret cannot be read: its key is missing from the key ring. "
                "Add the old key to the end of SEAWAY_SECRET_KEYS."
            ) from error

    def fingerprint(self, text: str) -> str:
        """A keyed hash that tells equal secrets apart from different ones without giving them away."""
        return hmac.new(self._fingerprint_key, text.encode(), hashlib.sha256).hexdigest()


def load_or_create_keys(path: Path) -> list[SecretStr]:
    """The keys in the file, one a line, newest first; makes the file (mode 0600) where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        lines = path.read_text().split()
        return [SecretStr(line) for line in lines]
    key = Fernet.generate_key().decode()
    with os.fdopen(descriptor, "w") as file:
        file.write(key + "\n")
        file.flush()
        os.fsync(file.fileno())
    return [SecretStr(key)]
