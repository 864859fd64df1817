"""No application can pass for another one, for Seaway's own parts, or for the dashboard."""

from __future__ import annotations

import httpx
import pytest

from api.context import ApiSettings
from api.safeguards import check_domains
from domain.domains import parse_domains
from domain.errors import InvalidInput
from domain.identifiers import new_identifier
from domain.names import validate_network_alias
from domain.replicas import release_command_name, replica_name
from tests.unit.api.conftest import Seaway


def test_no_alias_is_the_name_of_a_container_that_the_proxy_sends_visitors_to() -> None:
    victim, release = new_identifier(), new_identifier()
    for name in (replica_name(victim, release, 1), release_command_name(victim, release)):
        for alias in (name, name.upper(), f" {name} "):
            with pytest.raises(InvalidInput, match="container of Seaway"):
                validate_network_alias(alias)


@pytest.mark.parametrize("alias", ["database", "my-api.internal", f"{'a' * 24}-{'b' * 23}"])
def test_other_aliases_are_taken(alias: str) -> None:
    assert validate_network_alias(alias) == alias


@pytest.mark.parametrize(
    ("dashboard", "host"),
    [
        ("https://seaway.example.com", "seaway.example.com"),
        ("https://seaway.example.com:8443", "https://seaway.example.com/shop"),
        ("http://127.0.0.1:8000", "http://127.0.0.1"),
        ("http://127.0.0.1:8000", "localhost"),
        ("http://localhost:8000", "http://127.0.0.1"),
    ],
)
def test_no_application_is_sent_the_cookies_of_the_dashboard(dashboard: str, host: str) -> None:
    with pytest.raises(InvalidInput, match="dashboard's own host"):
        check_domains(ApiSettings(public_url=dashboard), parse_domains(host))


@pytest.mark.parametrize("host", ["shop.example.com", "shop.seaway.example.com", "shop.localhost"])
def test_other_hosts_may_be_used(host: str) -> None:
    for dashboard in ("https://seaway.example.com", "http://127.0.0.1:8000"):
        check_domains(ApiSettings(public_url=dashboard), parse_domains(host))


async def test_the_dashboards_host_is_refused_for_new_and_for_known_applications(
    seaway: Seaway, client: httpx.AsyncClient, application: dict[str, str]
) -> None:
    change = {"domains": "http://seaway.test"}
    answer = await client.patch(f"/applications/{application['uuid']}", json=change)
    assert (answer.status_code, list(answer.json()["errors"])) == (422, ["domains"])
    body = {"project_uuid": seaway.mine.project.id, "git_repository": "https://git.example.com/a/b.git"}
    answer = await client.post("/applications/public", json={**body, **change})
    assert (answer.status_code, list(answer.json()["errors"])) == (422, ["domains"])
