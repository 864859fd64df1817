"""Whether the tasks of a new service are fit to serve, seen from where visitors come from: the proxy."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from activities.application_secrets import redactor_for
from activities.servers import ServerParts
from activities.together import all_or_none
from adapters.docker.swarm_states import BROKEN, RUNNING, TaskState
from adapters.probes import ProbeOutcome, probe
from adapters.reach import Reach
from domain.configuration import ApplicationConfiguration, HealthCheckKind
from domain.errors import ReleaseUnhealthy
from domain.swarm import SwarmNode

LOG_LINES = 100
MOST_RESTARTS = 2
SHOWN_PROBES = 100
STEADY_SECONDS = 2.0
PLACEMENT_SECONDS = 15.0
"""How long the Swarm may look for a node; it says at once when there is none."""

QUICK_PROBES_SECONDS = 0.25
QUICK_SECONDS = 2.0
"""How long after its start the probes of a task come close together and do not count as failures."""


@dataclass
class Trial:
    """How the probes of one task went so far."""

    began: float
    successes: int = 0
    failures: int = 0
    next_at: float = 0.0


class ServiceHealth:
    """Watches the tasks of one release in a Swarm until all are proven."""

    def __init__(
        self, parts: ServerParts, configuration: ApplicationConfiguration, service: str, replicas: int
    ) -> None:
        """`parts` are the manager's, `service` the release's name there."""
        self._parts = parts
        self._configuration = configuration
        self._check = configuration.health
        self._service = service
        self._replicas = replicas
        self._trials: dict[str, Trial] = {}
        self._seen: dict[str, float] = {}
        self._earlier: frozenset[str] = frozenset()
        self._outcomes: dict[str, deque[str]] = defaultdict(lambda: deque(maxlen=SHOWN_PROBES))
        self._proven = ""

    async def until_proven(self, limit_seconds: float, *, is_scaled: bool = False) -> str:
        """A sentence on what proved it. Raises ReleaseUnhealthy with the probes and the log.

        A service that `is_scaled` may have tasks that broke long ago, which count no more.
        """
        if self._parts.swarm is None:
            raise ReleaseUnhealthy("This server is no manager of a Swarm any more.")
        await asyncio.sleep(self._check.start_period_seconds)
        deadline = time.monotonic() + limit_seconds
        if is_scaled:
            self._earlier = frozenset(task.id for task in await self._tasks() if task.state in BROKEN)
        async with self._parts.swarm.tunnels.opened() as reach:
            while True:
                tasks = await self._tasks()
                await self._refuse_broken(tasks)
                wanted = [task for task in tasks if task.is_wanted]
                await self._probe_due([task for task in wanted if task.state == RUNNING], reach)
                if sum(self._is_proven(task) for task in wanted) >= self._replicas:
                    return self._proven
                if time.monotonic() > deadline:
                    raise await self._unhealthy(
                        wanted[-1] if wanted else None,
                        f"Of {self._replicas} replicas {sum(map(self._is_proven, wanted))} became healthy "
                        f"within {limit_seconds:g} s.",
                    )
                await asyncio.sleep(QUICK_PROBES_SECONDS)

    async def _tasks(self) -> list[TaskState]:
        service = await self._parts.engine.service(self._service)
        if service is None:
            raise ReleaseUnhealthy(f"The service {self._service} is gone.")
        return await self._parts.engine.tasks(service.id)

    def _is_proven(self, task: TaskState) -> bool:
        trial = self._trials.get(task.id)
        return task.state == RUNNING and trial is not None and trial.successes >= self._check.successes

    async def _refuse_broken(self, tasks: Sequence[TaskState]) -> None:
        broken = [task for task in tasks if task.state in BROKEN and task.id not in self._earlier]
        has_image = not any("No such image" in task.message for task in broken)
        waits = any(task.is_wanted and not task.has_ended for task in tasks)
        if broken and (len(broken) > MOST_RESTARTS or not waits or not has_image):
            last = broken[-1]
            again = "keeps crashing: it" if len(broken) > MOST_RESTARTS else "does not run: it"
            raise await self._unhealthy(last, f"Replica {last.slot} {again} {last.end_reason}.")
        for task in tasks:
            waited = time.monotonic() - self._seen.setdefault(task.id, time.monotonic())
            if task.is_wanted and not task.node_id and waited > PLACEMENT_SECONDS:
                why = task.message or "it does not say why"
                raise await self._unhealthy(task, f"The Swarm finds no node for replica {task.slot}: {why}.")

    async def _probe_due(self, running: Sequence[TaskState], reach: Reach) -> None:
        now = time.monotonic()
        due = [
            task
            for task in running
            if self._trials.setdefault(task.id, Trial(began=now)).next_at <= now and not self._is_proven(task)
        ]
        outcomes = await all_or_none([self._probe(task, reach) for task in due])
        for task, outcome in zip(due, outcomes, strict=True):
            await self._count(task, outcome)

    async def _count(self, task: TaskState, outcome: ProbeOutcome) -> None:
        trial = self._trials[task.id]
        now = time.monotonic()
        quick = now - trial.began < QUICK_SECONDS
        trial.next_at = now + (QUICK_PROBES_SECONDS if quick else self._check.interval_seconds)
        said = self._outcomes[task.id]
        said.append(f"replica {task.slot}: {outcome.detail}")
        if outcome.ok:
            trial.successes += 1
            self._proven = outcome.detail
            return
        trial.successes = 0
        trial.failures += 0 if quick and self._check.interval_seconds > QUICK_PROBES_SECONDS else 1
        if trial.failures >= self._check.retries:
            raise await self._unhealthy(
                task, f"Replica {task.slot} did not become healthy: {outcome.detail}."
            )

    async def _probe(self, task: TaskState, reach: Reach) -> ProbeOutcome:
        if self._check.kind is HealthCheckKind.NONE:
            steady = time.monotonic() - self._trials[task.id].began >= STEADY_SECONDS
            return ProbeOutcome(steady, "running; no health check is set", 0)
        if self._check.kind is HealthCheckKind.COMMAND:
            # A task runs, for its Swarm, from when the engine of its node has seen the command succeed.
            return ProbeOutcome(True, "the health command ended with 0", 0)
        return await probe(
            self._check,
            host=task.addresses.get(self._parts.network, ""),
            port=self._configuration.runtime.port,
            reach=reach,
            execute=_cannot_execute,
        )

    async def _unhealthy(self, task: TaskState | None, message: str) -> ReleaseUnhealthy:
        redact = redactor_for(self._configuration)
        log = await self._parts.engine.task_logs(task.id, LOG_LINES) if task is not None else []
        nodes = await self._parts.engine.swarm_nodes()
        tasks = await self._tasks()
        detail = "\n".join(
            [
                "Tasks:",
                *(_described(one, nodes) for one in tasks),
                "",
                "Probes:",
                *(line for said in self._outcomes.values() for line in said),
                *([] if self._outcomes else ["none was made"]),
                "",
                "Last lines of the log:",
                *([redact(line) for line in log] or ["it wrote nothing"]),
            ]
        )
        return ReleaseUnhealthy(message, detail=detail)


def _described(task: TaskState, nodes: Sequence[SwarmNode]) -> str:
    where = next((node.hostname for node in nodes if node.id == task.node_id), task.node_id or "no node")
    return f"replica {task.slot} on {where}: {task.state} {task.message}".rstrip()


async def _cannot_execute(
    argv: Sequence[str], on_line: Callable[[str], None], timeout_seconds: float
) -> int:  # pragma: no cover - commands are the engines' own health checks on a Swarm
    raise ReleaseUnhealthy("A command cannot be run from here in a task of a Swarm.")
