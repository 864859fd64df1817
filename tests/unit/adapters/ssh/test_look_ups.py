"""Names that are slow to look up, and who waits for them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from threading import Event
from typing import Any

import pytest

from adapters.ssh import look_ups
from adapters.ssh.look_ups import LookUps

LIMIT_SECONDS = 10.0


class Names:
    """A system whose name servers answer when the test wants, and for names that begin with quick at once."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answer = Event()

    def getaddrinfo(self, host: str, port: int, **options: Any) -> list[tuple[Any, ...]]:
        if options.get("flags"):
            if host[0].isdigit():
                return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))]
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        self.asked.append(host)
        assert host.startswith("quick") or self.answer.wait(LIMIT_SECONDS)
        if host.startswith("unknown"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", port))]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    made = Names()
    monkeypatch.setattr(socket, "getaddrinfo", made.getaddrinfo)
    yield made
    made.answer.set()


async def until_asked(names: Names, count: int) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        while len(names.asked) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.fixture
def nothing_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look_ups, "SLOW_SECONDS", 3600.0)


@pytest.mark.usefixtures("nothing_is_slow")
async def test_slow_names_hold_up_neither_threads_of_others_nor_addresses(names: Names) -> None:
    found = LookUps()
    waiting = [asyncio.create_task(found.of(f"slow-{number}", 22)) for number in range(100)]
    await until_asked(names, look_ups.MOST_QUICK)
    async with asyncio.timeout(LIMIT_SECONDS):
        assert await asyncio.to_thread(lambda: "a thread") == "a thread"
        assert (await found.of("192.0.2.7", 22))[0][4] == ("192.0.2.7", 22)
    assert len(names.asked) == look_ups.MOST_QUICK
    names.answer.set()
    assert {answer[0][4] for answer in await asyncio.gather(*waiting)} == {("192.0.2.1", 22)}
    assert len(names.asked) == len(set(names.asked)) == 100


async def test_names_that_turn_out_to_be_slow_leave_their_places_to_others(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(look_ups, "SLOW_SECONDS", 0.02)
    found = LookUps()
    waiting = [asyncio.create_task(found.of(f"slow-{number}", 22)) for number in range(40)]
    await until_asked(names, look_ups.MOST_QUICK)
    async with asyncio.timeout(LIMIT_SECONDS / 2):
        assert len(await found.of("quick", 22)) == 1
    more = [asyncio.create_task(found.of(f"slow-{number}", 22)) for number in range(40, 100)]
    await until_asked(names, look_ups.MOST_THREADS + 1)
    assert len(names.asked) == look_ups.MOST_THREADS + 1
    assert not any(task.done() for task in waiting + more)
    names.answer.set()
    assert len(await asyncio.gather(*waiting, *more)) == 100


async def test_names_that_were_slow_have_places_of_their_own_until_they_are_quick_again(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = LookUps()

    def ask() -> list[asyncio.Task[look_ups.Found]]:
        names.asked.clear()
        return [asyncio.create_task(found.of(f"slow-{number}", 22)) for number in range(40)]

    monkeypatch.setattr(look_ups, "SLOW_SECONDS", 0.0)
    names.answer.set()
    await asyncio.gather(*ask())

    monkeypatch.setattr(look_ups, "SLOW_SECONDS", 3600.0)
    monkeypatch.setattr(look_ups, "MOST_SLOW", 4)
    names.answer.clear()
    waiting = ask()
    await until_asked(names, 4)
    async with asyncio.timeout(LIMIT_SECONDS):
        for number in range(100):
            await found.of(f"quick-{number}", 22)
    assert len(names.asked) == 104
    names.answer.set()
    await asyncio.gather(*waiting)

    names.answer.clear()
    waiting = ask()
    await until_asked(names, look_ups.MOST_QUICK)
    names.answer.set()
    await asyncio.gather(*waiting)


async def test_hosts_that_were_slow_are_remembered_up_to_a_number(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(look_ups, "SLOW_SECONDS", 0.0)
    monkeypatch.setattr(look_ups, "MOST_REMEMBERED", 3)
    found = LookUps()
    for number in range(10):
        await found.of(f"quick-{number}", 22)
    assert list(found._slow) == ["quick-7", "quick-8", "quick-9"]


async def test_one_name_is_looked_up_once_for_all_who_ask_and_anew_afterwards(names: Names) -> None:
    found = LookUps()
    waiting = [asyncio.create_task(found.of("slow", 22)) for _ in range(100)]
    await until_asked(names, 1)
    # Who gives up takes the look-up from nobody.
    waiting[0].cancel()
    names.answer.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert all(isinstance(answer, list) for answer in answers[1:])
    await found.of("slow", 22)
    assert names.asked == ["slow", "slow"]


async def test_who_asks_for_a_name_that_is_none_is_told(names: Names) -> None:
    names.answer.set()
    found = LookUps()
    for name in ("unknown.example", "unknown.example"):
        with pytest.raises(socket.gaierror, match="not known"):
            await found.of(name, 22)
    assert len(await found.of("known.example", 22)) == 1


def test_a_look_up_that_outlives_its_loop_harms_nobody(names: Names) -> None:
    found = LookUps()

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(found.of("slow", 22), 0.05)

    asyncio.run(give_up())
    names.answer.set()
    assert len(asyncio.run(found.of("other", 22))) == 1
