"""What is the address of a server, and what only looks like one."""

from __future__ import annotations

import pytest

from domain.errors import InvalidInput
from domain.servers import checked_host


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("web-1.example.com", "web-1.example.com"),
        (" 192.0.2.1 ", "192.0.2.1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("::1", "::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("under_score", "under_score"),
    ],
)
def test_names_and_addresses_are_taken(given: str, meant: str) -> None:
    assert checked_host(given) == meant


@pytest.mark.parametrize(
    "given",
    [
        "",
        "host:22",
        "192.0.2.1:22",
        "root@host",
        "-oProxyCommand=x",
        "a b",
        "a\nb",
        "a/b",
        "2001:db8",
        "fe80::1%; x",
        "fe80::1%a\nb",
    ],
)
def test_what_holds_a_port_a_user_or_an_option_is_no_address(given: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        checked_host(given)
    assert refused.value.field == "ip"
