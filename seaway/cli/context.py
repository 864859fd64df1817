"""Which Seaway the command talks to, and as whom.

In this order: the flags; SEAWAY_URL and SEAWAY_TOKEN; the context named by SEAWAY_CONTEXT; the
credentials file of an explicit SEAWAY_DATA_DIR; the current context; the credentials file of the
default data folder, which `seaway up` writes.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from domain.errors import Forbidden, InvalidInput, Unauthenticated

API_PATH = "/api/v1"


@dataclass(frozen=True)
class ConnectionFlags:
    """What the command line says."""

    url: str | None = None
    token: str | None = field(default=None, repr=False)
    context: str | None = None


@dataclass(frozen=True)
class Connection:
    """An address without a slash at its end, and a token. `origin` says for people where they are from."""

    url: str
    token: str = field(repr=False)
    origin: str


def default_data_directory(environment: Mapping[str, str]) -> Path:
    """Where `seaway up` keeps its data unless told otherwise."""
    if os.geteuid() == 0:
        return Path("/var/lib/seaway")
    return Path(environment.get("HOME") or Path.home()) / ".local" / "share" / "seaway"


def configuration_file(environment: Mapping[str, str]) -> Path:
    """Where contexts are kept (XDG Base Directory Specification)."""
    home = Path(environment.get("HOME") or Path.home())
    base = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    return base / "seaway" / "config.json"


def normalised_url(url: str) -> str:
    """The address as one spelling: no slash and no API path at its end. Raises InvalidInput."""
    text = url.strip().rstrip("/").removesuffix(API_PATH)
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise InvalidInput(
            f"{url!r} is not the address of a Seaway. Write it like https://seaway.example.com.", field="url"
        )
    if parts.username or parts.password:
        raise InvalidInput("The address must not hold a user or password; use a token.", field="url")
    return text


class Contexts:
    """The saved contexts: a name, an address and a token each; one of them is current."""

    def __init__(self, file: Path) -> None:
        self._file = file
        document = _read(file)
        self.current: str = str(document.get("current", ""))
        saved = document.get("contexts", {})
        self._saved: dict[str, dict[str, str]] = saved if isinstance(saved, dict) else {}

    @property
    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._saved)

    def get(self, name: str) -> Connection:
        """The context. Raises InvalidInput where there is none of this name."""
        try:
            saved = self._saved[name]
            return Connection(normalised_url(saved["url"]), saved["token"], origin=f"context '{name}'")
        except KeyError:
            known = ", ".join(self.names) or "none yet; `seaway login URL` makes one"
            raise InvalidInput(f"There is no context '{name}'. Known: {known}.", field="context") from None

    def put(self, name: str, connection: Connection) -> None:
        """Saves a context and makes it current."""
        self._saved[name] = {"url": connection.url, "token": connection.token}
        self.current = name
        self._write()

    def use(self, name: str) -> None:
        """Makes a context current. Raises InvalidInput where there is none of this name."""
        self.get(name)
        self.current = name
        self._write()

    def remove(self, name: str) -> None:
        """Forgets a context. Raises InvalidInput where there is none of this name."""
        self.get(name)
        del self._saved[name]
        if self.current == name:
            self.current = ""
        self._write()

    def _write(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        text = json.dumps({"current": self.current, "contexts": self._saved}, indent=2, sort_keys=True)
        # mkstemp makes the file readable by its owner only, and the rename replaces the old one whole.
        handle, temporary = tempfile.mkstemp(dir=self._file.parent, prefix=".config-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text + "\n")
            Path(temporary).replace(self._file)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def resolve_connection(flags: ConnectionFlags, environment: Mapping[str, str]) -> Connection:
    """The Seaway to talk to.

    A saved token is only ever sent to the address that it was saved with. Raises Unauthenticated
    when no address or no token is known, InvalidInput for an unknown context or a bad address.
    """
    contexts = Contexts(configuration_file(environment))
    if flags.url and flags.context:
        raise InvalidInput("Give --url or --context, not both.", field="context")
    url = flags.url or environment.get("SEAWAY_URL")
    named = flags.context or (None if url else environment.get("SEAWAY_CONTEXT"))
    if named:
        chosen = contexts.get(named)
        return Connection(chosen.url, flags.token or chosen.token, chosen.origin)
    token = flags.token or environment.get("SEAWAY_TOKEN")
    saved = list(_saved_connections(contexts, environment))
    if url:
        everywhere = [*saved, *(contexts.get(name) for name in contexts.names)]
        return _with_token(normalised_url(url), token, everywhere)
    if saved:
        return Connection(saved[0].url, token or saved[0].token, saved[0].origin)
    raise Unauthenticated(
        "No Seaway is known here. Start one with `seaway up`, log in to one with `seaway login URL`, "
        "or set SEAWAY_URL and SEAWAY_TOKEN."
    )


def _with_token(url: str, token: str | None, saved: list[Connection]) -> Connection:
    if token:
        return Connection(url, token, origin="--url or SEAWAY_URL")
    for connection in saved:
        if connection.url == url:
            return connection
    raise Unauthenticated(
        f"There is no token for {url}. Log in with `seaway login {url}` or set SEAWAY_TOKEN."
    )


def _saved_connections(contexts: Contexts, environment: Mapping[str, str]) -> Iterator[Connection]:
    chosen = environment.get("SEAWAY_DATA_DIR")
    if chosen:
        yield from _credentials(Path(chosen))
    if contexts.current in contexts.names:
        yield contexts.get(contexts.current)
    if not chosen:
        yield from _credentials(default_data_directory(environment))


def _credentials(data_directory: Path) -> Iterator[Connection]:
    file = data_directory / "credentials.json"
    document = _read(file)
    url, token = document.get("url"), document.get("token")
    if isinstance(url, str) and isinstance(token, str):
        yield Connection(normalised_url(url), token, origin=str(file))


def _read(file: Path) -> dict[str, object]:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except PermissionError as error:
        raise Forbidden(f"{file} may not be read by this user. Use its owner, or SEAWAY_TOKEN.") from error
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{file} cannot be read: {error}. Mend or remove it.") from error
    if not isinstance(document, dict):
        raise InvalidInput(f"{file} does not hold a JSON object. Mend or remove it.")
    return document
