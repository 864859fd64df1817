"""What an engine says may be chosen by whoever took its server over: it must not stop the worker."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from adapters.docker.connection import LONGEST_REASON, EngineRefusal
from adapters.docker.refusals import replica_refusal

LENGTH = 1 << 20
# With the square of the length, each would take minutes.
LIMIT_SECONDS = 5.0
HOSTILE = {
    "commands": 'exec: "a' * (LENGTH // 8),
    "missing commands": 'exec: "a": stat ' * (LENGTH // 16),
    "open command": 'exec: "' * (LENGTH // 7),
    "ports": "Bind for " * (LENGTH // 9),
    "open port": "listen tcp " + "a" * LENGTH,
    "mounts": "invalid mount config" * (LENGTH // 20),
    "networks": "network a" * (LENGTH // 9),
    "lines": "cgroup\n" * (LENGTH // 7),
}


def processor_seconds(work: Callable[..., object], *given: object) -> float:
    """How long this keeps the processor."""
    began = time.process_time()
    work(*given)
    return time.process_time() - began


@pytest.mark.parametrize("reason", HOSTILE.values(), ids=HOSTILE)
def test_no_reason_of_an_engine_keeps_the_worker_busy(reason: str) -> None:
    assert processor_seconds(replica_refusal, "shop-1", reason) < LIMIT_SECONDS


def test_of_a_reason_without_end_only_the_begin_is_told() -> None:
    refusal = EngineRefusal(500, "x" * (16 << 20))
    assert len(refusal.reason) == len(refusal.detail) == LONGEST_REASON
    assert len(refusal.message) < LONGEST_REASON + 100
