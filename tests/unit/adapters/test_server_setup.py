"""What is made of the words of apt on a server that is busy with its packages, and of other words."""

from __future__ import annotations

from typing import Any

import pytest

from adapters import server_setup
from adapters.host_commands import Completed
from domain.errors import NotPossibleNow, SeawayError, TransientError

# As apt 2.6.1 and dpkg 1.21 of Debian 12 say it.
LISTS = (
    "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 512 (apt-get)\n"
    "E: Unable to lock directory /var/lib/apt/lists/\n"
)
FRONTEND = (
    "E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), "
    "is another process using it?\n"
)
INTERRUPTED = "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem.\n"
NO_RIGHTS = (
    "E: Could not open lock file /var/lib/apt/lists/lock - open (13: Permission denied)\n"
    "E: Unable to lock directory /var/lib/apt/lists/\n"
)
NO_PACKAGE = "E: Unable to locate package docker.io\n"


class Machine:
    """Answers each `apt-get` with the next of these words, then with success."""

    def __init__(self, *answers: str) -> None:
        self._answers = list(answers)
        self.ran: list[str] = []

    async def run(self, arguments: list[str], **_: object) -> Completed:
        words = [word for word in arguments if word in ("dpkg", "update", "install")]
        self.ran += words
        if words and words != ["dpkg"] and self._answers:
            return Completed(100, "", self._answers.pop(0))
        return Completed(0, "", "")


async def installed(*answers: str) -> list[str]:
    machine: Any = Machine(*answers)
    await server_setup.install_engine(machine, lambda _line: None)
    ran: list[str] = machine.ran
    return ran


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_setup, "BUSY_POLL_SECONDS", 0.0)


@pytest.mark.parametrize("words", [LISTS, FRONTEND, INTERRUPTED])
async def test_what_passes_is_waited_for_and_what_was_cut_off_is_ended_first(words: str) -> None:
    assert await installed(words, words) == ["dpkg", "update"] * 3 + ["dpkg", "install"]


@pytest.mark.parametrize("words", [LISTS, FRONTEND, INTERRUPTED])
async def test_what_does_not_pass_soon_may_still_pass(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_setup, "BUSY_SECONDS", -1.0)
    with pytest.raises(TransientError) as failed:
        await installed(words)
    assert words.splitlines()[0].removeprefix("E: ") in failed.value.message


@pytest.mark.parametrize(("words", "said"), [(NO_RIGHTS, "Unable to lock"), (NO_PACKAGE, "Unable to locate")])
async def test_what_does_not_pass_by_itself_is_told_at_once(words: str, said: str) -> None:
    with pytest.raises(SeawayError) as failed:
        await installed(words)
    assert isinstance(failed.value, NotPossibleNow)
    assert failed.value.message.startswith(f"apt-get update failed: {said}")
