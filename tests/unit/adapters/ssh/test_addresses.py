"""In which order the addresses of a host are tried."""

from __future__ import annotations

import socket

import pytest

from adapters.ssh.addresses import Endpoint, in_turns

V4, V6 = socket.AF_INET, socket.AF_INET6


def of(*addresses: str) -> list[Endpoint]:
    return [Endpoint(V6 if ":" in one else V4, (one, 22)) for one in addresses]


@pytest.mark.parametrize(
    ("found", "order"),
    [
        ([], []),
        (["192.0.2.1"], ["192.0.2.1"]),
        (["2001:db8::1", "2001:db8::2", "192.0.2.1"], ["2001:db8::1", "192.0.2.1", "2001:db8::2"]),
        (["192.0.2.1", "2001:db8::1", "192.0.2.2"], ["192.0.2.1", "2001:db8::1", "192.0.2.2"]),
    ],
)
def test_families_take_turns_and_the_preferred_one_begins(found: list[str], order: list[str]) -> None:
    assert in_turns(of(*found)) == of(*order)
