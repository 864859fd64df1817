"""One HTTP request to Seaway's API: what is sent, and what each kind of answer means."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx

from domain.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    NotPossibleNow,
    SeawayError,
    TooManyRequests,
    TransientError,
    Unauthenticated,
)
from seaway.cli.context import API_PATH, Connection
from seaway.cli.event_stream import ServerEvent, parse_events

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 30.0
REGISTRY_SECONDS = 120.0  # an engine waits 30 seconds for a silent registry, and is reached first
STREAM_SILENCE_SECONDS = 45.0  # three of the server's pings
SUBMIT_TRIES = 3

_BY_STATUS: dict[int, type[SeawayError]] = {
    400: NotPossibleNow,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    422: InvalidInput,
    429: TooManyRequests,
    502: TransientError,
    503: TransientError,
    504: TransientError,
}


class RestClient:
    """Sends requests with the token. Raises errors of `domain.errors`, and nothing of httpx."""

    def __init__(self, connection: Connection, transport: httpx.BaseTransport | None = None) -> None:
        self.url = connection.url
        self._http = httpx.Client(
            base_url=connection.url + API_PATH,
            headers={"Authorization": f"Bearer {connection.token}", "Accept": "application/json"},
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            transport=transport,
            # A proxy for the internet cannot reach this machine under the name that it has for itself.
            trust_env=not is_loopback(connection.url),
        )

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: object | None = None,
        idempotency_key: str = "",
        answer_seconds: float = ANSWER_SECONDS,
    ) -> Any:
        """The JSON of a successful answer, or its text.

        With an idempotency key, a request whose answer was lost is sent again: it counts once.
        """
        tries = SUBMIT_TRIES if idempotency_key else 1
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        timeout = httpx.Timeout(answer_seconds, connect=CONNECT_SECONDS)
        while True:
            tries -= 1
            try:
                response = self._http.request(
                    method, path, params=_parameters(query), json=body, headers=headers, timeout=timeout
                )
                break
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                raise unreachable(self.url, error) from error
            except httpx.TransportError as error:
                if not tries:
                    raise unreachable(self.url, error) from error
        if not response.is_success:
            raise error_of(response)
        return _content(response)

    @contextmanager
    def events(
        self, path: str, *, query: Mapping[str, object] | None = None, last_event_id: str = ""
    ) -> Iterator[Iterator[ServerEvent]]:
        """A live stream. Raises TransientError when the connection breaks or falls silent."""
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if last_event_id:
            headers["Last-Event-ID"] = last_event_id
        timeout = httpx.Timeout(STREAM_SILENCE_SECONDS, connect=CONNECT_SECONDS)
        try:
            with self._http.stream(
                "GET", path, params=_parameters(query), headers=headers, timeout=timeout
            ) as response:
                if not response.is_success:
                    response.read()
                    raise error_of(response)
                yield parse_events(_lines(response), last_event_id)
        except httpx.TransportError as error:
            raise unreachable(self.url, error) from error


def unreachable(url: str, error: Exception) -> TransientError:
    """The error for a connection that cannot be made or that broke."""
    return TransientError(
        f"Cannot reach Seaway at {url}. Check that `seaway up` runs there and that the address is right.",
        detail=f"{type(error).__name__}: {error}",
    )


def error_of(response: httpx.Response) -> SeawayError:
    """The error that an answer stands for, by its code, or else by its HTTP status."""
    request = f"{response.request.method} {response.request.url.path}"
    if response.is_redirect:
        target = response.headers.get("Location", "")
        return TransientError(f"{request} is redirected to {target}. Use that address instead.")
    document = _document(response)
    message = document.get("message")
    if not isinstance(message, str):
        return _not_ours(response, request, document)
    kind = _by_code(str(document.get("code", ""))) or _BY_STATUS.get(response.status_code, SeawayError)
    detail = str(document.get("detail") or "")
    if issubclass(kind, InvalidInput):
        return InvalidInput(message, fields=_field_errors(document.get("errors")), detail=detail)
    return kind(message, detail="\n".join(filter(None, [detail, *_conflicts(document.get("conflicts"))])))


def _not_ours(response: httpx.Response, request: str, document: Mapping[str, object]) -> SeawayError:
    if response.status_code == httpx.codes.NOT_FOUND and document.get("detail") == "Not Found":
        return NotFound(f"This Seaway has no {request}; it may be of another version than this command.")
    text = " ".join(response.text.split())[:200]
    return TransientError(
        f"{request} was answered with {response.status_code} {response.reason_phrase}, not as Seaway "
        "answers. Check the address, and Seaway's own log.",
        detail=text,
    )


def _by_code(code: str) -> type[SeawayError] | None:
    """The class with this code, or its nearest base that can be made from a message alone."""
    waiting: list[type[SeawayError]] = list(SeawayError.__subclasses__())
    while waiting:
        kind = waiting.pop()
        if kind.code == code:
            return next(base for base in kind.__mro__ if _is_made_from_a_message(base))
        waiting.extend(kind.__subclasses__())
    return None


def _is_made_from_a_message(kind: type) -> bool:
    definer = next(base for base in kind.__mro__ if "__init__" in vars(base))
    return definer in (SeawayError, InvalidInput)


def _field_errors(errors: object) -> dict[str, list[str]]:
    if not isinstance(errors, dict):
        return {}
    return {
        str(field): [str(message) for message in (messages if isinstance(messages, list) else [messages])]
        for field, messages in errors.items()
    }


def _conflicts(conflicts: object) -> list[str]:
    """What each taken address is said about."""
    listed = conflicts if isinstance(conflicts, list) else []
    return [str(one["message"]) for one in listed if isinstance(one, dict) and "message" in one]


def _document(response: httpx.Response) -> dict[str, object]:
    try:
        document = response.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _content(response: httpx.Response) -> Any:
    if "json" not in response.headers.get("Content-Type", ""):
        return response.text
    try:
        return response.json()
    except json.JSONDecodeError as error:
        raise _not_ours(response, f"{response.request.method} {response.request.url.path}", {}) from error


def _lines(response: httpx.Response) -> Iterator[str]:
    # httpx's own iter_lines also splits at characters such as U+2028, which log lines may hold.
    pending = ""
    for text in response.iter_text():
        pending += text
        *complete, pending = pending.split("\n")
        for line in complete:
            yield line.removesuffix("\r")


def _parameters(query: Mapping[str, object] | None) -> dict[str, str]:
    """Query parameters as the API reads them; None and empty texts are left out."""
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in (query or {}).items()
        if value is not None and value != ""
    }


def is_loopback(url: str) -> bool:
    """Whether the address is one of this machine, which no proxy leads to."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.endswith(".localhost") or host.startswith("127.")
