"""Real Git repositories, and servers that hand them out: sshd with a deploy key, HTTP with a password."""

from __future__ import annotations

import base64
import contextlib
import getpass
import os
import shutil
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.harness.processes import ManagedProcess, free_port

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "Ada Lovelace",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada Lovelace",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
    "GIT_ALLOW_PROTOCOL": "file",
}


@dataclass(frozen=True)
class Repository:
    """A work tree whose commits tests make by hand."""

    path: Path

    @property
    def url(self) -> str:
        return f"file://{self.path}"

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=self.path, env=ENVIRONMENT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def commit(self, files: dict[str, str], message: str = "A change") -> str:
        """Writes the files, commits everything and returns the commit."""
        for name, content in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", f"--message={message}")
        return self.git("rev-parse", "HEAD")


def make_repository(path: Path) -> Repository:
    path.mkdir(parents=True)
    repository = Repository(path)
    repository.git("init", "--quiet", "--initial-branch=main")
    return repository


@dataclass(frozen=True)
class SshServer:
    """An sshd of our own that lets one key in."""

    folder: Path
    port: int
    private_key: str

    def url(self, path: Path) -> str:
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{path}"

    @property
    def public_host_key(self) -> str:
        return (self.folder / "host_key.pub").read_text()


def new_key(path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


def ssh_files(folder: Path) -> tuple[Path, Path, Path]:
    Path("/run/sshd").mkdir(exist_ok=True)  # where sshd, run as root, separates its privileges
    folder.mkdir(parents=True, exist_ok=True)
    return folder / "sshd_config", new_key(folder / "host_key"), new_key(folder / "user_key")


@contextlib.asynccontextmanager
async def ssh_server(folder: Path, port: int | None = None) -> AsyncIterator[SshServer]:
    sshd = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin") or "sshd"
    port = port or free_port()
    configuration, host_key, user_key = ssh_files(folder)
    configuration.write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {host_key}\nAuthorizedKeysFile {user_key}.pub\n"
        f"PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n"
    )
    arguments = [sshd, "-D", "-e", "-f", str(configuration)]
    with ManagedProcess(arguments, log_path=folder / "log") as process:
        await process.wait_for_output("Server listening")
        yield SshServer(folder, port, user_key.read_text())


@dataclass
class WebServer:
    """Bare repositories over HTTP, behind a password if `users` names any."""

    port: int
    users: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    answer: Callable[[str], tuple[int, str] | None] = lambda path: None

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{name}"


class _Handler(SimpleHTTPRequestHandler):
    server_state: WebServer

    def __init__(self, state: WebServer, *arguments: Any, **options: Any) -> None:
        self.server_state = state
        super().__init__(*arguments, **options)

    def do_GET(self) -> None:
        state = self.server_state
        authorization = self.headers.get("Authorization")
        state.asked.append((self.path, authorization))
        if (special := state.answer(self.path)) is not None:
            status, location = special
            self.send_response(status)
            self.send_header("Location", location)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        accepted = {"Basic " + base64.b64encode(f"{u}:{p}".encode()).decode() for u, p in state.users.items()}
        if state.users and authorization not in accepted:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        super().do_GET()

    def log_message(self, *_: Any) -> None:
        """Says nothing: the requests are kept in `asked`."""


@contextlib.contextmanager
def web_server(folder: Path) -> Iterator[WebServer]:
    state = WebServer(0)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, state, directory=str(folder)))
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def publish(repository: Repository, bare: Path) -> None:
    """Makes or updates a bare copy that a plain file server can hand out."""
    if not bare.exists():
        repository.git("clone", "--quiet", "--bare", str(repository.path), str(bare))
    else:
        repository.git("push", "--quiet", "--mirror", str(bare))
    repository.git("--git-dir", str(bare), "update-server-info")
