"""All servers cleaned, again and again."""

from __future__ import annotations

import asyncio

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities import messages as m
    from activities import signatures as s
    from workflows import names
    from workflows.calls import call
    from workflows.policies import LOOK, SHORT


@workflow.defn(name=names.CLEAN_UP_WORKFLOW)
class CleanUpWorkflow:
    """Cleans every server that can be reached; one that cannot does not keep the others waiting."""

    @workflow.run
    async def run(self, only: m.ServersToClean | None = None) -> None:
        """Once, all of them or only these; a schedule starts it, or a person."""
        servers = only or await call(s.SERVERS_TO_CLEAN, m.Nothing(), LOOK)
        outcomes = await asyncio.gather(
            *[call(s.CLEAN_UP_SERVER, m.ServerTask(server_id=one), SHORT) for one in servers.server_ids],
            return_exceptions=True,
        )
        for server_id, outcome in zip(servers.server_ids, outcomes, strict=True):
            if isinstance(outcome, ActivityError):
                workflow.logger.warning("server %s was not cleaned: %s", server_id, outcome.cause)
            elif isinstance(outcome, BaseException):
                raise outcome
