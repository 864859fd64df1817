"""Taking secrets out of log lines before anybody stores or sees them.

Two nets: the values that are known to be secret, and the shapes that tokens are known to have. The
patterns run only on lines that hold one of their marks, so that an ordinary line costs little. What a
build prints is not ours to trust: every pattern must take time in proportion to the line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from urllib.parse import quote

REDACTED = "<redacted>"
MINIMUM_SECRET_LENGTH = 4
"""Shorter values occur by chance in too many lines."""

_LONGEST_KEY_BLOCK = 200

# Control sequences by ECMA-48: CSI, OSC up to its terminator, and the two-character escapes.
_ANSI = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-Z\\^-~])|\x9b[0-?]*[ -/]*[@-~]"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

_KEY_BLOCK = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
_KEY_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----")
_KEY_END = re.compile(r"-----END [A-Z0-9 ]*PRIVATE KEY-----")
_KEY_WORD = re.compile(r"[A-Za-z0-9+/=]{16,}|[A-Za-z0-9+/]*={1,2}")
_KEY_HEADER = re.compile(r"(?:^|\s)[A-Za-z-]+: \S")

_MARKED: tuple[tuple[tuple[str, ...], re.Pattern[str], str], ...] = (
    (("://",), re.compile(r"(?<=://)[^\s/@'\"]+(?:@[^\s/@'\"]+)*@(?=[\w\[])"), f"{REDACTED}@"),
    (
        ("gh", "github_pat_"),
        re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9_]{10,}|github_pat_[A-Za-z0-9_]{20,})"),
        REDACTED,
    ),
    (("gl",), re.compile(r"\bgl(?:pat|cbt|rt|dt|ptt|ft|soat|agent)-[A-Za-z0-9_.-]{10,}"), REDACTED),
    (("AKIA", "ASIA"), re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), REDACTED),
    (("xox",), re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"), REDACTED),
    (("npm_",), re.compile(r"\bnpm_[A-Za-z0-9]{36}\b"), REDACTED),
    (("sk_", "rk_"), re.compile(r"\b[sr]k_(?:live|test)_[A-Za-z0-9]{16,}"), REDACTED),
    (("eyJ",), re.compile(r"\beyJ[A-Za-z0-9_-]{8,2000}+\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"), REDACTED),
)
_AUTHORIZATION = re.compile(
    r"""(\bbearer\s+(?=\S*[0-9])|authorization["']?\s*[:=]\s*["']?[a-z]+\s+)[A-Za-z0-9._~+/-]{8,}=*""",
    re.IGNORECASE,
)
_ASSIGNED = re.compile(
    r"""((?:api|secret|access|private|auth|encryption)[_-]?(?:key|token|secret)|password|passwd|client[_-]?secret|token(?==))"""
    r"""(["']?\s*[=:]\s*)("[^"]*"|'[^']*'|[^\s"',;&]{4,})""",
    re.IGNORECASE,
)
_ASSIGNED_MARKS = ("key", "token", "secret", "passw")
_EMAIL = re.compile(
    r"(?<![\w.+%-])(?!git@)[\w.+%-]{1,64}@[A-Za-z][\w-]*(?:\.[\w-]+)*\.[A-Za-z]{2,24}\b", re.ASCII
)


class Redactor:
    """Redacts the lines of one log, in their order: it remembers a private key that goes over lines."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """`secrets` are values that must never show; those under 4 characters are left out."""
        self._secrets = _any_of(secrets)
        self._key_lines_left = 0

    def __call__(self, line: str) -> str:
        """The line without secrets, colour codes and control characters."""
        line = _without_control(line)
        if self._key_lines_left:
            return self._within_key(line)
        begins = _KEY_BEGIN.search(line) if "-----BEGIN" in line else None
        if begins and not _KEY_END.search(line, begins.end()):
            self._key_lines_left = _LONGEST_KEY_BLOCK
        return _redacted(line, self._secrets)

    def _within_key(self, line: str) -> str:
        """A line that follows the start of a key: hidden while it looks like part of it."""
        self._key_lines_left -= 1
        if end := _KEY_END.search(line):
            self._key_lines_left = 0
            return REDACTED + _redacted(line[end.end() :], self._secrets)
        if _looks_like_key(line):
            return REDACTED
        self._key_lines_left = 0
        return self(line)


def redact(line: str, secrets: Iterable[str] = ()) -> str:
    """One text without secrets; for many lines of one log, keep a `Redactor`."""
    return _redacted(_without_control(line), _any_of(secrets))


def _looks_like_key(line: str) -> bool:
    """Whether the line is blank (after the builder's own prefix), a header, or ends with base64."""
    if not line or line[-1].isspace():
        return True
    last_word = line.rsplit(maxsplit=1)[-1]
    return _KEY_WORD.fullmatch(last_word) is not None or _KEY_HEADER.search(line) is not None


def printable(text: str, longest: int) -> str:
    """One line of so many characters out of what a stranger wrote, without escape sequences."""
    line = _without_control(" ".join(text[: 10 * longest].split()))
    return "".join(one for one in line if one.isprintable())[:longest]


def _without_control(line: str) -> str:
    if "\x1b" in line or "\x9b" in line:
        line = _ANSI.sub("", line)
    return line if line.isprintable() else _CONTROL.sub("", line)


def _redacted(line: str, hide_secrets: Callable[[str], str]) -> str:
    line = hide_secrets(line)
    if "-----BEGIN" in line:
        line = _KEY_BLOCK.sub(REDACTED, line)
    for marks, pattern, replacement in _MARKED:
        if any(mark in line for mark in marks):
            line = pattern.sub(replacement, line)
    lower = line.lower()
    if "bearer" in lower or "authorization" in lower:
        line = _AUTHORIZATION.sub(rf"\1{REDACTED}", line)
    if any(mark in lower for mark in _ASSIGNED_MARKS):
        line = _ASSIGNED.sub(rf"\1\2{REDACTED}", line)
    return _EMAIL.sub(REDACTED, line) if "@" in line else line


def _any_of(secrets: Iterable[str]) -> Callable[[str], str]:
    """What replaces every one of the values, also each line of a long one and its form in a URL."""
    values: set[str] = set()
    for secret in secrets:
        for part in (secret, *(line.strip() for line in secret.splitlines())):
            if len(part) >= MINIMUM_SECRET_LENGTH and part.strip():
                values |= {part, quote(part, safe="")}
    if not values:
        return lambda line: line
    longest_first = sorted(values, key=lambda value: (-len(value), value))
    pattern = re.compile("|".join(map(re.escape, longest_first)))
    return lambda line: pattern.sub(REDACTED, line)
