"""How moments, durations and commits are written for people."""

from __future__ import annotations

from datetime import UTC, datetime

MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR
SHORT_COMMIT_LENGTH = 7


def relative(moment: datetime, at: datetime | None = None) -> str:
    """How long ago that was: `12 s ago`, `3 min ago`; beyond a week, the date. `times.js` says the same."""
    seconds = ((at or datetime.now(UTC)) - moment).total_seconds()
    if seconds < 5:
        return "just now"
    if seconds < MINUTE:
        return f"{int(seconds)} s ago"
    if seconds < HOUR:
        return f"{int(seconds // MINUTE)} min ago"
    if seconds < DAY:
        return f"{int(seconds // HOUR)} h ago"
    if seconds < 7 * DAY:
        days = int(seconds // DAY)
        return f"{days} day{'' if days == 1 else 's'} ago"
    return f"{moment.day} {moment:%b %Y}"


def exact(moment: datetime) -> str:
    """The moment to the second, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def iso(moment: datetime) -> str:
    """The moment for machines (RFC 3339)."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock(seconds_since_1970: int) -> str:
    """The moment to the second, in UTC."""
    return exact(datetime.fromtimestamp(seconds_since_1970, UTC))


def duration(seconds: float | None) -> str:
    """`0.8 s`, `14 s`, `2 min 05 s`, `1 h 03 min`; nothing for an unknown one."""
    if seconds is None:
        return ""
    seconds = max(0.0, seconds)
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min {whole % MINUTE:02d} s"
    return f"{whole // HOUR} h {whole % HOUR // MINUTE:02d} min"


def short_commit(commit: str) -> str:
    """The first seven characters of a commit id; anything else as it is."""
    is_id = len(commit) >= 20 and all(character in "0123456789abcdef" for character in commit.lower())
    return commit[:SHORT_COMMIT_LENGTH] if is_id else commit
