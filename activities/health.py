"""Whether a new replica is fit to serve, seen from outside of it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections import deque
from collections.abc import Callable, Sequence

from activities.application_secrets import redactor_for
from activities.servers import ServerParts
from adapters.docker.states import ContainerState
from adapters.probes import ProbeOutcome, probe
from domain.configuration import ApplicationConfiguration, HealthCheckKind
from domain.errors import ReleaseUnhealthy

LOG_LINES = 100
FIRST_PROBES_SECONDS = 0.025
"""Most applications listen within a second; waiting a whole interval for them would be waste."""

QUICK_PROBES_SECONDS = 0.1
"""What the pause between the first probes grows to."""

QUICK_SECONDS = 2.0
"""How long the first probes come so close together and do not count as failures."""

MOST_RESTARTS = 2
SHOWN_PROBES = 100
STEADY_SECONDS = 2.0

NEXT_CRASH_SECONDS = 5.0
"""How long to wait for the next end of a replica that keeps crashing, to tell how it ends."""


class HealthWatch:
    """Probes the replicas of one release on one server."""

    def __init__(self, parts: ServerParts, configuration: ApplicationConfiguration) -> None:
        self._parts = parts
        self._configuration = configuration
        self._check = configuration.health
        self._exits: dict[str, str] = {}

    async def until_proven(self, name: str) -> str:
        """A sentence on the probe that proved it. Raises ReleaseUnhealthy with all probes and the log."""
        outcomes: deque[str] = deque(maxlen=SHOWN_PROBES)
        last, redact = "no probe was made", redactor_for(self._configuration)
        await asyncio.sleep(self._check.start_period_seconds)
        failures = successes = probes = 0
        began = time.monotonic()
        while failures < self._check.retries:
            state = await self._running_state(name, outcomes)
            outcome = await self._probe(name, state)
            probes += 1
            quick = time.monotonic() - began < QUICK_SECONDS
            last = outcome.detail
            outcomes.append(f"{probes}. {outcome.detail}")
            # Evidence, like the log: an error's message is in Temporal's history, and for everybody.
            outcomes.extend(f"   {redact(line)}" for line in outcome.output.splitlines())
            if outcome.ok:
                successes += 1
                if successes >= self._check.successes:
                    await self._stays_up(name, outcomes)
                    return outcome.detail
            else:
                successes = 0
                # Quick probes come before the first interval is over, so together they count as few.
                failures += 0 if quick and self._check.interval_seconds > QUICK_PROBES_SECONDS else 1
            await asyncio.sleep(self._pause(probes) if quick else self._check.interval_seconds)
        raise await self._unhealthy(name, f"Replica {name} did not become healthy: {last}.", outcomes)

    def _pause(self, probes: int) -> float:
        growing = FIRST_PROBES_SECONDS * 1.2 ** (probes - 1)
        return min(growing, QUICK_PROBES_SECONDS, self._check.interval_seconds)

    async def _probe(self, name: str, state: ContainerState) -> ProbeOutcome:
        address = state.addresses.get(self._parts.network, "")
        execute = functools.partial(self._execute, name)
        return await probe(
            self._check,
            host=address,
            port=self._configuration.runtime.port,
            reach=self._parts.reach,
            execute=execute,
        )

    async def _execute(
        self, name: str, argv: Sequence[str], on_line: Callable[[str], None], timeout_seconds: float
    ) -> int:
        return await self._parts.engine.execute(name, argv, on_line, timeout_seconds)

    async def _running_state(self, name: str, outcomes: deque[str]) -> ContainerState:
        state = await self._parts.engine.inspect(name)
        if state is None:
            raise await self._unhealthy(name, f"Replica {name} is gone.", outcomes)
        if not state.running:
            self._exits[name] = state.exit_reason
        if state.running and state.restart_count <= MOST_RESTARTS:
            return state
        if state.running or state.status == "restarting":
            if state.restart_count > MOST_RESTARTS:
                message = f"Replica {name} keeps crashing: it {await self._last_exit(name)}."
                raise await self._unhealthy(name, message, outcomes)
            return state
        raise await self._unhealthy(name, f"Replica {name} does not run: it {state.exit_reason}.", outcomes)

    async def _last_exit(self, name: str) -> str:
        """How a crashing replica ends. One that has just been started again does not know that any more."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(NEXT_CRASH_SECONDS):
                while name not in self._exits:
                    state = await self._parts.engine.inspect(name)
                    if state is not None and not state.running:
                        self._exits[name] = state.exit_reason
                    await asyncio.sleep(QUICK_PROBES_SECONDS)
        return self._exits.get(name, "ends soon after each start")

    async def _stays_up(self, name: str, outcomes: deque[str]) -> None:
        """Without a probe that tells more, running for a moment is what there is to see."""
        if self._check.kind is HealthCheckKind.NONE:
            await asyncio.sleep(STEADY_SECONDS)
            state = await self._running_state(name, outcomes)
            if not state.running or state.restart_count:
                message = f"Replica {name} does not stay up: it {state.exit_reason}."
                raise await self._unhealthy(name, message, outcomes)

    async def _unhealthy(self, name: str, message: str, outcomes: deque[str]) -> ReleaseUnhealthy:
        redact = redactor_for(self._configuration)
        log = [redact(line) for line in await self._parts.engine.logs(name, LOG_LINES)]
        detail = "\n".join(
            [
                "Probes:",
                *(outcomes or ["none was made"]),
                "",
                f"Last lines of the log of {name}:",
                *(log or ["it wrote nothing"]),
            ]
        )
        return ReleaseUnhealthy(message, detail=detail)
