"""Public addresses of applications: how they are written, who has them, and what a visitor opens."""

from __future__ import annotations

import re
from collections.abc import Container
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal

import idna

from domain.configuration import ApplicationConfiguration, Domain
from domain.errors import InvalidInput
from domain.names import slug

_BARE_ADDRESS = re.compile(r"(?P<scheme>[^:/?#]+)://(?P<rest>.*)")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
# The characters of a path by RFC 3986, section 3.3; a backtick would end the proxy's rule.
_PATH = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+;=:@/-]|%[0-9A-Fa-f]{2})*")


def parse_domains(text: str) -> tuple[Domain, ...]:
    """The addresses in a comma-separated list, each a URL or a bare host, which means http.

    A port in an address is the container's port behind it; visitors always use the proxy's. Query
    and fragment are dropped, since no proxy routes by them; empty parts and repetitions are passed
    over. Raises InvalidInput (field `domains`) that names the part that is wrong.
    """
    domains: dict[tuple[str, str, str], Domain] = {}
    for part in text.split(","):
        if not (part := part.strip()):
            continue
        domain = _parse(part)
        known = domains.setdefault((domain.scheme, domain.host, domain.path), domain)
        if known.port != domain.port:
            raise _invalid(part, "the same address is given twice with different ports")
    return tuple(domains.values())


def format_domain(domain: Domain) -> str:
    """The address as it is written in a list of domains, with the container's port."""
    port = "" if domain.port is None else f":{domain.port}"
    return f"{domain.scheme}://{domain.host}{port}{_shown_path(domain)}"


def public_url(domain: Domain, http_port: int = 80, https_port: int = 443) -> str:
    """What a visitor opens: the proxy's ports, shown only where they are not the scheme's own."""
    port, usual = (https_port, 443) if domain.scheme == "https" else (http_port, 80)
    shown = "" if port == usual else f":{port}"
    return f"{domain.scheme}://{domain.host}{shown}{_shown_path(domain)}"


def public_urls(
    configuration: ApplicationConfiguration, local_ids: Container[str], http_port: int, https_port: int
) -> list[str]:
    """What visitors of the application open, in the order of its domains.

    The ports are those of Seaway's own machine, one of `local_ids`, where visitors come there first; the
    proxies of all other servers have the usual ones.
    """
    ports = (http_port, https_port) if entrances(configuration)[0] in local_ids else (80, 443)
    return [public_url(domain, *ports) for domain in configuration.routing.domains]


def entrances(configuration: ApplicationConfiguration) -> tuple[str, ...]:
    """The ids of the servers that visitors come to: the edge or, without one, all servers in their order."""
    edge = configuration.routing.edge_server_id
    return (edge,) if edge else configuration.server_ids


def generated_domain(name: str, application_id: str, wildcard: str) -> Domain:
    """An address for an application that was given none, below a wildcard such as `https://apps.example.com`.

    The same application keeps the same address; two of the same name differ by their ids.
    """
    base = _parse(wildcard.strip().replace("*.", "", 1))
    host = f"{slug(name)}-{application_id[:8].lower()}.{base.host}"
    return Domain(scheme=base.scheme, host=host)


def sslip_wildcard(ip: str) -> str:
    """A wildcard that needs no DNS of one's own: names below it resolve to the address within them.

    https://sslip.io resolves `any.203.0.113.7.sslip.io`, and IPv6 with hyphens for colons; a label must
    not start or end with a hyphen, so a missing group there is written as 0. Raises InvalidInput (field
    `ip`).
    """
    try:
        address: IPv4Address | IPv6Address = ip_address(ip.strip().strip("[]"))
    except ValueError as error:
        raise InvalidInput(f"{ip[:80]!r} is not an IP address.", field="ip") from error
    label = str(address)
    if isinstance(address, IPv6Address):
        label = address.compressed.partition("%")[0].replace(":", "-")
        label = f"{'0' if label.startswith('-') else ''}{label}{'0' if label.endswith('-') else ''}"
    return f"http://{label}.sslip.io"


def _shown_path(domain: Domain) -> str:
    return "" if domain.path == "/" else domain.path


def _parse(part: str) -> Domain:
    """One address; raises InvalidInput."""
    match = _BARE_ADDRESS.fullmatch(part)
    scheme, rest = (match["scheme"].lower(), match["rest"]) if match else ("http", part)
    authority, slash, path = re.split(r"[?#]", rest, maxsplit=1)[0].partition("/")
    if "@" in authority:
        raise _invalid(part, "user names do not belong into an address")
    if authority.startswith("["):
        raise _invalid(part, "an IPv6 address cannot be routed to; use a name, for example below sslip.io")
    host, colon, port = authority.partition(":")
    if not match and "." not in host and host.lower() != "localhost":
        raise _invalid(part, "write a host with a dot, or http:// in front of it if this is one")
    return Domain(
        scheme=_scheme(scheme, part),
        host=_host(host, part),
        path=_path(slash + path, part),
        port=_port(port, part) if colon else None,
    )


def _scheme(scheme: str, part: str) -> Literal["http", "https"]:
    match scheme:
        case "http":
            return "http"
        case "https":
            return "https"
        case _:
            raise _invalid(part, "it must start with http:// or https://")


def _host(host: str, part: str) -> str:
    """The host in lower case, and in punycode where it is not ASCII (RFC 5891)."""
    if host.startswith("*"):
        raise _invalid(part, "a wildcard is not possible here; list the hosts")
    try:
        labels = [
            label.lower() if label.isascii() else idna.encode(label, uts46=True).decode()
            for label in host.split(".")
        ]
    except idna.IDNAError as error:
        raise _invalid(part, "the host has characters that no domain name can have") from error
    host = ".".join(labels)
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in host.split(".")):
        raise _invalid(
            part,
            "between its dots the host needs 1 to 63 letters, digits or hyphens, with no hyphen at the ends",
        )
    if host.rpartition(".")[2].isdigit() and not _is_ipv4(host):
        raise _invalid(part, "the host is neither a name nor an IPv4 address")
    return host


def _path(path: str, part: str) -> str:
    """The path without a slash at its end, so that `/api` and `/api/` are one route."""
    if not _PATH.fullmatch(path):
        raise _invalid(part, "the path holds characters that must be percent-encoded")
    segments = [segment for segment in path.split("/") if segment]
    if ".." in segments or "." in segments:
        raise _invalid(part, "the path must not hold '.' or '..'")
    return "/" + "/".join(segments)


def _port(port: str, part: str) -> int:
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise _invalid(part, "the port must be a number from 1 to 65535")
    return int(port)


def _is_ipv4(host: str) -> bool:
    try:
        IPv4Address(host)
    except ValueError:
        return False
    return True


def _invalid(part: str, why: str) -> InvalidInput:
    return InvalidInput(f"{part[:120]!r} is not a valid domain: {why}.", field="domains")
