"""Logs of several replicas on several servers, followed as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime
from itertools import count
from typing import Any

import pytest

from adapters.docker.connection import STREAM_THREADS
from adapters.docker.states import LogEntry
from domain.errors import NotFound, ServerUnreachable
from seaway import log_following
from seaway.log_following import TOO_MANY_REPLICAS, LogFollower
from seaway.replica_logs import ServerPlaces
from seaway.shared_logs import STREAMS_OF_A_SERVER, SharedLogs
from tests.harness.waiting import eventually
from tests.unit.seaway.followed_servers import STDOUT, Application, Server, at, texts


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_following, "LOOK_SECONDS", 0.02)


async def test_what_all_replicas_wrote_comes_in_order_and_then_what_each_writes() -> None:
    east, west, shop = Server(), Server(), Application()
    shop.start("east", east, "shop-1")
    # The same name on two servers: numbers begin anew on each.
    shop.start("west", west, "shop-1")
    for second in range(4):
        await (east if second % 2 else west).write("shop-1", f"line {second}", second)
    lines: Any = LogFollower(shop.find, ServerPlaces(), SharedLogs()).lines(3)
    async with aclosing(lines):
        assert await texts(lines, 3) == ["line 1", "line 2", "line 3"]
        await west.write("shop-1", "from the west", 5)
        assert await texts(lines, 1) == ["from the west"]
        await east.write("shop-1", "from the east", 4.5)
        assert await texts(lines, 1) == ["from the east"]


async def test_the_replicas_of_the_next_release_are_followed_from_their_first_line() -> None:
    east, shop = Server(), Application()
    shop.start("east", east, "old-1")
    await east.write("old-1", "old", 0)
    lines: Any = LogFollower(shop.find, ServerPlaces(), SharedLogs()).lines(100)
    async with aclosing(lines):
        assert await texts(lines, 1) == ["old"]
        await east.write("new-1", "new begins", 1)
        shop.start("east", east, "new-1")
        assert await texts(lines, 1) == ["new begins"]
        await east.end("old-1")
        del shop.replicas[0]
        await east.write("new-1", "new goes on", 2)
        assert await texts(lines, 1) == ["new goes on"]


class Busy(Server):
    """Always has another line."""

    async def follow_logs(
        self, name: str, tail: int, since: datetime | None = None
    ) -> AsyncIterator[LogEntry]:
        for number in count():
            yield LogEntry(STDOUT, at(number / 1000), "busy")


async def test_a_replica_that_never_stops_writing_keeps_nobody_from_later_ones() -> None:
    east, shop = Server(), Application()
    shop.start("north", Busy(), "shop-1")
    lines: Any = LogFollower(shop.find, ServerPlaces(), SharedLogs()).lines(100)
    async with aclosing(lines), asyncio.timeout(10):
        assert await texts(lines, 1) == ["busy"]
        await east.write("shop-2", "later", 0)
        shop.start("east", east, "shop-2")
        async for line in lines:
            if line.text == "later":
                break
            await asyncio.sleep(0)  # whoever reads does something with it, and lines come meanwhile


async def test_a_link_that_breaks_loses_no_line_and_doubles_none() -> None:
    east, west, shop = Server(), Server(), Application()
    shop.start("east", east, "shop-1")
    shop.start("west", west, "shop-1")
    lines: Any = LogFollower(shop.find, ServerPlaces(), SharedLogs()).lines(100)
    async with aclosing(lines):
        await west.write("shop-1", "before", 0)
        assert await texts(lines, 1) == ["before"]
        shop.problem = ServerUnreachable("The west is silent.")
        await west.cut(is_cut=True)
        await west.write("shop-1", "meanwhile", 1)
        await east.write("shop-1", "elsewhere", 2)
        assert await texts(lines, 1) == ["elsewhere"]
        await west.cut(is_cut=False)
        shop.problem = None
        assert await texts(lines, 1) == ["meanwhile"]
        await west.write("shop-1", "after", 3)
        assert await texts(lines, 1) == ["after"]


async def test_a_server_that_answers_nonsense_takes_nobody_elses_lines() -> None:
    class Nonsense(Server):
        async def follow_logs(
            self, name: str, tail: int, since: datetime | None = None
        ) -> AsyncIterator[LogEntry]:
            raise KeyError("Id")
            yield

    west, shop = Server(), Application()
    shop.start("east", Nonsense(), "shop-1")
    shop.start("west", west, "shop-1")
    lines: Any = LogFollower(shop.find, ServerPlaces(), SharedLogs()).lines(100)
    async with aclosing(lines):
        for number in range(3):
            await west.write("shop-1", str(number), number)
            assert await texts(lines, 1) == [str(number)]


async def test_a_replica_that_has_ended_is_opened_again_when_it_runs_again() -> None:
    east, shop = Server(), Application()
    shop.start("east", east, "shop-1", started_at=at(0))
    await east.write("shop-1", "runs", 0)
    lines: Any = LogFollower(shop.find, ServerPlaces(), SharedLogs()).lines(100)
    async with aclosing(lines):
        assert await texts(lines, 1) == ["runs"]
        for begin in (10, 20):
            await east.end("shop-1")
            shop.replicas.clear()
            shop.start("east", east, "shop-1", running=False, started_at=at(begin - 10))
            opened, looks = east.opened, shop.looks
            waiting = asyncio.create_task(texts(lines, 1))
            await eventually(lambda: shop.looks > looks + 10)  # noqa: B023
            # Once more, because it was running when it was opened.
            assert east.opened <= opened + 1
            await east.write("shop-1", f"began at {begin}", begin)
            east.ended.clear()
            shop.replicas.clear()
            # It may have ended again before anybody looks.
            shop.start("east", east, "shop-1", running=begin == 10, started_at=at(begin))
            assert await waiting == [f"began at {begin}"]


async def test_a_link_that_is_lost_at_the_end_of_a_replica_loses_nothing() -> None:
    east, shop = Server(), Application()
    shop.start("east", east, "shop-1", running=False)
    await east.write("shop-1", "runs", 0)
    lines: Any = LogFollower(shop.find, ServerPlaces(), SharedLogs()).lines(100)
    async with aclosing(lines):
        assert await texts(lines, 1) == ["runs"]
        await eventually(lambda: bool(east.open))
        await east.cut(is_cut=True)
        await eventually(lambda: not east.open)
        await east.write("shop-1", "last words", 1)
        await east.cut(is_cut=False)
        assert await texts(lines, 1) == ["last words"]


async def test_it_ends_with_the_application() -> None:
    east, shop, logs = Server(), Application(), SharedLogs()
    shop.start("east", east, "shop-1")
    await east.write("shop-1", "last words", 0)
    lines: Any = LogFollower(shop.find, ServerPlaces(), logs).lines(100)
    assert await texts(lines, 1) == ["last words"]
    shop.problem = NotFound("There is no such application.")
    async with asyncio.timeout(10):
        assert [line async for line in lines] == []
    assert (east.open, logs.streams.total()) == (0, 0)


async def test_logs_that_are_followed_leave_threads_for_deployments() -> None:
    assert STREAMS_OF_A_SERVER <= STREAM_THREADS // 2
    east, west, shop, logs = Server(), Server(), Application(), SharedLogs()
    for number in range(STREAMS_OF_A_SERVER + 3):
        shop.start("east", east, f"shop-{number}")
    shop.start("west", west, "shop-0")
    await west.write("shop-0", "hello", 0)
    lines: Any = LogFollower(shop.find, ServerPlaces(), logs).lines(100)
    async with aclosing(lines):
        # Said once, and those that fit are followed.
        assert await texts(lines, 2) == ["hello", TOO_MANY_REPLICAS]
        await west.write("shop-0", "again", 1)
        assert await texts(lines, 1) == ["again"]
        assert (east.open, west.open) == (STREAMS_OF_A_SERVER, 1)
        # Room that becomes free is used by who waits for it.
        await east.end("shop-0")
        del shop.replicas[0]
        last = f"shop-{STREAMS_OF_A_SERVER}"
        await east.write(last, "now me", 2)
        assert await texts(lines, 1) == ["now me"]
    assert (east.open, west.open, logs.streams.total()) == (0, 0, 0)


async def test_who_stops_following_makes_room_for_the_next() -> None:
    east, shop, logs = Server(), Application(), SharedLogs()
    shop.start("east", east, "shop-1")
    await east.write("shop-1", "line", 0)
    for _ in range(STREAMS_OF_A_SERVER * 2):
        lines: Any = LogFollower(shop.find, ServerPlaces(), logs).lines(1)
        async with aclosing(lines):
            assert await texts(lines, 1) == ["line"]
    assert (east.open, logs.streams.total()) == (0, 0)
