"""What strangers write neither steers the terminal of who reads Seaway's log nor forges lines of it."""

from __future__ import annotations

import logging
import sys

from seaway.console_log import formatter

HOSTILE = "failed: \x1b]0;owned\x07\nWARNING seaway: forged \x9b31m"


def told(message: str, **more: object) -> str:
    record = logging.makeLogRecord({"name": "seaway", "levelname": "WARNING", "msg": message, **more})
    return formatter().format(record)


def test_a_message_is_one_printable_line() -> None:
    line = told("the server %s", args=(HOSTILE,))
    assert line.isprintable()
    assert "WARNING seaway: the server failed: \\x1b]0;owned\\x07\\nWARNING" in line


def test_a_stack_trace_keeps_its_lines_and_nothing_else() -> None:
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        lines = told("it failed", exc_info=sys.exc_info()).split("\n")
    assert len(lines) > 3
    assert all(line.isprintable() for line in lines)
    assert not [line for line in lines[1:] if not line.startswith("  ")]
