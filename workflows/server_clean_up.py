"""All servers cleaned, again and again."""

from __future__ import annotations

import asyncio

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities import messages as m
    from activities import signatures as s
    from domain.clean_up import clean_up_event_id
    from workflows import names
    from workflows.calls import call
    from workflows.policies import LOOK, RECORD, SHORT

TOLD = "clean-ups-are-told"


@workflow.defn(name=names.CLEAN_UP_WORKFLOW)
class CleanUpWorkflow:
    """Cleans every server that can be reached; one that cannot does not keep the others waiting.

    An event of the server tells what was removed, or what went wrong. Where the clock began it, nothing to
    remove is not worth one.
    """

    @workflow.run
    async def run(self, only: m.ServersToClean | None = None) -> None:
        """Once, all of them or only these; a schedule starts it, or a person."""
        servers = only or await call(s.SERVERS_TO_CLEAN, m.Nothing(), LOOK)
        await asyncio.gather(
            *[self._clean(one, was_asked_for=only is not None) for one in servers.server_ids]
        )

    async def _clean(self, server_id: str, *, was_asked_for: bool) -> None:
        report = m.CleanUpReport(
            server_id=server_id,
            event_id=clean_up_event_id(workflow.info().run_id, server_id),
            was_asked_for=was_asked_for,
        )
        try:
            outcome = await call(s.CLEAN_UP_SERVER, m.ServerTask(server_id=server_id), SHORT)
            report = report.model_copy(update={"message": outcome.message})
            is_news = was_asked_for or not outcome.skipped
        except ActivityError as error:
            workflow.logger.warning("server %s was not cleaned: %s", server_id, error.cause)
            report = report.model_copy(update={"error": getattr(error.cause, "message", "") or str(error)})
            is_news = True
        if is_news and workflow.patched(TOLD):
            await call(s.RECORD_CLEAN_UP, report, RECORD)
