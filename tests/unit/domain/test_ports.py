"""Ports: lists, mappings, and every way in which they are written wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.configuration import PortMapping
from domain.errors import InvalidInput
from domain.ports import format_port_mapping, parse_port_mappings, parse_ports_exposes


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("3000,3001,8080", (3000, 3001, 8080)),
        (" 3000 , 3000 ", (3000,)),
        ("", ()),
        (",", ()),
        ("65535", (65535,)),
    ],
)
def test_exposed_ports_are_read_in_their_order(text: str, ports: tuple[int, ...]) -> None:
    assert parse_ports_exposes(text) == ports


@pytest.mark.parametrize("text", ["0", "65536", "-1", "http", "3000;id", "3000-3002", "٣٠٠٠", "3000/tcp"])
def test_what_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_ports_exposes(text)
    assert caught.value.field == "ports_exposes"


@pytest.mark.parametrize(
    ("text", "mappings"),
    [
        ("", ()),
        ("8080:80", (PortMapping(host_port=8080, container_port=80),)),
        (
            "8080:80,127.0.0.1:53:53/udp",
            (
                PortMapping(host_port=8080, container_port=80),
                PortMapping(host_ip="127.0.0.1", host_port=53, container_port=53, protocol="udp"),
            ),
        ),
        ("[::1]:80:80/TCP", (PortMapping(host_ip="::1", host_port=80, container_port=80),)),
        (
            "53:53/udp, 53:53/tcp",
            (
                PortMapping(host_port=53, container_port=53, protocol="udp"),
                PortMapping(host_port=53, container_port=53),
            ),
        ),
    ],
)
def test_mappings_are_read_as_docker_does(text: str, mappings: tuple[PortMapping, ...]) -> None:
    assert parse_port_mappings(text) == mappings


@pytest.mark.parametrize(
    "text",
    [
        "80",
        "80:",
        ":80",
        "a:80",
        "80:80/sctp",
        "8000-8002:8000-8002",
        "300.1.1.1:80:80",
        "example.com:80:80",
        "::1:80:80",
        "8080:80,8080:81",
        "0:80",
        "80:65536",
        "80:80;id",
        "80:80/tcp/udp",
        "80:80/",
    ],
)
def test_what_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_port_mappings(text)
    assert caught.value.field == "ports_mappings"


@given(
    st.builds(
        PortMapping,
        host_ip=st.just("") | st.ip_addresses().map(str),
        host_port=st.integers(1, 65535),
        container_port=st.integers(1, 65535),
        protocol=st.sampled_from(["tcp", "udp"]),
    )
)
def test_a_mapping_survives_a_round_trip(mapping: PortMapping) -> None:
    assert parse_port_mappings(format_port_mapping(mapping)) == (mapping,)


@given(st.text(alphabet="0123456789:./,[]tcpud- x"))
def test_any_text_is_mappings_or_invalid_input(text: str) -> None:
    try:
        mappings = parse_port_mappings(text)
    except InvalidInput:
        return
    assert parse_port_mappings(",".join(map(format_port_mapping, mappings))) == mappings
