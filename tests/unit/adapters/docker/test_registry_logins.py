"""Logins as Docker takes them, and what a refusal means."""

from __future__ import annotations

import base64
import json

import pytest
from pydantic import SecretStr

from adapters.docker.refusals import pull_refusal
from adapters.docker.registry_checks import refused
from adapters.docker.registry_logins import client_configuration, login_header
from domain.errors import ImageNotFound, RegistryRefused, RegistryUnavailable
from domain.registries import RegistryLogin, RegistryState

LOGIN = RegistryLogin("registry.example.com:5000", "robot", SecretStr("pä$s:w?rd>>>"))
HUB = RegistryLogin("docker.io", "acme", SecretStr("t0ken"))


def test_the_header_carries_the_login_in_url_safe_base64() -> None:
    (value,) = login_header(LOGIN).values()
    assert json.loads(base64.urlsafe_b64decode(value)) == {
        "username": "robot",
        "password": "pä$s:w?rd>>>",
        "serveraddress": "registry.example.com:5000",
    }


def test_a_client_is_told_of_each_registry_under_dockers_name_for_it() -> None:
    second = RegistryLogin(HUB.host, "other", SecretStr("other"))
    auths = json.loads(client_configuration([LOGIN, HUB, second]))["auths"]
    assert {name: base64.b64decode(entry["auth"]).decode() for name, entry in auths.items()} == {
        "registry.example.com:5000": "robot:pä$s:w?rd>>>",
        "https://index.docker.io/v1/": "acme:t0ken",
    }


def test_no_login_shows_in_a_representation() -> None:
    assert "t0ken" not in repr(HUB)


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (500, "unauthorized: authentication required", RegistryRefused),
        (500, "unauthorized: incorrect username or password", RegistryRefused),
        (404, "pull access denied for acme/shop, repository does not exist or may require", RegistryRefused),
        (403, "denied", RegistryRefused),
        (404, "manifest for acme/shop:9 not found: manifest unknown", ImageNotFound),
        (500, "dial tcp 192.0.2.1:443: connect: connection refused", RegistryUnavailable),
        (500, "received unexpected HTTP status: 502 Bad Gateway", RegistryUnavailable),
    ],
)
def test_a_refused_login_is_told_from_an_absent_image_and_a_hiccup(
    status: int, reason: str, kind: type[Exception]
) -> None:
    error = pull_refusal("acme/shop:9", status, reason, HUB)
    assert type(error) is kind
    assert "t0ken" not in error.message + error.detail


@pytest.mark.parametrize(
    ("status", "reason", "state"),
    [
        (
            401,
            "login attempt to https://r.example/v2/ failed with status: 401",
            RegistryState.WRONG_CREDENTIALS,
        ),
        (500, "Get https://r.example/v2/: unauthorized: bad token", RegistryState.WRONG_CREDENTIALS),
        (500, "Get https://r.example/v2/: dial tcp: lookup: no such host", RegistryState.UNREACHABLE),
        (500, "x509: certificate signed by unknown authority", RegistryState.UNREACHABLE),
        (500, "login attempt failed with status: 503 Service Unavailable", RegistryState.UNREACHABLE),
    ],
)
def test_a_check_says_what_is_the_matter_without_the_password(
    status: int, reason: str, state: RegistryState
) -> None:
    check = refused(HUB, status, f"{reason} t0ken")
    assert check.state is state
    assert "t0ken" not in check.message + check.detail
