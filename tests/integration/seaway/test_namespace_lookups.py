"""A namespace that the server does not know for a moment costs nobody an answer."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client, WithStartWorkflowOperation
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError, RPCStatusCode

from seaway.namespace_lookups import NamespaceLookups, is_lost_namespace
from tests.harness.temporal import TemporalServer
from tests.harness.waiting import eventually

CALL_LIMIT = timedelta(seconds=5)


async def client_of(server: TemporalServer, namespace: str, patience_seconds: float) -> Client:
    return await Client.connect(
        server.address, namespace=namespace, interceptors=[NamespaceLookups(patience_seconds)]
    )


async def register(client: Client, namespace: str) -> None:
    await client.workflow_service.register_namespace(
        RegisterNamespaceRequest(
            namespace=namespace, workflow_execution_retention_period=Duration(seconds=24 * 3600)
        )
    )


async def test_a_call_waits_for_a_namespace_that_appears_again(
    temporal_server: TemporalServer, caplog: pytest.LogCaptureFixture
) -> None:
    namespace = f"late-{uuid4().hex}"
    client = await client_of(temporal_server, namespace, patience_seconds=30)
    starting = asyncio.create_task(client.start_workflow("anything", id="w", task_queue="nobody"))
    await eventually(lambda: "asked again" in caplog.text, describe="a second try")
    assert not starting.done()

    await register(client, namespace)
    handle = await asyncio.wait_for(starting, 30)

    assert (await handle.describe(rpc_timeout=CALL_LIMIT)).id == "w"


async def test_an_update_that_starts_its_workflow_is_asked_again_too(
    temporal_server: TemporalServer, caplog: pytest.LogCaptureFixture
) -> None:
    namespace = f"late-{uuid4().hex}"
    client = await client_of(temporal_server, namespace, patience_seconds=0.3)
    start: WithStartWorkflowOperation[object, None] = WithStartWorkflowOperation(
        "anything", id="w", task_queue="nobody", id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING
    )

    with pytest.raises(RPCError) as refused:
        await client.execute_update_with_start_workflow(
            "anything", start_workflow_operation=start, rpc_timeout=CALL_LIMIT
        )

    assert is_lost_namespace(refused.value)
    assert caplog.text.count("asked again") > 1


async def test_a_workflow_that_does_not_exist_is_said_at_once(
    temporal_server: TemporalServer, temporal_client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    client = await client_of(temporal_server, temporal_client.namespace, patience_seconds=30)

    with pytest.raises(RPCError) as refused:
        await client.get_workflow_handle(f"none-{uuid4().hex}").describe(rpc_timeout=CALL_LIMIT)

    assert refused.value.status is RPCStatusCode.NOT_FOUND
    assert not is_lost_namespace(refused.value)
    assert "asked again" not in caplog.text
