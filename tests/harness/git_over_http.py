"""Git over HTTP: Git's own `http-backend` (smart HTTP) behind a small threaded server."""

from __future__ import annotations

import base64
import contextlib
import hmac
import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, urlsplit

BACKEND_LIMIT_SECONDS = 60


@dataclass
class GitHttpServer:
    """A running server. Its fields may be changed while it runs, to let requests fail on purpose."""

    port: int
    folder: Path
    user: str = ""
    password: str = ""
    refuse_with: HTTPStatus | None = None
    requests: list[str] = field(default_factory=list)

    def url(self, bare_repository: Path, *, credentials: bool = False) -> str:
        """The `http://` URL of a bare repository in the served folder, with the log-in if asked for."""
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}@" if credentials else ""
        return f"http://{login}127.0.0.1:{self.port}/{bare_repository.relative_to(self.folder)}"


@contextlib.contextmanager
def serve_http(folder: Path, user: str = "", password: str = "") -> Iterator[GitHttpServer]:
    """Serves the bare repositories below `folder` on 127.0.0.1; with basic auth when a user is named."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    state = GitHttpServer(server.server_address[1], folder, user, password)
    _Handler.states[state.port] = state
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)
        del _Handler.states[state.port]


class _Handler(BaseHTTPRequestHandler):
    states: dict[int, GitHttpServer] = {}  # noqa: RUF012 - by port, because the server makes the handlers

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: object) -> None:
        """What was asked for is in `requests`."""

    def _serve(self) -> None:
        state = self.states[self.connection.getsockname()[1]]
        state.requests.append(f"{self.command} {self.path}")
        if state.refuse_with is not None:
            self._refuse(state.refuse_with)
        elif state.user and not self._is_allowed(state):
            self._refuse(HTTPStatus.UNAUTHORIZED)
        else:
            self._answer_by_git(state)

    def _is_allowed(self, state: GitHttpServer) -> bool:
        login = base64.b64encode(f"{state.user}:{state.password}".encode()).decode()
        return hmac.compare_digest(self.headers.get("Authorization", ""), f"Basic {login}")

    def _refuse(self, status: HTTPStatus) -> None:
        self.send_response(status)
        if status == HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _answer_by_git(self, state: GitHttpServer) -> None:
        done = subprocess.run(
            ["git", "http-backend"],
            input=self._body(),
            env=self._cgi_environment(state),
            capture_output=True,
            timeout=BACKEND_LIMIT_SECONDS,
            check=False,
        )
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        fields = [line.split(": ", 1) for line in head.decode("latin-1").split("\r\n") if ": " in line]
        status = next((value for name, value in fields if name == "Status"), "200")
        self.send_response(int(status.split()[0]) if head else HTTPStatus.INTERNAL_SERVER_ERROR)
        for name, value in fields:
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        body = bytearray()
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size + 2)[:-2]
        self.rfile.readline()
        return bytes(body)

    def _cgi_environment(self, state: GitHttpServer) -> dict[str, str]:
        """RFC 3875, as far as `git http-backend` reads it."""
        url = urlsplit(self.path)
        return {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(state.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REQUEST_METHOD": self.command,
            "PATH_INFO": url.path,
            "QUERY_STRING": url.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "REMOTE_ADDR": self.client_address[0],
        }
