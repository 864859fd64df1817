"""What Temporal starts by the clock."""

from __future__ import annotations

from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from seaway.settings import Settings
from workflows import names

JITTER = timedelta(minutes=5)
MISSED = timedelta(minutes=1)
"""A clean-up that was missed for longer than this is not made up for: the next one does its work."""


def clean_up_schedule(settings: Settings, task_queue: str = names.TASK_QUEUE) -> Schedule:
    """Every server is cleaned every `clean_up_minutes`; a clean-up under way is not joined by another."""
    return Schedule(
        action=ScheduleActionStartWorkflow(
            names.CLEAN_UP_WORKFLOW, id=names.CLEAN_UP_WORKFLOW, task_queue=task_queue
        ),
        spec=ScheduleSpec(
            intervals=[ScheduleIntervalSpec(every=timedelta(minutes=settings.clean_up_minutes or 60))],
            jitter=JITTER,
        ),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=MISSED),
        state=ScheduleState(
            paused=settings.clean_up_minutes == 0,
            note="SEAWAY_CLEAN_UP_MINUTES says how often.",
        ),
    )


async def ensure_schedules(client: Client, settings: Settings, *, task_queue: str = names.TASK_QUEUE) -> None:
    """The schedules are there and as the settings want them."""
    schedule = clean_up_schedule(settings, task_queue)

    def adjusted(_: ScheduleUpdateInput) -> ScheduleUpdate:
        return ScheduleUpdate(schedule=schedule)

    try:
        await client.create_schedule(names.CLEAN_UP_WORKFLOW, schedule)
    except ScheduleAlreadyRunningError:
        await client.get_schedule_handle(names.CLEAN_UP_WORKFLOW).update(adjusted)
