"""Public ids: 24 lower-case letters and digits."""

from __future__ import annotations

import hashlib
import secrets
import string

ALPHABET = string.ascii_lowercase + string.digits
LENGTH = 24


def new_identifier() -> str:
    """A random id; the first character is a letter, so that it is valid wherever a name is."""
    first = secrets.choice(string.ascii_lowercase)
    return first + "".join(secrets.choice(ALPHABET) for _ in range(LENGTH - 1))


def derived_identifier(*parts: str) -> str:
    """The same id for the same parts, so that a repeated request finds what its first try made."""
    number = int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest(), "big")
    number, letter = divmod(number, len(string.ascii_lowercase))
    characters = [string.ascii_lowercase[letter]]
    for _ in range(LENGTH - 1):
        number, index = divmod(number, len(ALPHABET))
        characters.append(ALPHABET[index])
    return "".join(characters)


def is_identifier(text: str) -> bool:
    """Whether the text has the shape of a public id."""
    return len(text) == LENGTH and all(character in ALPHABET for character in text)
