from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ui import formats

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-3, "just now"),
        (4, "just now"),
        (59, "59 s ago"),
        (60, "1 min ago"),
        (3599, "59 min ago"),
        (3600, "1 h ago"),
        (86400, "1 day ago"),
        (6 * 86400, "6 days ago"),
        (7 * 86400, "16 Nov 2026"),
    ],
)
def test_times_are_told_by_how_long_ago_they_were(seconds: int, said: str) -> None:
    assert formats.relative(NOW - timedelta(seconds=seconds), NOW) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, ""),
        (-1, "0.0 s"),
        (0.84, "0.8 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3783, "1 h 03 min"),
    ],
)
def test_durations_are_as_exact_as_they_are_short(seconds: float | None, said: str) -> None:
    assert formats.duration(seconds) == said


def test_only_commit_ids_are_shortened() -> None:
    assert formats.short_commit("5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a9b8c7d6e") == "5d4e3f2"
    assert formats.short_commit("release-2026-11-candidate") == "release-2026-11-candidate"
    assert formats.short_commit("") == ""
