"""A stand-in for Seaway's API: it answers as scripted, and keeps what it was sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

APPLICATION = "a" * 24
DEPLOYMENT = "d" * 24
SERVER = "s" * 24
PROJECT = "p" * 24
KEY = "k" * 24
START = "2026-01-02T03:04:05+00:00"
END = "2026-01-02T03:04:17.500000+00:00"

Answer = Callable[[httpx.Request], httpx.Response]


def application(**changes: Any) -> dict[str, Any]:
    return {
        "uuid": APPLICATION,
        "name": "demo",
        "status": "running:healthy",
        "fqdn": "http://demo.localhost",
        "urls": ["http://demo.localhost:8080"],
        "domains": "http://demo.localhost",
        "git_repository": "https://git.example.com/demo.git",
        "git_branch": "main",
        "ports_exposes": "3000",
        "replicas": 1,
        "is_spa": False,
        "health_check_path": "/",
        "health_check_return_code": None,
        "limits_memory": "0",
        "private_key_uuid": None,
        "current_deployment_uuid": DEPLOYMENT,
        **changes,
    }


def step(name: str = "build", status: str = "succeeded", **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "title": name.title(),
        "server": "local",
        "status": status,
        "attempt": 1,
        "started_at": START,
        "finished_at": END if status in ("succeeded", "failed") else None,
        "message": "",
        **changes,
    }


def deployment(status: str = "finished", **changes: Any) -> dict[str, Any]:
    return {
        "deployment_uuid": DEPLOYMENT,
        "application_uuid": APPLICATION,
        "kind": "deploy",
        "status": "cancelled-by-user" if status == "superseded" else status,
        "outcome": None if status in ("queued", "in_progress") else status,
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "commit_message": "Say hello",
        "steps": [step()],
        "error": None,
        "superseded_by": None,
        "workflow_url": None,
        "created_at": START,
        "started_at": START,
        "finished_at": END,
        **changes,
    }


def line(number: int, text: str, *, attempt: int = 1, name: str = "build") -> dict[str, Any]:
    return {
        "id": number,
        "step": name,
        "server": "local",
        "attempt": attempt,
        "at": START,
        "text": text,
    }


def event(name: str, data: dict[str, Any]) -> bytes:
    identifier = f"id: {data['id']}\n" if name == "log" else ""
    return f"{identifier}event: {name}\ndata: {json.dumps(data)}\n\n".encode()


class BreakingStream(httpx.SyncByteStream):
    """Sends the pieces; then the connection breaks, or ends where `breaks` is not set."""

    def __init__(self, pieces: Sequence[bytes], *, breaks: bool) -> None:
        self._pieces = pieces
        self._breaks = breaks

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces
        if self._breaks:
            raise httpx.ReadError("connection reset by peer")


def events(*pieces: bytes, breaks: bool = False) -> Answer:
    def answer(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(
            200,
            headers={"Content-Type": "text/event-stream"},
            stream=BreakingStream(pieces, breaks=breaks),
        )

    return answer


def problem(status: int, message: str, code: str, **more: Any) -> Answer:
    return lambda _request: httpx.Response(status, json={"message": message, "code": code, **more})


def unreachable(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("connection refused", request=request)


@dataclass
class StubSeaway:
    """Answers by method and path; a list of answers is given one after another, the last for ever."""

    answers: dict[tuple[str, str], list[Any]] = field(default_factory=dict)
    requests: list[httpx.Request] = field(default_factory=list)

    def on(self, method: str, path: str, *answers: Any) -> StubSeaway:
        self.answers[method, path] = list(answers)
        return self

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        path = request.url.path.removeprefix("/api/v1")
        scripted = self.answers.get((request.method, path))
        if not scripted:
            return httpx.Response(404, json={"message": f"no {request.method} {path}", "code": "not_found"})
        answer = scripted.pop(0) if len(scripted) > 1 else scripted[0]
        if callable(answer):
            result = answer(request)
            assert isinstance(result, httpx.Response)
            return result
        return httpx.Response(200, json=answer)

    def sent(self, method: str, path: str) -> list[httpx.Request]:
        return [
            request
            for request in self.requests
            if request.method == method and request.url.path == f"/api/v1{path}"
        ]

    def body(self, method: str, path: str) -> Any:
        found = self.sent(method, path)
        assert len(found) == 1, [f"{one.method} {one.url.path}" for one in self.requests]
        return json.loads(found[0].content)
