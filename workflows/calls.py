"""How a workflow calls an activity."""

from __future__ import annotations

from temporalio import workflow
from temporalio.workflow import ActivityCancellationType

from workflows.policies import HEARTBEAT, Policy

with workflow.unsafe.imports_passed_through():
    from activities.signatures import Input, Output, Signature


async def call(
    signature: Signature[Input, Output], argument: Input, policy: Policy, summary: str = ""
) -> Output:
    """Runs the activity.

    A cancellation waits until the activity has really stopped, so that compensation never races
    what it takes back.
    """
    answer: Output = await workflow.execute_activity(
        signature.name,
        argument,
        result_type=signature.answers,
        start_to_close_timeout=policy.attempt,
        schedule_to_close_timeout=policy.limit,
        heartbeat_timeout=HEARTBEAT,
        retry_policy=policy.retry,
        cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        summary=summary or None,
    )
    return answer
