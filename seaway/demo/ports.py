"""Which ports the demo's Seaway listens on: the usual ones, or the next free ones."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from domain.errors import StartUpError

TRIES = 100


@dataclass(frozen=True)
class Ports:
    """The API's port, those on which the proxy serves applications, and those for inside use."""

    api: int = 8000
    http: int = 80
    https: int = 443
    proxy_api: int = 8089
    temporal: int = 7233
    temporal_ui: int = 8233

    @property
    def environment(self) -> dict[str, str]:
        """What has no option on the command line."""
        return {
            "SEAWAY_PROXY_API_PORT": str(self.proxy_api),
            "SEAWAY_TEMPORAL_PORT": str(self.temporal),
            "SEAWAY_TEMPORAL_UI_PORT": str(self.temporal_ui),
        }


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
    taken: set[int] = set()

    def first(earlier: int | None, usual: int, alternatives_from: int) -> int:
        candidates = [] if earlier is None else [earlier]
        port = _first_free(candidates, usual, alternatives_from, lambda one: one not in taken and free(one))
        taken.add(port)
        return port

    own = Ports(
        api=first(previous.api if previous else None, 8000, 8001),
        temporal=first(previous.temporal if previous else None, 7233, 7333),
        temporal_ui=first(previous.temporal_ui if previous else None, 8233, 8333),
    )
    if previous is not None:
        return replace(own, http=previous.http, https=previous.https, proxy_api=previous.proxy_api)
    return replace(
        own, http=first(None, 80, 8080), https=first(None, 443, 8443), proxy_api=first(None, 8089, 8090)
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
