"""Seaway's own log, on standard error."""

from __future__ import annotations

import logging
import re
import time
from typing import Any

FORMAT = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s"
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
QUIET = ("alembic", "asyncssh", "docker", "httpcore", "httpx", "temporalio", "urllib3")


def configure(level: str) -> None:
    """Sends the log of this process to standard error, in UTC, with libraries kept to warnings."""
    handler = logging.StreamHandler()
    handler.setFormatter(formatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").addFilter(_is_no_refused_handshake)


class _OneLine(logging.Formatter):
    """What servers, commits and visitors wrote neither steers a terminal nor forges a line."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """The message with its control characters spelled out."""
        return _CONTROL.sub(lambda found: repr(found.group())[1:-1], super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's own name
        """The lines of the stack trace, each as it would be in a message, and none where a record begins."""
        lines = super().formatException(ei).split("\n")
        return "\n".join("  " + _CONTROL.sub(lambda found: repr(found.group())[1:-1], line) for line in lines)


def formatter() -> logging.Formatter:
    """How a record becomes text."""
    made = _OneLine(FORMAT, "%Y-%m-%dT%H:%M:%S")
    made.converter = time.gmtime
    return made


def _is_no_refused_handshake(record: logging.LogRecord) -> bool:
    # uvicorn takes an HTTP answer to a WebSocket's handshake for a fault of the application.
    return "returned without completing handshake" not in record.getMessage()
