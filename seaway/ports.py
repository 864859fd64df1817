"""Ports that Seaway is about to use."""

from __future__ import annotations

import socket

from domain.errors import StartUpError


def require_free(host: str, port: int, *, what: str, option: str) -> None:
    """Raises StartUpError, with the way out, when something listens there or it may not be used."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError as error:
            raise StartUpError(
                f"Port {port} for {what} may only be used by root. Choose one above 1023 with {option}."
            ) from error
        except OSError as error:
            raise StartUpError(
                f"Port {port} for {what} is in use. Stop what listens there, or choose another with {option}."
            ) from error
