"""What a build prints is chosen by whoever wrote the repository: it must not stop the worker."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.messages import StepReference
from activities.step_log import LAST_CHARACTERS, LAST_LINES, MOST_CHARACTERS, MOST_LINES, step_log
from adapters.processes import LONGEST_LINE
from domain.build_log import failing_excerpt
from domain.deployments import StepName
from domain.redaction import REDACTED, Redactor, redact

# Time in proportion to the line takes some 0.05 s; with its square these took up to 24 s.
LIMIT_SECONDS = 2.0
HOSTILE = {
    "tokens without a dot": "eyJ-" * (LONGEST_LINE // 4),
    "addresses": "a@" * (LONGEST_LINE // 2),
    "credentials in an address": "://" + "a@" * (LONGEST_LINE // 2),
    "assignments": "password " * (LONGEST_LINE // 9),
    "open quotes": 'password="x' + "password='" * (LONGEST_LINE // 10),
    "authorization": "authorization:" + "a" * LONGEST_LINE,
    "bearer": "bearer" + " " * LONGEST_LINE,
    "begin of a key": "-----BEGIN " + "A " * (LONGEST_LINE // 2),
    "escapes": "\x1b[" * (LONGEST_LINE // 2),
    "open escapes": "\x1b]a" * (LONGEST_LINE // 3),
}


def processor_seconds(work: Callable[..., object], *given: object) -> float:
    """How long this keeps the processor."""
    began = time.process_time()
    work(*given)
    return time.process_time() - began


@pytest.mark.parametrize("line", HOSTILE.values(), ids=HOSTILE)
def test_no_line_keeps_the_worker_busy(line: str) -> None:
    assert processor_seconds(redact, line) < LIMIT_SECONDS


@pytest.mark.parametrize("line", [" " * LONGEST_LINE + "x!", " abc" * (LONGEST_LINE // 4) + " !"])
def test_no_line_after_the_start_of_a_key_keeps_the_worker_busy(line: str) -> None:
    redactor = Redactor()
    redactor("-----BEGIN RSA PRIVATE KEY-----")
    assert processor_seconds(redactor, line) < LIMIT_SECONDS


def test_no_message_of_a_failed_build_keeps_the_worker_busy() -> None:
    path = "a/" * (LONGEST_LINE // 2)
    lines = ["#5 [2/2] COPY x /", f"#5 ERROR: {path}", f"failed to solve: failed to compute {path}"]
    assert processor_seconds(failing_excerpt, lines) < LIMIT_SECONDS
    assert failing_excerpt(lines).summary


@pytest.mark.parametrize(
    "line",
    ["", "   ", "Proc-Type: 4,ENCRYPTED", "MIIEpAIBAAKCAQEA7Zk", "#5 0.12 MIIEpAIBAAKCAQEA7Zk", "Zk5=", "=="],
)
def test_the_lines_of_a_key_are_hidden(line: str) -> None:
    redactor = Redactor()
    redactor("-----BEGIN RSA PRIVATE KEY-----")
    assert redactor(line) == REDACTED


def test_what_follows_a_key_that_never_ended_is_shown() -> None:
    redactor = Redactor()
    redactor("-----BEGIN RSA PRIVATE KEY-----")
    assert redactor("step 3 of 4 is done") == "step 3 of 4 is done"


class RecordedLogs:
    """Stands for the store of logs: counts what is written."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    async def open(self, *_: object) -> None:
        return None

    async def append(self, *given: Any) -> None:
        self.lines += [text for _, text in given[-1]]


async def log_of(lines: Iterable[str]) -> list[str]:
    """What the log of a step keeps of these lines."""
    logs: Any = RecordedLogs()
    step = StepReference(deployment_id="d" * 24, name=StepName.BUILD, server="localhost")

    async def print_them() -> None:
        async with step_log(logs, step, Redactor()) as write:
            for line in lines:
                write(line)

    await ActivityEnvironment().run(print_them)
    return list(logs.lines)


async def test_of_a_log_without_end_its_beginning_and_its_end_are_kept() -> None:
    kept = await log_of(f"line {number}" for number in range(MOST_LINES + 2_000))
    assert kept[:2] == ["line 0", "line 1"]
    assert kept[MOST_LINES - 1 : MOST_LINES + 2] == [
        f"line {MOST_LINES - 1}",
        "… 1500 lines are left out here …",
        f"line {MOST_LINES + 1500}",
    ]
    assert kept[-1] == f"line {MOST_LINES + 1999}"
    assert len(kept) == MOST_LINES + 1 + LAST_LINES


async def test_long_lines_cannot_fill_the_disk_either() -> None:
    kept = await log_of("x" * LONGEST_LINE for _ in range(MOST_CHARACTERS // LONGEST_LINE + 100))
    assert sum(map(len, kept)) <= MOST_CHARACTERS + LAST_CHARACTERS + 100


async def test_an_ordinary_log_is_kept_whole() -> None:
    lines = [f"line {number}" for number in range(1000)]
    assert await log_of(lines) == lines
