"""Ports: those that an application listens on, and those that it publishes on its host."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Literal

from domain.configuration import PortMapping
from domain.errors import InvalidInput

_MAPPING = re.compile(
    r"(?:(?P<ip>\[[^\]]*\]|[^:\[\]]*):)?(?P<host>[^:]*):(?P<container>[^:/]*)(?:/(?P<protocol>[^/]+))?"
)


def parse_port(text: str, *, field: str = "port") -> int:
    """A port from 1 to 65535. Raises InvalidInput."""
    text = text.strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535):
        raise InvalidInput(f"{text[:40]!r} is not a port; it is a number from 1 to 65535.", field=field)
    return int(text)


def parse_ports_exposes(text: str) -> tuple[int, ...]:
    """The ports of `3000,3001`, each once, in their order. Raises InvalidInput (field `ports_exposes`)."""
    ports = [parse_port(part, field="ports_exposes") for part in text.split(",") if part.strip()]
    return tuple(dict.fromkeys(ports))


def parse_port_mappings(text: str) -> tuple[PortMapping, ...]:
    """The mappings of `8080:80,127.0.0.1:53:53/udp`, host before container, as `docker run -p` has them.

    A port of the host can be given once only. Raises InvalidInput (field `ports_mappings`).
    """
    mappings = [_parse_mapping(part.strip()) for part in text.split(",") if part.strip()]
    taken: set[tuple[str, int, str]] = set()
    for mapping in mappings:
        place = (mapping.host_ip, mapping.host_port, mapping.protocol)
        if place in taken:
            raise _invalid(f"Port {mapping.host_port}/{mapping.protocol} of the host is mapped twice.")
        taken.add(place)
    return tuple(mappings)


def format_port_mapping(mapping: PortMapping) -> str:
    """The mapping as `parse_port_mappings` reads it."""
    ip = f"[{mapping.host_ip}]" if ":" in mapping.host_ip else mapping.host_ip
    suffix = "" if mapping.protocol == "tcp" else f"/{mapping.protocol}"
    return f"{ip}{':' if ip else ''}{mapping.host_port}:{mapping.container_port}{suffix}"


def _parse_mapping(part: str) -> PortMapping:
    match = _MAPPING.fullmatch(part)
    if match is None:
        raise _invalid(f"{part[:80]!r} is not a port mapping; write host:container, for example 8080:80.")
    return PortMapping(
        host_ip=_host_ip(match["ip"] or ""),
        host_port=parse_port(match["host"], field="ports_mappings"),
        container_port=parse_port(match["container"], field="ports_mappings"),
        protocol=_protocol(match["protocol"] or "tcp"),
    )


def _host_ip(text: str) -> str:
    if not text:
        return ""
    try:
        return str(ip_address(text.strip("[]")))
    except ValueError as error:
        raise _invalid(f"{text[:40]!r} is not an IP address of the host.") from error


def _protocol(text: str) -> Literal["tcp", "udp"]:
    match text.lower():
        case "tcp":
            return "tcp"
        case "udp":
            return "udp"
        case _:
            raise _invalid(f"{text[:20]!r} is not a protocol; it is tcp or udp.")


def _invalid(message: str) -> InvalidInput:
    return InvalidInput(message, field="ports_mappings")
