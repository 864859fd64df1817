"""What a load saw: every failure with its time, every version that answered, and how long answers took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tests.harness.http_connection import FailureKind

SHOWN_FAILURES = 20


def now() -> datetime:
    """Aware, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Failure:
    """One failed request or WebSocket. `started_at` is when it was due, `at` when it failed."""

    at: datetime
    kind: FailureKind
    detail: str
    path: str
    started_at: datetime


@dataclass
class VersionSeen:
    """Answers with one body. `first_at` and `last_at` are the times of whole answers."""

    version: str
    first_at: datetime
    last_at: datetime
    count: int = 1


@dataclass(frozen=True)
class Latencies:
    """Milliseconds from when a request was due to its whole answer; without the slow requests."""

    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0
    max: float = 0.0

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Latencies:
        """Nearest-rank percentiles; zeros when there was no answer."""
        if not seconds:
            return cls()
        ordered = sorted(seconds)
        p50, p95, p99 = (ordered[max(-(-len(ordered) * p // 100) - 1, 0)] * 1000 for p in (50, 95, 99))
        return cls(p50, p95, p99, ordered[-1] * 1000)


@dataclass(frozen=True)
class LoadReport:
    """The sum of a load so far. `succeeded` and `failed` count requests; WebSockets have counts of their own.

    `versions` are in the order of their first answer. `reopened` counts keep-alive connections that the
    server had closed while they were idle, before anything was sent; every browser opens another one then.
    """

    started_at: datetime
    duration: timedelta
    started: int
    succeeded: int
    slow_succeeded: int
    reopened: int
    websocket_sessions: int
    websocket_messages: int
    websockets_sent_away: int
    latency_ms: Latencies
    versions: tuple[VersionSeen, ...] = ()
    failures: tuple[Failure, ...] = field(default=())

    @property
    def failed(self) -> int:
        """Requests and WebSockets that failed."""
        return len(self.failures)

    def assert_no_failures(self, minimum_requests: int = 1) -> None:
        """Fails with the whole summary after any failure, or when the load was smaller than it had to be."""
        assert not self.failures, self.summary()
        assert self.succeeded >= max(minimum_requests, 1), f"too little load\n{self.summary()}"

    def summary(self) -> str:
        """Some lines for a person."""
        ms = self.latency_ms
        lines = [
            f"{self.succeeded} requests succeeded ({self.slow_succeeded} slow), {self.failed} failures",
            f"{self.duration.total_seconds():.1f} s, {self.reopened} idle connections reopened",
            f"latency ms: p50 {ms.p50:.1f}, p95 {ms.p95:.1f}, p99 {ms.p99:.1f}, max {ms.max:.1f}",
            f"WebSockets: {self.websocket_sessions} closed in order, {self.websockets_sent_away} sent away",
            f"{self.websocket_messages} echoes",
        ]
        lines += [
            f"version {v.version!r}: {v.count} answers, {v.first_at:%H:%M:%S.%f} to {v.last_at:%H:%M:%S.%f}"
            for v in self.versions
        ]
        lines += [
            f"FAILURE {f.at:%H:%M:%S.%f} {f.kind} {f.path} (due {f.started_at:%H:%M:%S.%f}): {f.detail}"
            for f in self.failures[:SHOWN_FAILURES]
        ]
        if self.failed > SHOWN_FAILURES:
            lines.append(f"… and {self.failed - SHOWN_FAILURES} more failures")
        return "\n".join(lines)
