"""Domains: one spelling for each address, no two owners, and the URL that a visitor opens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.configuration import ApplicationConfiguration, Domain, ImageSource, RoutingOptions
from domain.domains import (
    format_domain,
    generated_domain,
    parse_domains,
    public_url,
    public_urls,
    sslip_wildcard,
)
from domain.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("example.com", [Domain(host="example.com")]),
        ("localhost", [Domain(host="localhost")]),
        ("http://intranet", [Domain(host="intranet")]),
        ("https://example.com/", [Domain(scheme="https", host="example.com")]),
        (
            "http://git.example.com:80/v1/realtime",
            [Domain(host="git.example.com", path="/v1/realtime", port=80)],
        ),
        (
            "https://a.com,,https://b.com,",
            [Domain(scheme="https", host="a.com"), Domain(scheme="https", host="b.com")],
        ),
        (",,,", []),
        ("", []),
        ("https://myapp_service.example.com", [Domain(scheme="https", host="myapp_service.example.com")]),
        ("http://sub.example.com:8080/path?q=1", [Domain(host="sub.example.com", path="/path", port=8080)]),
        (
            " HTTPS://EXAMPLE.COM/MixedCase/Path?Token=ABC#Fragment, http://Sub.EXAMPLE.com/Api/V1 ",
            [
                Domain(scheme="https", host="example.com", path="/MixedCase/Path"),
                Domain(host="sub.example.com", path="/Api/V1"),
            ],
        ),
        ("https://a.com,https://A.com/", [Domain(scheme="https", host="a.com")]),
        ("http://a.com,https://a.com", [Domain(host="a.com"), Domain(scheme="https", host="a.com")]),
        ("bücher.example", [Domain(host="xn--bcher-kva.example")]),
        ("http://BÜCHER.example", [Domain(host="xn--bcher-kva.example")]),
        ("http://192.168.1.50:3000", [Domain(host="192.168.1.50", port=3000)]),
        ("https://example.com//api//v1/", [Domain(scheme="https", host="example.com", path="/api/v1")]),
    ],
)
def test_addresses_are_read_into_one_spelling(text: str, expected: list[Domain]) -> None:
    assert list(parse_domains(text)) == expected


@pytest.mark.parametrize(
    "part",
    [
        "not-a-url",
        "-myserver.com",
        "myserver-.com",
        ".myserver",
        "http://myserver.",
        "my..server",
        f"http://{'a' * 64}",
        f"http://{'a.' * 127}a",
        "http://my@server",
        "my server",
        "my;server.com",
        "evil\n.com",
        "evil.com {\n} http://x",
        "ftp://example.com",
        "javascript://example.com",
        "http://",
        "https:///path",
        "http://*.example.com",
        "http://[::1]",
        "http://example.com:0",
        "http://example.com:65536",
        "http://example.com:",
        "http://example.com:80:80",
        "http://example.com/a`b",
        "http://example.com/a b",
        "http://example.com/../etc",
        'http://example.com/"',
        "http://example.com/%zz",
        "http://1.2.3",
        "http://999.1.1.1",
        "http://user:secret@example.com",
        "http://exa\u202emple.com",
        "http://xn--\u0661.com",
    ],
)
def test_a_part_that_is_no_address_is_refused_and_named(part: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_domains(f"https://good.example,{part}")
    assert caught.value.field == "domains"
    assert repr(part)[1:40] in caught.value.message


def test_one_address_with_two_ports_is_refused() -> None:
    with pytest.raises(InvalidInput, match="different ports"):
        parse_domains("http://a.com:3000,http://a.com:4000")


@pytest.mark.parametrize(
    ("domain", "written", "visited"),
    [
        (Domain(host="a.com"), "http://a.com", "http://a.com:8080"),
        (Domain(scheme="https", host="a.com", port=3000), "https://a.com:3000", "https://a.com"),
        (Domain(host="a.com", path="/api", port=81), "http://a.com:81/api", "http://a.com:8080/api"),
    ],
)
def test_the_owner_writes_the_containers_port_and_the_visitor_the_proxys(
    domain: Domain, written: str, visited: str
) -> None:
    assert format_domain(domain) == written
    assert public_url(domain, http_port=8080, https_port=443) == visited


@pytest.mark.parametrize(
    ("servers", "edge", "visited"),
    [
        (("here",), None, ["http://a.com:8081", "https://a.com:8443"]),
        (("east",), None, ["http://a.com", "https://a.com"]),
        (("east", "here"), None, ["http://a.com", "https://a.com"]),
        (("here", "east"), None, ["http://a.com:8081", "https://a.com:8443"]),
        (("here", "east"), "east", ["http://a.com", "https://a.com"]),
        (("east",), "here", ["http://a.com:8081", "https://a.com:8443"]),
    ],
)
def test_visitors_come_to_the_edge_or_the_first_server_by_the_ports_of_its_proxy(
    servers: tuple[str, ...], edge: str | None, visited: list[str]
) -> None:
    domains = (Domain(host="a.com"), Domain(scheme="https", host="a.com"))
    configuration = ApplicationConfiguration(
        application_id="shop",
        name="shop",
        team_id="team",
        project_id="project",
        server_ids=servers,
        source=ImageSource(reference="shop:1"),
        routing=RoutingOptions(domains=domains, edge_server_id=edge),
    )
    assert public_urls(configuration, {"here"}, http_port=8081, https_port=8443) == visited


@pytest.mark.parametrize(
    ("ip", "wildcard"),
    [
        ("203.0.113.7", "http://203.0.113.7.sslip.io"),
        ("2001:db8::10", "http://2001-db8--10.sslip.io"),
        ("[2001:db8::10]", "http://2001-db8--10.sslip.io"),
        ("::1", "http://0--1.sslip.io"),
        ("2001:db8::", "http://2001-db8--0.sslip.io"),
    ],
)
def test_a_wildcard_for_an_address_is_a_valid_host(ip: str, wildcard: str) -> None:
    assert sslip_wildcard(ip) == wildcard
    assert parse_domains(wildcard)


def test_a_wildcard_for_no_address_is_refused() -> None:
    with pytest.raises(InvalidInput):
        sslip_wildcard("example.com")


@pytest.mark.parametrize(
    ("name", "wildcard", "expected"),
    [
        ("My Shop", "http://203.0.113.7.sslip.io", "http://my-shop-k1234567.203.0.113.7.sslip.io"),
        ("Käse", "https://apps.example.com", "https://kase-k1234567.apps.example.com"),
        ("日本", "https://*.apps.example.com", "https://app-k1234567.apps.example.com"),
        ("x" * 200, "apps.example.com", f"http://{'x' * 40}-k1234567.apps.example.com"),
    ],
)
def test_a_generated_address_follows_from_name_id_and_wildcard(
    name: str, wildcard: str, expected: str
) -> None:
    domain = generated_domain(name, "k12345678901234567890123", wildcard)
    assert format_domain(domain) == expected
    assert parse_domains(expected) == (domain,)


@given(st.text() | st.text(alphabet="aZ0.-_:/?#@[]%*ü,ß\u0661 ").map(lambda text: f"http://{text}"))
def test_any_text_is_domains_or_invalid_input_and_survives_a_round_trip(text: str) -> None:
    try:
        domains = parse_domains(text)
    except InvalidInput:
        return
    assert parse_domains(",".join(map(format_domain, domains))) == domains
    assert all("`" not in domain.host + domain.path for domain in domains)
