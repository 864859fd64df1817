"""The harness's Temporal server knows our search attributes and survives a crash with its file."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.service import RPCError

from tests.harness.processes import ManagedProcess
from tests.harness.temporal import SEARCH_ATTRIBUTES, TemporalServer, server_arguments

CALL_LIMIT = timedelta(seconds=10)


async def test_every_search_attribute_is_a_keyword(temporal_client: Client) -> None:
    request = ListSearchAttributesRequest(namespace=temporal_client.namespace)
    known = (await temporal_client.operator_service.list_search_attributes(request)).custom_attributes

    assert {name: known.get(name) for name in SEARCH_ATTRIBUTES} == dict.fromkeys(
        SEARCH_ATTRIBUTES, IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
    )


async def test_a_started_workflow_is_still_there_after_a_crash(tmp_path: Path) -> None:
    server = TemporalServer(tmp_path, db_filename=tmp_path / "temporal.db")
    try:
        await server.start()
        client = await server.connect()
        await client.start_workflow("anything", id="kept", task_queue="nobody", rpc_timeout=CALL_LIMIT)
        server.kill()
        with pytest.raises((RPCError, RuntimeError)):
            await server.connect()

        await server.start()
        description = (
            await (await server.connect()).get_workflow_handle("kept").describe(rpc_timeout=CALL_LIMIT)
        )
        assert description.id == "kept"
    finally:
        await server.stop()
    assert not server.process.is_running


async def test_two_servers_run_side_by_side(tmp_path: Path, temporal_server: TemporalServer) -> None:
    other = TemporalServer(tmp_path, ui=True)
    try:
        await other.start()
        assert other.address != temporal_server.address
        assert isinstance(other.process, ManagedProcess)
        assert other.process.is_running
    finally:
        await other.stop()


def test_the_arguments_carry_the_settings_that_make_it_fast_and_its_file_safe() -> None:
    arguments = server_arguments(7233, db_filename=Path("/data/temporal.db"))

    assert "--headless" in arguments
    assert "history.transferProcessorMaxPollRPS=1000" in arguments
    assert 'history.timerProcessorMaxTimeShift="10ms"' in arguments
    assert arguments[arguments.index("--db-filename") + 1] == "/data/temporal.db"
    assert "journal_mode=WAL" in arguments
