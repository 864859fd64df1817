"""Leases of servers, and events that are written once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain.deployments import StepStatus
from domain.server_events import ServerEventKind
from domain.servers import ServerStatus, ServerStepName, can_be_cleaned
from store.columns import LONGEST_MESSAGE, now
from store.store import Store
from store.tables import ServerEvent

LEASE = timedelta(seconds=25)
OVER = timedelta(seconds=-1)


@pytest.fixture
def store(servers_store: Store) -> Store:
    return servers_store


async def events(store: Store, server_id: str = "far") -> list[str]:
    return [event.kind for event in reversed(await store.watch.events(server_id))]


class TestLeases:
    async def test_servers_that_are_usable_have_one_watcher(self, store: Store):
        assert sorted(await store.watch.claim("me", LEASE)) == ["far", "local"]
        assert await store.watch.claim("you", LEASE) == []
        assert sorted(await store.watch.claim("me", LEASE)) == ["far", "local"]

    async def test_a_watcher_that_ends_leaves_its_servers_to_others(self, store: Store):
        await store.watch.claim("me", LEASE)
        await store.watch.release("me")
        assert len(await store.watch.claim("you", LEASE)) == 2
        assert await store.watch.claim("me", LEASE) == []

    async def test_a_watcher_that_died_is_followed_by_another(self, store: Store):
        await store.watch.claim("me", OVER)
        assert len(await store.watch.claim("you", LEASE)) == 2

    async def test_seaways_own_server_is_left_to_whoever_has_an_engine(self, store: Store):
        assert await store.watch.claim("without", LEASE, with_local=False) == ["far"]
        assert await store.watch.claim("with", LEASE) == ["local"]
        # Nor is it lost meanwhile.
        assert await store.watch.claim("without", LEASE, with_local=False) == ["far"]
        assert await store.watch.claim("with", LEASE) == ["local"]

    async def test_seaways_own_server_is_not_usable_unless_somebody_watches_it(self, store: Store):
        await store.servers.open_local()
        await store.watch.claim("with", LEASE)
        await store.watch.close_local("No engine.")
        row = await store.servers.get("local")
        assert (row.status, row.status_message, row.is_usable) == (ServerStatus.USABLE, "", True)
        for ended in (store.watch.release("with"), store.watch.claim("with", OVER)):
            await ended
            await store.watch.close_local("No engine.")
            row = await store.servers.get("local")
            assert (row.status, row.status_message) == (ServerStatus.NOT_USABLE, "No engine.")
            assert (row.is_usable, row.is_reachable) == (False, False)
            assert not can_be_cleaned(row.status, row.is_reachable)
            await store.servers.open_local()
            row = await store.servers.get("local")
            assert (row.status, row.status_message) == (ServerStatus.USABLE, "")
            assert (row.is_usable, row.is_reachable) == (True, True)
        assert (await store.servers.get("far")).status == ServerStatus.USABLE

    async def test_a_server_that_is_worked_on_is_not_watched(self, store: Store):
        await store.watch.claim("me", LEASE)
        await store.servers.set("far", status=ServerStatus.PROVISIONING)
        assert await store.watch.claim("me", LEASE) == ["local"]
        await store.servers.set("far", status=ServerStatus.USABLE)
        assert len(await store.watch.claim("me", LEASE)) == 2

    async def test_a_server_that_is_gone_leaves_nothing(self, store: Store):
        await store.watch.claim("me", LEASE)
        await store.watch.record(ServerEvent(server_id="far", kind="unreachable", message="gone"))
        await store.servers.forget("far")
        assert await store.watch.claim("me", LEASE) == ["local"]
        assert await store.watch.state("far") is None
        await store.watch.forget_old()
        assert await events(store) == []


class TestChanges:
    async def test_an_unreachable_server_is_told_of_once_and_its_return_too(self, store: Store):
        await store.watch.claim("me", LEASE)
        found = [
            await store.watch.found_reachable("far", "me", is_reachable, "a message")
            for is_reachable in (True, False, False, True, True)
        ]
        assert found == [False, True, False, True, False]
        assert await events(store) == [ServerEventKind.UNREACHABLE, ServerEventKind.REACHABLE_AGAIN]

    async def test_of_a_message_without_end_only_the_begin_is_stored(self, store: Store):
        await store.watch.claim("me", LEASE)
        endless = "x" * (1 << 20)
        await store.watch.found_reachable("far", "me", False, endless, ServerStatus.UNREACHABLE)
        await store.watch.record(
            ServerEvent(server_id="far", kind=ServerEventKind.UNREACHABLE, message=endless)
        )
        assert {len(event.message) for event in await store.watch.events("far")} == {LONGEST_MESSAGE}
        assert len((await store.servers.get("far")).status_message) == LONGEST_MESSAGE
        await store.servers.set("far", status_message=f"{endless}, and again")
        assert len((await store.servers.get("far")).status_message) == LONGEST_MESSAGE

    async def test_a_server_is_silent_only_while_somebody_looks(self, store: Store):
        await store.watch.claim("me", LEASE)
        await store.watch.found_reachable("far", "me", False, "No answer.")
        assert await store.watch.silent() == {"far"}
        await store.watch.claim("me", OVER)
        assert await store.watch.silent() == frozenset()
        await store.watch.claim("you", LEASE)
        assert await store.watch.silent() == {"far"}
        await store.watch.release("you")
        assert await store.watch.silent() == frozenset()

    async def test_the_servers_status_goes_with_it(self, store: Store):
        await store.watch.claim("me", LEASE)
        await store.watch.found_reachable("far", "me", False, "No answer.", ServerStatus.UNREACHABLE)
        server = await store.servers.get("far")
        assert (server.status, server.is_reachable) == (ServerStatus.UNREACHABLE, False)
        assert server.status_message == "No answer."
        await store.watch.found_reachable("far", "me", True, "It answers.", ServerStatus.USABLE)
        server = await store.servers.get("far")
        assert (server.status, server.is_reachable) == (ServerStatus.USABLE, True)
        assert server.status_message == ""

    @pytest.mark.parametrize("was", [ServerStatus.NOT_USABLE, ServerStatus.UNREACHABLE])
    async def test_a_server_that_was_never_made_usable_is_not_by_answering_again(
        self, store: Store, was: ServerStatus
    ):
        await store.watch.claim("me", LEASE)
        await store.servers.begin_steps("far")
        await store.servers.move_step("far", ServerStepName.REACH, StepStatus.SUCCEEDED)
        await store.servers.move_step("far", ServerStepName.PROXY, StepStatus.FAILED)
        await store.servers.set("far", status=was, status_message="Port 80 is occupied.", is_usable=False)
        for is_reachable in (False, True):
            status = ServerStatus.USABLE if is_reachable else ServerStatus.UNREACHABLE
            assert await store.watch.found_reachable("far", "me", is_reachable, "A message.", status)
            server = await store.servers.get("far")
            assert (server.status, server.status_message) == (was, "Port 80 is occupied.")
            assert (server.is_reachable, server.is_usable) == (is_reachable, False)

    @pytest.mark.parametrize("found", [ServerStatus.NOT_USABLE, ServerStatus.UNREACHABLE])
    async def test_what_only_a_look_found_ends_with_the_next_that_finds_it_well(
        self, store: Store, found: ServerStatus
    ):
        await store.watch.claim("me", LEASE)
        await store.servers.begin_steps("far")
        for number, name in enumerate(ServerStepName):
            await store.servers.move_step(
                "far", name, StepStatus.SKIPPED if number % 2 else StepStatus.SUCCEEDED
            )
        for _ in range(2):
            await store.watch.found_reachable("far", "me", False, "far: Docker does not answer.", found)
            server = await store.servers.get("far")
            assert (server.status, server.is_usable) == (found, False)
            await store.watch.found_reachable("far", "me", True, "It answers.", ServerStatus.USABLE)
            server = await store.servers.get("far")
            assert (server.status, server.status_message) == (ServerStatus.USABLE, "")
            assert (server.is_reachable, server.is_usable) == (True, True)

    async def test_what_somebody_else_found_not_usable_stays_when_the_server_answers_again(
        self, store: Store
    ):
        await store.watch.claim("me", LEASE)
        await store.watch.found_reachable("far", "me", False, "No answer.", ServerStatus.UNREACHABLE)
        reason = {"status": ServerStatus.NOT_USABLE, "status_message": "Its proxy does not start."}
        await store.servers.set("far", **reason)
        await store.watch.found_reachable("far", "me", True, "It answers.", ServerStatus.USABLE)
        server = await store.servers.get("far")
        assert (server.status, server.status_message) == tuple(reason.values())
        assert (server.is_reachable, server.is_usable) == (True, False)

    async def test_the_machine_of_seaway_itself_stays_usable_when_it_answers_late(self, store: Store):
        await store.watch.claim("me", LEASE)
        await store.servers.set("local", status=ServerStatus.USABLE, is_usable=True)
        await store.watch.found_reachable("local", "me", False, "Late.", ServerStatus.UNREACHABLE)
        server = await store.servers.get("local")
        assert (server.status, server.is_usable) == (ServerStatus.USABLE, True)

    async def test_a_status_that_somebody_else_gave_stays(self, store: Store):
        await store.watch.claim("me", LEASE)
        await store.servers.set("far", status=ServerStatus.HOST_KEY_CHANGED)
        await store.watch.found_reachable("far", "me", False, "No answer.", ServerStatus.UNREACHABLE)
        assert (await store.servers.get("far")).status == ServerStatus.HOST_KEY_CHANGED

    async def test_whoever_lost_the_lease_says_nothing(self, store: Store):
        await store.watch.claim("me", OVER)
        await store.watch.claim("you", LEASE)
        assert not await store.watch.found_reachable("far", "me", False, "No answer.")
        assert not await store.watch.found_disk("far", "me", True, "Full.", "/")
        assert await events(store) == []

    async def test_a_successor_does_not_repeat_what_was_told(self, store: Store):
        await store.watch.claim("me", OVER)
        await store.watch.found_disk("far", "me", True, "90 % full.", "/data")
        await store.watch.claim("you", LEASE)
        assert not await store.watch.found_disk("far", "you", True, "91 % full.", "/data")
        assert await store.watch.found_disk("far", "you", False, "50 % full.", "/data")
        assert await events(store) == [
            ServerEventKind.DISK_ABOVE_THRESHOLD,
            ServerEventKind.DISK_BELOW_THRESHOLD,
        ]


async def test_old_events_and_too_many_are_forgotten(store: Store):
    old = ServerEvent(server_id="local", kind="unreachable", message="old", at=now() - timedelta(days=31))
    await store.watch.record(old)
    async with store.database.writing() as session:
        for number in range(1003):
            at = now() - timedelta(minutes=number)
            session.add(ServerEvent(server_id="far", kind="container_died", message=str(number), at=at))
    await store.watch.forget_old()
    assert await events(store, "local") == []
    left = await store.watch.events("far", limit=2000)
    assert [event.message for event in left] == [str(number) for number in range(1000)]
    assert len(await store.watch.events("far", limit=5, before=left[10].at)) == 5
