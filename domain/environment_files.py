"""Environment variables as people paste them: `.env` files, and the lists of a Compose file.

There is no standard for `.env`; the rules are those that Compose documents
(https://docs.docker.com/compose/how-tos/environment-variables/variable-interpolation/#env-file-syntax).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from domain.errors import InvalidInput
from domain.names import validate_variable_key

_ASSIGNMENT = re.compile(
    r"(?P<dash>-[ \t]+)?(?:export[ \t]+)?(?P<key>[^\s=:#\"']+)(?P<rest>[ \t]*(?:=|:(?=[ \t\n]|$)))?"
)
_COMMENT_AFTER_VALUE = re.compile(r"[ \t]+#(?P<comment>[^\n]*)")
_AFTER_QUOTE = re.compile(r"[ \t]*(?:#(?P<comment>[^\n]*))?(?:\n|\Z)")
_DOUBLE_QUOTED = re.compile(r'"(?P<value>(?:[^"\\]|\\.)*)"', re.DOTALL)
_SINGLE_QUOTED = re.compile(r"'(?P<value>[^']*)'")
_ESCAPE = re.compile(r'\\([nrt"\\$])')
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}


@dataclass(frozen=True)
class ParsedVariable:
    """One assignment; `is_literal` is set where the quoting asks that `$` in the value stays a dollar."""

    key: str
    value: str
    comment: str | None = None
    is_literal: bool = False


def parse_environment_file(text: str) -> list[ParsedVariable]:
    """The variables of a text, in its order; where a key is repeated, the last one is meant.

    A comment starts with `#` after white space, never within quotes. Double quotes may span lines and
    hold escapes, single quotes are taken as they are. `KEY: value` and `- KEY=value` are read as well;
    a list entry without value is empty. Raises InvalidInput (field `environment`) with the line.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    variables: list[ParsedVariable] = []
    position = 0
    while position < len(text):
        end = _end_of_line(text, position)
        line = text[position:end].strip()
        if not line or line.startswith("#") or line == "environment:":
            position = end + 1
            continue
        variable, position = _parse_assignment(text, position)
        variables.append(variable)
    return variables


def _parse_assignment(text: str, position: int) -> tuple[ParsedVariable, int]:
    """The variable that starts on this line, and where the next line starts."""
    start = position
    while text[position] in " \t\f\v":
        position += 1
    match = _ASSIGNMENT.match(text, position)
    if match is None or not (match["rest"] or match["dash"]):
        raise _invalid(text, start, "write KEY=value")
    try:
        key = validate_variable_key(match["key"])
    except InvalidInput as error:
        raise _invalid(text, start, error.message) from error
    position = match.end()
    while position < len(text) and text[position] in " \t":
        position += 1
    quote = text[position : position + 1] if match["rest"] else ""
    if quote in ('"', "'") and quote:
        return _quoted(text, start, position, key)
    return _unquoted(text, match.end(), key)


def _quoted(text: str, start: int, position: int, key: str) -> tuple[ParsedVariable, int]:
    """A value in quotes, which may go on over several lines."""
    is_double = text[position] == '"'
    match = (_DOUBLE_QUOTED if is_double else _SINGLE_QUOTED).match(text, position)
    if match is None:
        raise _invalid(text, start, "a quote is never closed")
    after = _AFTER_QUOTE.match(text, match.end())
    if after is None:
        raise _invalid(text, start, "there is text after the closing quote")
    value = match["value"]
    is_literal = not is_double or "\\$" in value
    if is_double:
        value = _ESCAPE.sub(lambda escape: _ESCAPED.get(escape[1], escape[1]), value)
    return ParsedVariable(key, value, _stripped(after["comment"]), is_literal), after.end()


def _unquoted(text: str, position: int, key: str) -> tuple[ParsedVariable, int]:
    """A value up to the end of its line or to its comment."""
    end = _end_of_line(text, position)
    raw = text[position:end]
    comment = _COMMENT_AFTER_VALUE.search(raw)
    value = raw[: comment.start()] if comment else raw
    return ParsedVariable(key, value.strip(), _stripped(comment["comment"] if comment else None)), end + 1


def _stripped(comment: str | None) -> str | None:
    return (comment or "").strip() or None


def _end_of_line(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end


def _invalid(text: str, position: int, why: str) -> InvalidInput:
    """The error for a line. It does not repeat the line, which may hold a secret."""
    return InvalidInput(f"Line {text.count(chr(10), 0, position) + 1}: {why}.", field="environment")
