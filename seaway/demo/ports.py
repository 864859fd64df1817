"""Which ports the demo's Seaway listens on: the usual ones, or the next free ones."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from domain.errors import StartUpError

TRIES = 100


@dataclass(frozen=True)
class Ports:
    """The API's port, and those on which the proxy serves applications."""

    api: int = 8000
    http: int = 80
    https: int = 443


def is_free(port: int) -> bool:
    """Whether nobody listens on the port, on any address of this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("0.0.0.0", port))  # noqa: S104  what the proxy will do; it never listens here
        except PermissionError:
            return not _somebody_answers(port)  # the engine may open ports that this user may not
        except OSError:
            return False
    return True


def choose(previous: Ports | None, free: Callable[[int], bool] = is_free) -> Ports:
    """The ports to use. The proxy outlives Seaway, so a previous choice for it is kept unchecked.

    Raises StartUpError where a hundred candidates in a row are taken.
    """
    api = _first_free([previous.api] if previous else [], 8000, 8001, free)
    if previous is not None:
        return Ports(api=api, http=previous.http, https=previous.https)
    return Ports(
        api=api,
        http=_first_free([], 80, 8080, lambda port: port != api and free(port)),
        https=_first_free([], 443, 8443, lambda port: port != api and free(port)),
    )


def read(path: Path) -> Ports | None:
    """The choice that was written there; None where there is none, or none that can be read."""
    try:
        return Ports(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def write(path: Path, ports: Ports) -> None:
    """Keeps the choice for the next run."""
    path.write_text(json.dumps(asdict(ports)) + "\n")


def remarks(ports: Ports) -> Iterator[str]:
    """One sentence for each port that is not the usual one."""
    usual = Ports()
    for name, wanted, got in (
        ("The dashboard", usual.api, ports.api),
        ("HTTP", usual.http, ports.http),
        ("HTTPS", usual.https, ports.https),
    ):
        if wanted != got:
            yield f"{name} is on port {got}, because {wanted} is in use."


def _first_free(first: list[int], usual: int, alternatives_from: int, free: Callable[[int], bool]) -> int:
    for port in (*first, usual, *range(alternatives_from, alternatives_from + TRIES)):
        if free(port):
            return port
    raise StartUpError(
        f"No free port: {usual} and {alternatives_from} to {alternatives_from + TRIES - 1} are all in use."
    )


def _somebody_answers(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as caller:
        caller.settimeout(1.0)
        return caller.connect_ex(("127.0.0.1", port)) == 0
