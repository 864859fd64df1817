"""Ids of lines: how far each replica was read."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway.log_positions import MOST_POSITIONS, id_of, positions_of, replica_of

# What is left of 4,000 characters, as the strictest proxies allow for a header.
MOST_CHARACTERS = 2000
MOMENTS = st.datetimes(timezones=st.just(UTC))


@given(st.dictionaries(st.binary(min_size=6, max_size=6), MOMENTS, min_size=1, max_size=MOST_POSITIONS))
def test_an_id_says_how_far_each_replica_was_read(positions: dict[bytes, datetime]) -> None:
    line_id = id_of(positions)
    assert positions_of(line_id) == positions
    assert len(line_id) <= MOST_CHARACTERS
    assert re.fullmatch(r"[A-Za-z0-9_-]+", line_id)


def test_an_id_has_an_end_and_names_those_that_wrote_last() -> None:
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    positions = {replica_of("east", f"{n}"): begin + timedelta(seconds=n) for n in range(MOST_POSITIONS + 5)}
    assert positions_of(id_of(positions)) == dict(list(positions.items())[5:])


@pytest.mark.parametrize(
    "line_id",
    [
        "",
        "=",
        "nonsense",
        "ä" * 19,
        "A" * 18,
        "A" * 8 + "f" + "_" * 10,
        "2026-01-01T00:00:00+00:00",
        "A" * 19_000,
    ],
)
def test_what_cannot_be_an_id_of_ours_is_none(line_id: str) -> None:
    assert positions_of(line_id) is None


@given(st.text(max_size=60) | st.text("AQgw_-=", max_size=60))
def test_any_text_is_none_or_read_as_what_an_id_of_ours_says(line_id: str) -> None:
    found = positions_of(line_id)
    assert found is None or (found and positions_of(id_of(found)) == found)


def test_the_same_container_on_two_servers_is_two_replicas() -> None:
    assert replica_of("east", "1") != replica_of("west", "1")
