"""Each stream of an engine is read once, however many follow it, and none of them waits for another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from typing import Any

import pytest

from adapters.docker.states import LogEntry
from domain.errors import ServerUnreachable
from seaway import log_following, shared_logs
from seaway.log_following import TOO_MANY_STREAMS, LogFollower
from seaway.log_reading import GAP
from seaway.replica_logs import ServerPlaces
from seaway.shared_logs import LINES_AHEAD, STREAMS_OF_A_SERVER, Listener, SharedLogs
from tests.harness.waiting import eventually
from tests.unit.seaway.followed_servers import Application, Server, texts


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_following, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(shared_logs, "KEPT_LINES", 5)


def shop_of(east: Server, number: int = 1, name: str = "shop") -> Application:
    shop = Application()
    for one in range(number):
        shop.start("east", east, f"{name}-{one}")
    return shop


def follow(shop: Application, logs: SharedLogs) -> Any:
    return LogFollower(shop.find, ServerPlaces(), logs).lines(100)


def listen(shop: Application, logs: SharedLogs) -> Listener:
    listener = logs.listen(shop.replicas[0])
    assert listener is not None
    return listener


async def heard(entries: AsyncIterator[LogEntry | None], number: int) -> list[str]:
    async with asyncio.timeout(10):
        found = [await anext(entries) for _ in range(number)]
    return [entry.text if entry else GAP for entry in found]


async def test_many_who_follow_an_application_take_no_more_streams_than_one() -> None:
    east, logs = Server(), SharedLogs()
    shop, other = shop_of(east, 10), shop_of(east, STREAMS_OF_A_SERVER - 10, "other")
    await east.write("shop-9", "begun", 0)
    async with AsyncExitStack() as stack:
        tabs = [await stack.enter_async_context(aclosing(follow(shop, logs))) for _ in range(5)]
        for tab in tabs:
            assert await texts(tab, 1) == ["begun"]
        others = await stack.enter_async_context(aclosing(follow(other, logs)))
        await east.write("other-0", "has room", 0)
        assert await texts(others, 1) == ["has room"]
        assert logs.streams["east"] == STREAMS_OF_A_SERVER
        await east.write("shop-3", "to all", 1)
        for tab in tabs:
            assert await texts(tab, 1) == ["to all"]
        assert east.open == STREAMS_OF_A_SERVER
        third = shop_of(east, 1, "third")
        lines = await stack.enter_async_context(aclosing(follow(third, logs)))
        assert await texts(lines, 1) == [TOO_MANY_STREAMS]
        # Who goes takes nothing from those who stay.
        await tabs[0].aclose()
        await east.write("shop-3", "to those who stay", 2)
        for tab in tabs[1:]:
            assert await texts(tab, 1) == ["to those who stay"]
    assert (east.open, logs.streams.total()) == (0, 0)


async def test_who_comes_later_hears_each_line_once() -> None:
    east, logs = Server(), SharedLogs()
    shop = shop_of(east)
    await east.write("shop-0", "first", 0)
    async with aclosing(follow(shop, logs)) as early, aclosing(follow(shop, logs)) as late:
        assert await texts(early, 1) == ["first"]
        for second in range(1, 4):
            await east.write("shop-0", str(second), second)
            assert await texts(early, 1) == [str(second)]
        assert await texts(late, 4) == ["first", "1", "2", "3"]
        await east.write("shop-0", "last", 5)
        assert await texts(early, 1) == await texts(late, 1) == ["last"]
        assert east.opened == 1


async def test_one_alone_loses_nothing_however_slow_and_little_waits_for_it() -> None:
    east, logs = Server(), SharedLogs()
    shop = shop_of(east)
    listener = listen(shop, logs)
    for second in range(100):
        await east.write("shop-0", str(second), second)
    async with aclosing(listener.entries()) as entries:  # type: ignore[type-var]
        assert await heard(entries, 1) == ["0"]
        log = listener._log
        await eventually(lambda: log.end > LINES_AHEAD)
        assert log.end == LINES_AHEAD + 1
        assert await heard(entries, 99) == [str(second) for second in range(1, 100)]
    await listener.close()
    assert (east.open, logs.streams.total()) == (0, 0)


async def test_one_that_takes_nothing_any_more_keeps_nothing_from_who_comes_later() -> None:
    """A laptop that slept with an open log once left every later tab without new lines."""
    east, logs = Server(), SharedLogs()
    shop = shop_of(east)
    asleep = listen(shop, logs)
    for second in range(LINES_AHEAD * 2):
        await east.write("shop-0", str(second), second)
    # The stream waits for it.
    await eventually(lambda: asleep._log.end == LINES_AHEAD)
    later = listen(shop, logs)
    async with aclosing(later.entries()) as entries:  # type: ignore[type-var]
        heard_later = await heard(entries, LINES_AHEAD)
    assert heard_later == [str(second) for second in range(LINES_AHEAD, LINES_AHEAD * 2)]
    for listener in (asleep, later):
        await listener.close()
    assert (east.open, logs.streams.total()) == (0, 0)


async def test_a_slow_one_holds_up_nobody_and_is_told_of_what_it_lost() -> None:
    east, logs = Server(), SharedLogs()
    shop = shop_of(east)
    slow, fast = listen(shop, logs), listen(shop, logs)
    async with aclosing(slow.entries()) as late, aclosing(fast.entries()) as soon:  # type: ignore[type-var]
        for second in range(2 * LINES_AHEAD):
            await east.write("shop-0", str(second), second)
            assert await heard(soon, 1) == [str(second)]
        assert await heard(late, 6) == [GAP, "27", "28", "29", "30", "31"]
        await east.write("shop-0", "more", 100)
        assert await heard(late, 1) == await heard(soon, 1) == ["more"]
    await slow.close()
    await fast.close()
    await fast.close()
    assert (east.open, logs.streams.total()) == (0, 0)


async def test_long_lines_are_kept_for_slow_ones_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_logs, "KEPT_CHARACTERS", 25)
    east, logs = Server(), SharedLogs()
    shop = shop_of(east)
    slow, fast = listen(shop, logs), listen(shop, logs)
    async with aclosing(slow.entries()) as late, aclosing(fast.entries()) as soon:  # type: ignore[type-var]
        for second in range(4):
            await east.write("shop-0", f"{second}" * 10, second)
            assert await heard(soon, 1) == [f"{second}" * 10]
        assert await heard(late, 3) == [GAP, "2" * 10, "3" * 10]
    await slow.close()
    await fast.close()


async def test_what_came_before_a_link_was_lost_is_heard_before_the_loss() -> None:
    east, logs = Server(), SharedLogs()
    shop = shop_of(east)
    slow, fast = listen(shop, logs), listen(shop, logs)
    async with aclosing(slow.entries()) as late, aclosing(fast.entries()) as soon:  # type: ignore[type-var]
        await east.write("shop-0", "last", 0)
        assert await heard(soon, 1) == ["last"]
        await east.cut(is_cut=True)
        with pytest.raises(ServerUnreachable):
            await heard(soon, 1)
        await eventually(lambda: logs.streams.total() == 0)
        assert await heard(late, 1) == ["last"]
        with pytest.raises(ServerUnreachable):
            await heard(late, 1)
    # The next one to come opens it anew, whoever has not gone yet.
    await east.cut(is_cut=False)
    again = listen(shop, logs)
    await slow.close()
    await fast.close()
    async with aclosing(again.entries()) as entries:  # type: ignore[type-var]
        assert await heard(entries, 1) == ["last"]
    await again.close()
    assert (east.open, logs.streams.total()) == (0, 0)
