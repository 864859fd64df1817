"""What strangers write neither steers the terminal of who reads Seaway's log nor forges lines of it."""

from __future__ import annotations

import logging
import re
import sys
from pathlib import Path

import pytest
from fastapi import FastAPI

from seaway import console_log
from seaway.console_log import formatter
from seaway.parts import ApiServer
from seaway.settings import Settings

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


def test_what_the_web_server_says_is_written_as_all_else(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        console_log.configure("info")
        ApiServer(FastAPI(), Settings(data_dir=tmp_path))
        logging.getLogger("uvicorn.error").error("The port is %s.", "taken\x1b[31m\nforged")
        assert re.fullmatch(
            r"\S+Z ERROR uvicorn\.error: The port is taken\\x1b\[31m\\nforged\.\n", capsys.readouterr().err
        )
    finally:
        root.handlers[:] = before
        root.setLevel(level)
