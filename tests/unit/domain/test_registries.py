"""Which login is for which image."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from domain.errors import InvalidInput
from domain.registries import (
    RegistryLogin,
    checked_password,
    checked_registry_host,
    checked_username,
    login_for,
    pushed_reference,
    registry_of,
)


@pytest.mark.parametrize(
    ("reference", "registry"),
    [
        ("nginx", "docker.io"),
        ("acme/shop:1", "docker.io"),
        ("docker.io/acme/shop", "docker.io"),
        ("index.docker.io/acme/shop", "docker.io"),
        ("ghcr.io/acme/shop:1", "ghcr.io"),
        ("localhost/shop", "localhost"),
        ("localhost:5000/shop", "localhost:5000"),
        ("127.0.0.1:5000/team/shop:1", "127.0.0.1:5000"),
        ("Registry.Example.com/shop", "registry.example.com"),
        ("[::1]:5000/shop", "[::1]:5000"),
        ("registry.example.com/shop@sha256:" + "a" * 64, "registry.example.com"),
    ],
)
def test_an_image_names_its_registry(reference: str, registry: str) -> None:
    assert registry_of(reference) == registry


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ("ghcr.io", "ghcr.io"),
        (" https://Registry.Example.com:5000/ ", "registry.example.com:5000"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("http://localhost:5000/v2/", "localhost:5000"),
        ("[2001:db8::1]:5000", "[2001:db8::1]:5000"),
    ],
)
def test_an_address_is_read_as_people_paste_it(given: str, host: str) -> None:
    assert checked_registry_host(given) == host


@pytest.mark.parametrize(
    "given",
    [
        "",
        "acme",
        "ghcr.io/acme",
        "docker.io/a",
        "u@ghcr.io",
        "x.io:99999",
        "a b.c",
        "ftp://x.io",
        "x.io\ny.io",
    ],
)
def test_what_is_no_registry_is_refused(given: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        checked_registry_host(given)
    assert caught.value.field == "host"


@pytest.mark.parametrize("username", ["", "  ", "a:b", "a\nb", "a" * 256])
def test_a_user_name_that_no_header_can_carry_is_refused(username: str) -> None:
    with pytest.raises(InvalidInput):
        checked_username(username)


def test_a_password_loses_the_line_break_of_its_file_and_nothing_else() -> None:
    assert checked_password(SecretStr(" a:b \r\n")).get_secret_value() == " a:b "
    for text in ("", "\n", "a\0b", "a" * 20_000):
        with pytest.raises(InvalidInput):
            checked_password(SecretStr(text))


def test_a_login_is_shown_to_its_own_registry_only() -> None:
    logins = [
        RegistryLogin(host, "robot", SecretStr(f"password of {host}"))
        for host in ("registry.example.com", "registry.example.com:5000", "docker.io")
    ]
    assert login_for("registry.example.com:5000/shop:1", logins) is logins[1]
    assert login_for("nginx", logins) is logins[2]
    for other in ("registry.example.org/shop", "evil.example/registry.example.com/shop", "example.com/shop"):
        assert login_for(other, logins) is None


def test_a_pushed_image_is_named_by_commit_and_configuration() -> None:
    image = "seaway/abc:0123456789ab-cdef01234567"
    named = pushed_reference("registry.example.com:5000/team/shop", image)
    assert named == "registry.example.com:5000/team/shop:0123456789ab-cdef01234567"
