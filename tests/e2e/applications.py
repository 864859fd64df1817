"""An application on a Seaway under test: made, changed, released and looked at as its owner would."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import dataclass
from typing import Any

import httpx

from tests.e2e.installation import Installation, containers_of, images_of, volumes_of
from tests.harness.load import LoadGenerator
from tests.harness.waiting import eventually

END_LIMIT_SECONDS = 60.0
# For releases that shall fail: seen within some seconds, yet after any start on a busy machine.
SOON_UNHEALTHY = {"health_check_interval": 0.5, "health_check_retries": 16}
_numbers = itertools.count(1)


@dataclass
class Application:
    """One application."""

    installation: Installation
    uuid: str
    name: str
    host: str

    async def start_deploy(self, **query: Any) -> str:
        """Queues a deployment; its id."""
        answer = await self.installation.ask("POST", "/deploy", params={"uuid": self.uuid, **query})
        return str(answer["deployments"][0]["deployment_uuid"])

    async def deploy(self, **query: Any) -> dict[str, Any]:
        """A deployment that must succeed."""
        return await self.finished(await self.start_deploy(**query))

    async def fail(self, limit_seconds: float = END_LIMIT_SECONDS, **query: Any) -> dict[str, Any]:
        """A deployment that must fail within the limit."""
        shown = await self.ended(await self.start_deploy(**query), limit_seconds)
        assert shown["status"] == "failed", brief(shown)
        assert shown["error"]["message"], brief(shown)
        return shown

    async def operate(self, verb: str, **body: Any) -> dict[str, Any]:
        """`start`, `stop`, `restart`, `scale` or `rollback`, which must succeed."""
        path = f"/applications/{self.uuid}/{verb}"
        answer = await self.installation.ask("POST", path, json=body or None)
        return await self.finished(answer["deployment_uuid"])

    async def shown(self, deployment: str) -> dict[str, Any]:
        """A deployment as the API shows it."""
        found: dict[str, Any] = await self.installation.ask("GET", f"/deployments/{deployment}")
        return found

    async def ended(self, deployment: str, limit_seconds: float = END_LIMIT_SECONDS) -> dict[str, Any]:
        """The deployment in its final state."""
        last: dict[str, Any] = {}

        async def look() -> bool:
            nonlocal last
            last = await self.shown(deployment)
            return last["outcome"] is not None

        await eventually(look, limit_seconds, 0.1, lambda: f"the end of {brief(last)}", (httpx.HTTPError,))
        return last

    async def finished(self, deployment: str) -> dict[str, Any]:
        """The deployment, which must have succeeded."""
        shown = await self.ended(deployment)
        assert shown["outcome"] == "finished", f"{brief(shown)}\n{self.installation.running.tail()}"
        return shown

    async def change(self, **fields: Any) -> dict[str, Any]:
        """Changes settings; the whole application."""
        changed: dict[str, Any] = await self.installation.ask(
            "PATCH", f"/applications/{self.uuid}", json=fields
        )
        return changed

    async def set_variables(self, build_secret: bool = False, **values: str) -> None:
        """Creates or changes environment variables."""
        flags = {"is_build_secret": True, "is_runtime": False} if build_secret else {}
        data = [{"key": key, "value": value, **flags} for key, value in values.items()]
        await self.installation.ask("PATCH", f"/applications/{self.uuid}/envs/bulk", json={"data": data})

    async def mount(self, **storage: Any) -> None:
        """Adds a volume, a bind or a file."""
        await self.installation.ask("POST", f"/applications/{self.uuid}/storages", json=storage)

    async def log_of(self, deployment: str) -> str:
        """The whole log of a deployment."""
        page = await self.installation.ask("GET", f"/deployments/{deployment}/log", params={"limit": 5000})
        return "\n".join(line["text"] for line in page["lines"])

    async def get(self, path: str = "/", host: str = "", **request: Any) -> httpx.Response:
        """What a visitor gets through the proxy."""
        headers = {"Host": host or self.host} | request.pop("headers", {})
        return await self.installation.proxy.get(path, headers=headers, **request)

    async def version(self) -> str:
        """What the application answers at its address, which must work."""
        answer = await self.get()
        assert answer.status_code == 200, f"{self.host}: {answer.status_code} {answer.text}"
        return answer.text.strip()

    async def environment(self) -> dict[str, str]:
        """The environment that the application itself sees."""
        answer = await self.get("/env")
        found: dict[str, str] = answer.json()
        return found

    async def containers(self) -> list[Any]:
        """Its containers, running or not."""
        return await asyncio.to_thread(containers_of, self.installation.docker, self.uuid)

    async def images(self) -> list[str]:
        """The names of its images."""
        return await asyncio.to_thread(images_of, self.installation.docker, self.uuid)

    async def volumes(self) -> list[str]:
        """The names of its volumes."""
        return await asyncio.to_thread(volumes_of, self.installation.docker, self.uuid)

    async def delete(self, *, volumes: bool = True, limit_seconds: float = 40) -> None:
        """Deletes it and waits until it is gone."""
        await self.installation.ask(
            "DELETE", f"/applications/{self.uuid}", params={"delete_volumes": volumes}
        )
        await eventually(self._is_gone, limit_seconds, describe=f"the end of application {self.name}")

    async def _is_gone(self) -> bool:
        answer = await self.installation.api.get(f"/applications/{self.uuid}")
        return answer.status_code == 404

    def load(self, rate_per_second: float = 30.0, **mixture: Any) -> LoadGenerator:
        """Visitors who never stop asking."""
        settings = {"slow_every_seconds": 0.0, "websockets": 0} | mixture
        return LoadGenerator(
            f"http://{self.host}",
            address=("127.0.0.1", self.installation.ports.http),
            rate_per_second=rate_per_second,
            **settings,
        )


async def create(
    installation: Installation, kind: str = "public", *, domain: bool = True, **fields: Any
) -> Application:
    """A new application with, unless told otherwise, an address of its own."""
    name = fields.pop("name", None) or f"app-{next(_numbers)}"
    host = f"{name}.localhost".lower()
    body = {
        "project_uuid": installation.project,
        "server_uuid": installation.server,
        "name": name,
        "ports_exposes": "3000",
        "autogenerate_domain": False,
        "drain_seconds": 5,
        "health_check_path": "/health",
        **({"domains": f"http://{host}"} if domain else {}),
        **fields,
    }
    created = await installation.ask("POST", f"/applications/{kind}", json=body)
    installation.applications.add(created["uuid"])
    return Application(installation, created["uuid"], name, host)


def brief(shown: dict[str, Any]) -> str:
    """What matters of a deployment, for a failed assertion."""
    steps = [
        f"  {step['name']}: {step['status']} #{step['attempt']} {step['message']}"
        for step in shown.get("steps") or ()
    ]
    return "\n".join(
        [
            f"deployment {shown.get('uuid')}: {shown.get('outcome') or shown.get('status')}",
            *steps,
            f"  error: {shown.get('error')}",
        ]
    )


def statuses(shown: dict[str, Any]) -> dict[str, str]:
    """The status of each step."""
    return {step["name"]: step["status"] for step in shown["steps"]}


class Stopwatch:
    """Measures how long a block took, in seconds."""

    def __enter__(self) -> Stopwatch:
        self._began = time.monotonic()
        self.seconds = 0.0
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self._began
