"""Files that a Swarm keeps and sends to the nodes that run its tasks: secrets, in Docker's words."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from pydantic import SecretStr

from adapters.docker.connection import EngineRefusal
from adapters.docker.swarm_requests import SwarmRequests, filtered
from domain.errors import EngineUnavailable, ReplicaRefused

IN_USE = "is in use by"


class SwarmFiles(SwarmRequests):
    """Secrets rather than configs: managers keep them sealed, and tell nobody their content again."""

    async def ensure_secret(self, name: str, content: SecretStr, labels: Mapping[str, str]) -> str:
        """The secret of that name exists afterwards; its id. One that exists keeps its content.

        Raises ReplicaRefused when the Swarm does not accept it.
        """
        present = await self._secrets(name=[name])
        if name not in present:
            data = base64.b64encode(content.get_secret_value().encode()).decode()
            try:
                await self._asked(
                    "POST", "/secrets/create", body={"Name": name, "Labels": dict(labels), "Data": data}
                )
            except EngineRefusal as refusal:
                if refusal.status != 409:
                    raise ReplicaRefused(f"The Swarm does not keep the file: {refusal.reason}") from refusal
            present = await self._secrets(name=[name])
        if name not in present:
            raise EngineUnavailable("A file of the Swarm was removed just now.")
        return present[name]

    async def remove_unused_secrets(self, labels: Mapping[str, str]) -> int:
        """Removes those with all these labels that no service has; how many went."""
        removed = 0
        for secret_id in (
            await self._secrets(label=[f"{key}={value}" for key, value in labels.items()])
        ).values():
            try:
                await self._asked("DELETE", f"/secrets/{secret_id}")
                removed += 1
            except EngineRefusal as refusal:
                if refusal.status != 404 and IN_USE not in refusal.reason:
                    raise
        return removed

    async def _secrets(self, **filters: list[str]) -> dict[str, str]:
        # The engine finds names by their beginning, too.
        listed = await self._asked("GET", "/secrets", query=filtered(**filters))
        return {str(one["Spec"]["Name"]): str(one["ID"]) for one in listed}
