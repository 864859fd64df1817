"""What a build prints is chosen by whoever wrote the repository: it must not stop the worker."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from adapters.processes import LONGEST_LINE
from domain.build_log import failing_excerpt
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


@pytest.fixture
def in_time() -> Iterator[None]:
    began = time.process_time()
    yield
    assert time.process_time() - began < LIMIT_SECONDS


@pytest.mark.usefixtures("in_time")
@pytest.mark.parametrize("line", HOSTILE.values(), ids=HOSTILE)
def test_no_line_keeps_the_worker_busy(line: str) -> None:
    redact(line)


@pytest.mark.usefixtures("in_time")
@pytest.mark.parametrize("line", [" " * LONGEST_LINE + "x!", " abc" * (LONGEST_LINE // 4) + " !"])
def test_no_line_after_the_start_of_a_key_keeps_the_worker_busy(line: str) -> None:
    redactor = Redactor()
    redactor("-----BEGIN RSA PRIVATE KEY-----")
    redactor(line)


@pytest.mark.usefixtures("in_time")
def test_no_message_of_a_failed_build_keeps_the_worker_busy() -> None:
    path = "a/" * (LONGEST_LINE // 2)
    lines = ["#5 [2/2] COPY x /", f"#5 ERROR: {path}", f"failed to solve: failed to compute {path}"]
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
