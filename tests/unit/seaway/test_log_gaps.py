"""Lines that are written while nobody reads them come later and once, or are told to be missing."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import pytest

from domain.errors import ServerUnreachable
from seaway import log_following, log_reading, shared_logs
from seaway.log_following import LogFollower
from seaway.log_reading import GAP
from seaway.replica_logs import ServerPlaces
from seaway.shared_logs import SharedLogs
from tests.harness.waiting import eventually
from tests.unit.seaway.followed_servers import Application, Server, some, texts


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_following, "LOOK_SECONDS", 0.02)
    for module in (log_following, log_reading, shared_logs):
        monkeypatch.setattr(module, "LINES_AT_ONCE", 5)


@dataclass
class Slow(Server):
    """Opens streams when it may."""

    may_open: asyncio.Event = field(default_factory=asyncio.Event)

    async def opening(self) -> None:
        await self.may_open.wait()


def follow(shop: Application, last: int = 100, after: str = "") -> Any:
    return LogFollower(shop.find, ServerPlaces(), SharedLogs()).lines(last, after)


async def test_who_comes_back_after_any_line_gets_each_that_came_later() -> None:
    east, west, shop = Server(), Server(), Application()
    shop.start("east", east, "shop-1")
    shop.start("west", west, "shop-1")
    for second in range(5):
        await (east if second % 2 else west).write("shop-1", str(second), second)
    async with aclosing(follow(shop, last=4)) as lines:
        read = await some(lines, 4)
        assert [line.text for line in read] == ["1", "2", "3", "4"]
        # Ids are no times: both servers may have written at the same one.
        await east.write("shop-1", "5", 4)
        read += await some(lines, 1)
    await west.write("shop-1", "6", 5)
    for number, line in enumerate(read, 2):
        async with aclosing(follow(shop, last=1, after=line.id)) as lines:
            assert sorted(await texts(lines, 7 - number)) == [str(one) for one in range(number, 7)]


async def test_who_comes_back_gets_more_than_the_last_lines_and_is_told_of_a_gap() -> None:
    east, shop = Server(), Application()
    shop.start("east", east, "shop-1")
    async with aclosing(follow(shop)) as lines:
        await east.write("shop-1", "0", 0)
        (line,) = await some(lines, 1)
    for second in range(1, 6):
        await east.write("shop-1", str(second), second)
    async with aclosing(follow(shop, 1, line.id)) as lines:
        assert await texts(lines, 5) == ["1", "2", "3", "4", "5"]
    await east.write("shop-1", "6", 6)
    async with aclosing(follow(shop, 1, line.id)) as lines:
        assert await texts(lines, 6) == [GAP, "2", "3", "4", "5", "6"]


async def test_a_clock_that_is_ahead_takes_no_lines_of_other_servers_from_who_comes_back() -> None:
    east, west, shop = Server(), Server(), Application()
    for name, server in (("east", east), ("west", west)):
        shop.start(name, server, "shop-1")
        shop.start(name, server, "quiet")
        await server.write("quiet", f"an hour ago in the {name}", -3600)
    await west.write("shop-1", "west 1", 0)
    await east.write("shop-1", "east 1", 40)
    async with aclosing(follow(shop)) as lines:
        line = (await some(lines, 4))[-1]
        assert line.text == "east 1"
    await west.write("shop-1", "west 2", 1)
    await east.write("shop-1", "east 2", 41)
    shop.start("west", west, "later")
    await west.write("later", "later", 2)
    async with aclosing(follow(shop, after=line.id)) as lines:
        assert await texts(lines, 3) == ["west 2", "later", "east 2"]
        # What is quiet for long makes nothing come twice.
        await west.write("quiet", "no more", 3)
        assert await texts(lines, 1) == ["no more"]


async def test_an_id_that_is_none_counts_as_none() -> None:
    east, shop = Server(), Application()
    shop.start("east", east, "shop-1")
    await east.write("shop-1", "line", 0)
    for line_id in ("nonsense", "ä", "2026-01-01T00:00:00+00:00", "A" * 100_000):
        async with aclosing(follow(shop, after=line_id)) as lines:
            assert await texts(lines, 1) == ["line"]


async def test_clocks_of_nodes_take_no_lines_of_a_service() -> None:
    manager, shop = Server(), Application()
    shop.start("manager", manager, "shop.1.t1")
    shop.start("manager", manager, "shop.2.t2")
    await manager.write("shop.1.t0", "an ended one", -10)
    await manager.write("shop.1.t1", "slow clock 1", 0)
    await manager.write("shop.2.t2", "fast clock 1", 40)
    async with aclosing(follow(shop)) as lines:
        assert await texts(lines, 2) == ["slow clock 1", "fast clock 1"]
        await manager.write("shop.1.t1", "slow clock 2", 1)
        await manager.write("shop.3.t3", "a new one", 41)
        assert await texts(lines, 2) == ["slow clock 2", "a new one"]
        await manager.cut(is_cut=True)
        await eventually(lambda: not manager.open)
        shop.problem = ServerUnreachable("The manager is silent.")
        await manager.write("shop.1.t1", "slow clock 3", 2)
        shop.start("manager", manager, "shop.3.t3")
        await manager.cut(is_cut=False)
        shop.problem = None
        assert await texts(lines, 1) == ["slow clock 3"]


async def test_a_new_replica_of_a_service_may_have_a_slower_clock() -> None:
    manager, shop = Server(), Application()
    shop.start("manager", manager, "shop.1.t1")
    await manager.write("shop.1.t1", "fast clock", 40)
    async with aclosing(follow(shop)) as lines:
        assert await texts(lines, 1) == ["fast clock"]
        shop.start("manager", manager, "shop.2.t2")
        next_line, looks = asyncio.create_task(texts(lines, 1)), shop.looks
        await eventually(lambda: shop.looks > looks + 1)
        await manager.write("shop.2.t2", "slow clock", 1)
        assert await next_line == ["slow clock"]


async def test_a_service_is_followed_from_where_each_of_its_replicas_was_read() -> None:
    manager, shop = Slow(), Application()
    shop.start("manager", manager, "shop.1.t1")
    shop.start("manager", manager, "shop.2.t2")
    await manager.write("shop.1.t1", "read first", 0)
    await manager.write("shop.2.t2", "read last", 2)
    async with aclosing(follow(shop)) as lines:
        assert await texts(lines, 2) == ["read first", "read last"]
        await manager.write("shop.1.t1", "meanwhile", 1)
        manager.may_open.set()
        assert await texts(lines, 1) == ["meanwhile"]


async def test_a_gap_behind_a_link_that_was_cut_is_told() -> None:
    east, shop = Server(), Application()
    shop.start("east", east, "shop-1")
    await east.write("shop-1", "before", 0)
    async with aclosing(follow(shop)) as lines:
        assert await texts(lines, 1) == ["before"]
        for first, awaited in ((1, ["1", "2", "3", "4", "5"]), (6, [GAP, "7", "8", "9", "10", "11"])):
            shop.problem = ServerUnreachable("The east is silent.")
            await east.cut(is_cut=True)
            await eventually(lambda: not east.open)
            for second in range(first, int(awaited[-1]) + 1):
                await east.write("shop-1", str(second), second)
            await east.cut(is_cut=False)
            shop.problem = None
            assert await texts(lines, len(awaited)) == awaited
        await east.write("shop-1", "after", 12)
        assert await texts(lines, 1) == ["after"]


async def test_a_new_replica_that_wrote_more_than_is_read_at_once_has_a_gap() -> None:
    east, shop = Server(), Application()
    async with aclosing(follow(shop)) as lines:
        for name, number in (("whole", 5), ("more", 6)):
            for second in range(number):
                await east.write(name, str(second), second)
        shop.start("east", east, "whole")
        assert await texts(lines, 5) == ["0", "1", "2", "3", "4"]
        shop.start("east", east, "more")
        assert await texts(lines, 6) == [GAP, "1", "2", "3", "4", "5"]


async def test_what_is_written_while_a_stream_is_opened_comes_or_is_a_gap() -> None:
    for last, awaited in ((5, [*"12345"]), (6, [GAP, *"123456"]), (7, [GAP, *"234567"])):
        east, shop = Slow(), Application()
        shop.start("east", east, "shop-1")
        await east.write("shop-1", "read", 0)
        async with aclosing(follow(shop)) as lines:
            assert await texts(lines, 1) == ["read"]
            for second in range(1, last + 1):
                await east.write("shop-1", str(second), second)
            east.may_open.set()
            assert await texts(lines, len(awaited)) == awaited
