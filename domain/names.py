"""What people may call things, and the pieces of text that end up in a container's settings."""

from __future__ import annotations

import posixpath
import re
import shlex
import unicodedata

from domain.errors import InvalidInput

MAXIMUM_NAME_LENGTH = 255
MAXIMUM_SLUG_LENGTH = 40
MAXIMUM_COMMAND_LENGTH = 4096
MAXIMUM_PATH_LENGTH = 1024
OWN_LABEL_PREFIX = "seaway."

_NOT_SLUG = re.compile(r"[^a-z0-9]+")
_VARIABLE_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,254}")
_ALIAS_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?")
# The names of replicas and release commands (`domain.replicas`), which the proxy sends visitors to.
_OWN_CONTAINER = re.compile(r"[a-z0-9]{24}-[a-z0-9]{24}(?:[-.].*)?")
_LABEL_KEY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/\[\]-]{0,253}[A-Za-z0-9\]])?")
_SHELL = re.compile(r"[`$;|&<>\"'\\]")


def validate_name(text: str, field: str = "name") -> str:
    """A name for people, in any script: trimmed, 1 to 255 printable characters.

    Characters that cannot be seen or that turn the direction of writing are refused, because two
    names that look alike must be alike. Raises InvalidInput.
    """
    name = unicodedata.normalize("NFC", text).strip()
    if not name:
        raise InvalidInput("A name is needed.", field=field)
    if len(name) > MAXIMUM_NAME_LENGTH:
        raise InvalidInput(f"The name is longer than {MAXIMUM_NAME_LENGTH} characters.", field=field)
    if not name.isprintable():
        raise InvalidInput("The name holds characters that cannot be seen.", field=field)
    return name


def slug(text: str, default: str = "app") -> str:
    """The text as part of a host name: lower-case ASCII letters, digits and single hyphens, at most 40."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return _NOT_SLUG.sub("-", ascii_text).strip("-")[:MAXIMUM_SLUG_LENGTH].strip("-") or default


def validate_variable_key(key: str) -> str:
    """The name of an environment variable: a letter or `_`, then letters, digits, `_` and `.`.

    POSIX (https://pubs.opengroup.org/onlinepubs/9699919799/basedefs/V1_chap08.html) has no `.`, but
    programs use it. Raises InvalidInput (field `key`).
    """
    key = key.strip()
    if not _VARIABLE_KEY.fullmatch(key):
        raise InvalidInput(
            f"{key[:80]!r} cannot name a variable: a letter or '_' first, then letters, digits, '_' and '.'.",
            field="key",
        )
    return key


def validate_network_alias(alias: str) -> str:
    """A name for containers among each other, lower-cased, as DNS would take it (RFC 1123, and `_`).

    The name of another application's replica is refused: the engine would answer with both, and half of
    that application's visitors would come here. Raises InvalidInput (field `network_aliases`).
    """
    alias = alias.strip().lower()
    if len(alias) > 253 or not all(_ALIAS_LABEL.fullmatch(label) for label in alias.split(".")):
        raise InvalidInput(
            f"{alias[:80]!r} cannot be a network alias: letters, digits, '-', '_' and '.', at most 63 "
            "characters between dots.",
            field="network_aliases",
        )
    if _OWN_CONTAINER.fullmatch(alias):
        raise InvalidInput(f"{alias[:80]!r} is the name of a container of Seaway.", field="network_aliases")
    return alias


def validate_label(key: str, value: str) -> tuple[str, str]:
    """A label of a container; `seaway.*` is ours. Raises InvalidInput (field `labels`)."""
    key = key.strip()
    if not _LABEL_KEY.fullmatch(key):
        raise InvalidInput(
            f"{key[:80]!r} cannot be a label: letters, digits, '.', '-', '_' and '/'.", field="labels"
        )
    if key.lower().startswith(OWN_LABEL_PREFIX):
        raise InvalidInput(f"Labels that start with {OWN_LABEL_PREFIX} belong to Seaway.", field="labels")
    if "\0" in value or len(value) > MAXIMUM_COMMAND_LENGTH:
        raise InvalidInput(f"The label {key} holds a null character or is too long.", field="labels")
    return key, value


def validate_command(text: str, field: str = "command") -> str:
    """A command on one line, trimmed, at most 4096 characters; empty means none. Raises InvalidInput."""
    text = text.strip()
    if len(text) > MAXIMUM_COMMAND_LENGTH:
        raise InvalidInput(f"The command is longer than {MAXIMUM_COMMAND_LENGTH} characters.", field=field)
    if any(character in text for character in "\0\r\n"):
        raise InvalidInput("The command must be on one line; join commands with &&.", field=field)
    return text


def split_command(text: str, field: str = "command") -> tuple[str, ...]:
    """The arguments of a command, split as a POSIX shell would, without expanding anything.

    Raises InvalidInput for a quote that is never closed.
    """
    try:
        return tuple(shlex.split(validate_command(text, field)))
    except ValueError as error:
        raise InvalidInput(
            "The command has a quote or a backslash with nothing after it.", field=field
        ) from error


def validate_base_path(text: str, field: str = "base_directory") -> str:
    """A path within a repository, normalised and starting with `/`, which is the repository itself.

    It cannot leave the repository, enter `.git`, or be taken for an option. Raises InvalidInput.
    """
    text = text.strip()
    parts = text.split("/")
    if len(text) > MAXIMUM_PATH_LENGTH:
        raise InvalidInput(f"The path is longer than {MAXIMUM_PATH_LENGTH} characters.", field=field)
    if ".." in parts:
        raise InvalidInput("The path must stay within the repository: no '..'.", field=field)
    if ".git" in parts:
        raise InvalidInput("The path must not lead into the repository's .git folder.", field=field)
    if not text.isprintable() or _SHELL.search(text):
        raise InvalidInput("The path holds characters that are not allowed in it.", field=field)
    path = "/" + posixpath.normpath(f"/{text}").lstrip("/")
    if any(part.startswith("-") for part in path.split("/")):
        raise InvalidInput("No part of the path may start with '-'.", field=field)
    return path
