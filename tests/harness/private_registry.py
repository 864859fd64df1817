"""A registry, mostly on the loopback, that asks for a user name and a password."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

import bcrypt
import docker
import httpx

from tests.harness.processes import ManagedProcess, free_port
from tests.harness.waiting import eventually

CHEAPEST_ROUNDS = 4
"""bcrypt's least: what the password resists is not what is tested."""


class PrivateRegistry:
    """Debian's `docker-registry` with one user; it keeps its port and its images while it is down."""

    def __init__(self, folder: Path, username: str, password: str, address: str = "127.0.0.1") -> None:
        self.host = f"{address}:{free_port()}"
        self.username = username
        self._folder = folder
        self._process: ManagedProcess | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.set_password(password)
        (folder / "config.yml").write_text(
            f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
            f'http: {{addr: "{self.host}"}}\n'
            f'auth: {{htpasswd: {{realm: "tests", path: "{folder}/htpasswd"}}}}\n'
        )

    def set_password(self, password: str) -> None:
        """Counts from the next start."""
        self.password = password
        hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(CHEAPEST_ROUNDS)).decode()
        (self._folder / "htpasswd").write_text(f"{self.username}:{hashed}\n")

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def start(self) -> None:
        """Returns when it answers."""
        program = shutil.which("docker-registry")
        assert program, "the tests need docker-registry (scripts/system-packages installs it)"
        self._process = ManagedProcess(
            [program, "serve", str(self._folder / "config.yml")], log_path=self._folder / "log"
        )
        self._process.__enter__()

        async def answers() -> bool:
            async with httpx.AsyncClient(trust_env=False) as client:
                return (await client.get(f"http://{self.host}/v2/")).status_code == 401

        await eventually(answers, ignored=(httpx.HTTPError,))

    def stop(self) -> None:
        """Its port refuses connections afterwards. Twice is harmless."""
        if self._process is not None:
            self._process.__exit__(None, None, None)
            self._process = None

    def push(self, engine: docker.DockerClient, image: str, name: str) -> str:
        """Pushes a local image as `name` and takes that name off it here; the whole reference."""
        reference = f"{self.host}/{name}"
        engine.images.get(image).tag(reference)
        login = {"username": self.username, "password": self.password}
        for line in engine.images.push(reference, auth_config=login, stream=True, decode=True):
            assert "error" not in line, line
        engine.images.remove(reference)
        return reference

    async def tags(self, name: str) -> set[str]:
        """The tags of a repository."""
        async with httpx.AsyncClient(trust_env=False, auth=(self.username, self.password)) as client:
            answer = await client.get(f"http://{self.host}/v2/{name}/tags/list")
        return set(answer.json().get("tags") or ()) if answer.status_code == 200 else set()

    async def digest(self, name: str, tag: str) -> str:
        """Which image a tag means at this moment; "" where there is none."""
        manifest = "application/vnd.docker.distribution.manifest.v2+json"
        async with httpx.AsyncClient(trust_env=False, auth=(self.username, self.password)) as client:
            answer = await client.head(
                f"http://{self.host}/v2/{name}/manifests/{tag}", headers={"Accept": manifest}
            )
        return answer.headers["Docker-Content-Digest"] if answer.status_code == 200 else ""
