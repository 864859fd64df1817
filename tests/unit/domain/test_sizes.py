"""Memory and processors: Docker's units and Docker's limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidInput
from domain.sizes import format_memory, parse_cpus, parse_memory, parse_memory_swap, validate_cpu_set

MEBIBYTE = 1024**2


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512m", 512 * MEBIBYTE),
        ("512M", 512 * MEBIBYTE),
        ("512MB", 512 * MEBIBYTE),
        ("512MiB", 512 * MEBIBYTE),
        ("1g", 1024 * MEBIBYTE),
        ("1.5g", 1536 * MEBIBYTE),
        (" 2 G ", 2048 * MEBIBYTE),
        ("6m", 6 * MEBIBYTE),
        ("6291456", 6 * MEBIBYTE),
        ("6144k", 6 * MEBIBYTE),
        ("0", 0),
        ("0m", 0),
        ("", 0),
    ],
)
def test_memory_is_read_in_powers_of_1024(text: str, size: int) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize(
    "text", ["5m", "1", "6291455", "-1", "1x", "g", "1e9", "1,5g", "٣g", "9" * 19 + "g", "1g\n1"]
)
def test_memory_that_docker_refuses_is_refused_in_its_field(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_memory(text, field="limits_memory")
    assert caught.value.field == "limits_memory"


def test_swap_may_be_unlimited() -> None:
    assert parse_memory_swap("-1") == -1
    assert parse_memory_swap("1g") == 1024 * MEBIBYTE


@pytest.mark.parametrize(
    ("text", "nano_cpus"),
    [
        ("0.5", 500_000_000),
        ("2", 2_000_000_000),
        (".5", 500_000_000),
        ("0", 0),
        ("", 0),
        ("0.01", 10_000_000),
    ],
)
def test_processors_are_read_in_billionths(text: str, nano_cpus: int) -> None:
    assert parse_cpus(text) == nano_cpus


@pytest.mark.parametrize("text", ["0.001", "-1", "NaN", "1e3", "inf", "1/2", "5000", "٢", "1.2.3", "."])
def test_processors_that_docker_refuses_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_cpus(text)


@pytest.mark.parametrize("text", ["", "0", "0-3", "0-3,5", "1,3"])
def test_a_set_of_processors_is_kept(text: str) -> None:
    assert validate_cpu_set(text) == text


@pytest.mark.parametrize("text", ["a", "3-0", "0-", ",", "0;id", "-1", "1,,2"])
def test_a_set_of_processors_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        validate_cpu_set(text)


@given(st.just(0) | st.integers(min_value=6 * MEBIBYTE, max_value=2**63 - 1))
def test_memory_survives_a_round_trip(size: int) -> None:
    assert parse_memory(format_memory(size)) == size


@given(st.text() | st.text(alphabet="0123456789.kmgb "))
def test_any_text_is_a_size_or_invalid_input(text: str) -> None:
    for parse in (parse_memory, parse_cpus):
        try:
            assert parse(text) >= 0
        except InvalidInput:
            continue
