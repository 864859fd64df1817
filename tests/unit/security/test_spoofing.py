"""No application can pass for another one, for Seaway's own parts, or for the dashboard."""

from __future__ import annotations

import httpx
import pytest

from activities.messages import BeginDeployment, Command
from activities.planning import PlanningActivities
from api.context import ApiSettings
from api.safeguards import check_domains
from domain.configuration import ApplicationConfiguration, ImageSource, RuntimeOptions
from domain.deployments import OperationKind
from domain.domains import parse_domains
from domain.errors import InvalidInput, NotFound
from domain.identifiers import new_identifier
from domain.names import validate_network_alias
from domain.replicas import (
    APPLICATION_LABEL,
    GRACE_LABEL,
    PORTS_LABEL,
    RELEASE_LABEL,
    REPLICA_LABEL,
    ROLE_LABEL,
    release_command_labels,
    release_command_name,
    replica_labels,
    replica_name,
)
from store.tables import Deployment
from tests.integration.api.conftest import Seaway


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


def test_the_labels_of_an_image_cannot_make_its_containers_pass_for_others() -> None:
    """Docker gives a container the image's labels, but for those that it is created with."""
    configuration = ApplicationConfiguration(
        application_id=new_identifier(),
        name="shop",
        team_id="t",
        project_id="p",
        server_ids=("s",),
        source=ImageSource(reference="shop:1"),
        runtime=RuntimeOptions(labels=(("seaway.application", "of another"), ("team", "blue"))),
    )
    image = dict.fromkeys(
        (APPLICATION_LABEL, RELEASE_LABEL, ROLE_LABEL, REPLICA_LABEL, GRACE_LABEL, PORTS_LABEL), "of another"
    )
    own = (
        replica_labels(configuration, new_identifier(), 1),
        release_command_labels(configuration.application_id),
    )
    for labels in own:
        assert "of another" not in (image | labels).values()
        assert labels[APPLICATION_LABEL] == configuration.application_id
    assert own[0]["team"] == "blue"


async def test_a_rollback_takes_nothing_from_another_application(
    seaway: Seaway, client: httpx.AsyncClient, application: dict[str, str]
) -> None:
    """Whoever reaches Temporal can send commands past the API; the worker looks for itself."""
    body = {"project_uuid": seaway.mine.project.id, "git_repository": "https://git.example.com/a/b.git"}
    other = (await client.post("/applications/public", json=body)).json()["uuid"]
    target = await seaway.store.deployments.record(Deployment(application_id=other))
    await seaway.store.deployments.begin(target.id, await seaway.store.applications.configuration(other), [])
    command = Command(
        deployment_id=new_identifier(),
        application_id=application["uuid"],
        kind=OperationKind.ROLLBACK,
        target_deployment_id=target.id,
    )
    with pytest.raises(NotFound):
        await PlanningActivities(seaway.store).begin(BeginDeployment(command=command))
