"""Seaway's own log, on standard error."""

from __future__ import annotations

import logging
import time

FORMAT = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s"
QUIET = ("alembic", "asyncssh", "docker", "httpcore", "httpx", "temporalio", "urllib3")


def configure(level: str) -> None:
    """Sends the log of this process to standard error, in UTC, with libraries kept to warnings."""
    handler = logging.StreamHandler()
    formatter = logging.Formatter(FORMAT, "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").addFilter(_is_no_refused_handshake)


def _is_no_refused_handshake(record: logging.LogRecord) -> bool:
    # uvicorn takes an HTTP answer to a WebSocket's handshake for a fault of the application.
    return "returned without completing handshake" not in record.getMessage()
