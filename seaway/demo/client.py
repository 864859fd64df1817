"""The part of Seaway's REST API that the demo uses."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from domain.deployments import DeploymentStatus
from domain.errors import DeploymentError, StartUpError

PROJECT = "Demo"
APPLICATION = "example"
DEPLOY_LIMIT_SECONDS = 600.0


@dataclass(frozen=True)
class Credentials:
    """What Seaway writes for its first user; `temporal_url` is Temporal's web UI, `http_port` the proxy's."""

    url: str
    token: str
    email: str
    password: str
    temporal_url: str = "http://127.0.0.1:8233"
    http_port: int = 80


def read_credentials(data_folder: Path) -> Credentials:
    """Reads what Seaway wrote at its start. Raises StartUpError where that is missing or incomplete."""
    path = data_folder / "credentials.json"
    try:
        found = json.loads(path.read_text())
        return Credentials(
            **{name: found[name] for name in Credentials.__dataclass_fields__ if name in found}
        )
    except (OSError, ValueError, TypeError) as error:
        raise StartUpError(f"Seaway's credentials cannot be read from {path}: {error}") from error


class SeawayClient:
    """Speaks to one Seaway. Raises DeploymentError with the API's own message where it refuses."""

    def __init__(self, credentials: Credentials, transport: httpx.BaseTransport | None = None) -> None:
        self._http = httpx.Client(
            base_url=f"{credentials.url.rstrip('/')}/api/v1",
            headers={"Authorization": f"Bearer {credentials.token}"},
            timeout=30.0,
            transport=transport,
            trust_env=False,  # a proxy for the internet must not see a call to this machine
        )

    def __enter__(self) -> SeawayClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def is_healthy(self) -> bool:
        """Whether the API answers."""
        try:
            return self._http.get("/health").is_success
        except httpx.TransportError:
            return False

    def application(self) -> str | None:
        """The id of the example application, if there is one."""
        return _uuid_by_name(self._call("GET", "/applications"), APPLICATION)

    def has_applications(self) -> bool:
        """Whether there is any application at all."""
        return bool(self._call("GET", "/applications"))

    def create_application(self, repository: str, branch: str, domain: str) -> str:
        """Creates the example application on the first server, and returns its id."""
        project = _uuid_by_name(self._call("GET", "/projects"), PROJECT)
        if project is None:
            project = self._call("POST", "/projects", {"name": PROJECT})["uuid"]
        created = self._call(
            "POST",
            "/applications/public",
            {
                "project_uuid": project,
                "server_uuid": self._call("GET", "/servers")[0]["uuid"],
                "environment_name": "production",
                "name": APPLICATION,
                "git_repository": repository,
                "git_branch": branch,
                "build_pack": "static",
                "domains": domain,
            },
        )
        return str(created["uuid"])

    def deploy(self, application: str, on_status: Callable[[str], None]) -> None:
        """Deploys and waits; `on_status` hears each new status. Raises DeploymentError unless it finished."""
        started = self._call("POST", f"/deploy?uuid={application}")
        deployment = started["deployments"][0]["deployment_uuid"]
        deadline = time.monotonic() + DEPLOY_LIMIT_SECONDS
        last = ""
        while time.monotonic() < deadline:
            status = self._call("GET", f"/deployments/{deployment}")["status"]
            if status != last:
                on_status(status)
                last = status
            if DeploymentStatus(status).is_final:
                break
            time.sleep(0.3)
        if last != DeploymentStatus.FINISHED:
            raise DeploymentError(
                f"The deployment is {last}. Its log: seaway logs {APPLICATION} --build {deployment}"
            )

    def delete_application(self, application: str) -> None:
        """Deletes it and waits until it is gone."""
        self._call("DELETE", f"/applications/{application}")
        deadline = time.monotonic() + DEPLOY_LIMIT_SECONDS
        while self.application() is not None:
            if time.monotonic() >= deadline:
                raise DeploymentError(f"The application {APPLICATION} is still not gone; see the dashboard.")
            time.sleep(0.3)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = self._http.request(method, path, json=body)
        if answer.is_success:
            return answer.json() if answer.content else None
        try:
            message = answer.json()["message"]
        except (ValueError, KeyError, TypeError):
            message = answer.text[:500]
        raise DeploymentError(f"{method} {path} was answered with {answer.status_code}: {message}")


def _uuid_by_name(things: list[dict[str, Any]], name: str) -> str | None:
    return next((str(thing["uuid"]) for thing in things if thing["name"] == name), None)
