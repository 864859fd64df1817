"""What is asked of a manager of a Swarm, in the Engine API's own words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from adapters.docker.connection import LONGEST_REASON, EngineConnection, EngineRefusal
from domain.errors import NotPossibleNow

NO_MANAGER = re.compile(r"not a swarm manager|not part of a swarm", re.IGNORECASE)
NOT_A_MANAGER = (
    "This server is no manager of a Docker Swarm. Run `docker swarm init` on it, or promote it with "
    "`docker node promote` on another manager."
)


class SwarmRequests(EngineConnection):
    """Requests that the SDK has no methods for, or methods that know less than the API."""

    async def _asked(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
        extra_seconds: float = 0,
    ) -> Any:
        """The answer as JSON; `extra_seconds` is what it may take beyond an ordinary call.

        Raises EngineRefusal, and NotPossibleNow where the engine is no manager.
        """

        def ask(client: Any) -> Any:
            answer = client.request(
                method,
                f"{client.base_url}/v{client.api_version}{path}",
                params=query,
                json=body,
                timeout=client.timeout + extra_seconds,
            )
            if answer.status_code >= 400:
                reason = _reason(answer)
                if NO_MANAGER.search(reason):
                    raise NotPossibleNow(NOT_A_MANAGER, detail=reason)
                raise EngineRefusal(answer.status_code, reason)
            return answer.json() if answer.content else None

        return await self.call(ask, extra_seconds=extra_seconds)


def filtered(**values: list[str]) -> dict[str, str]:
    """The query that lists only what has all these."""
    return {"filters": json.dumps(values)}


def _reason(answer: Any) -> str:
    try:
        return str(answer.json()["message"])[:LONGEST_REASON]
    except (ValueError, KeyError, TypeError, RecursionError):
        # Not `text`, which guesses at the encoding of as much as an answer holds.
        return bytes(answer.content[:LONGEST_REASON]).decode("utf-8", "replace").strip()
