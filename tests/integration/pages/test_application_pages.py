from __future__ import annotations

import json
from datetime import timedelta
from html.parser import HTMLParser

import pytest

from api.pages.application_views import ApplicationReader
from api.pages.live import Fragment, _events
from api.pages.visitors import Visitor
from domain.configuration import Domain, GitSource, ImageSource, PortMapping, RoutingOptions, RuntimeOptions
from domain.deployments import DeploymentStatus, OperationKind
from domain.errors import NotFound, NotPossibleNow, TransientError
from store.tables import Server
from tests.harness.pages_seeds import seed_harbour
from tests.harness.pages_world import World, world_of
from tests.harness.refilled_database import RefilledDatabase
from tests.integration.pages.conftest import Visit

HOSTILE = """<img src=x onerror=alert(1)>'"><script>alert(2)</script>"""
ESCAPED = "&lt;img src=x onerror=alert(1)&gt;"


async def test_the_list_shows_status_address_and_last_deployment(visit: Visit, world: World) -> None:
    await seed_harbour(world)
    page = (await visit.get("/applications")).text
    for text in (
        "Storefront",
        "Deploying",
        "http://shop.example.com/api",
        "Search finds articles",
        "5d4e3f2",
    ):
        assert text in page
    for text in ("Stopped", "Not deployed", "git.example.com/harbour/newsletter", "Running"):
        assert text in page


async def test_only_on_seaways_own_machine_its_proxys_ports_are_in_the_links(
    refilled: RefilledDatabase,
) -> None:
    world = await world_of(await refilled.refill(), http_port=8081)
    elsewhere = await world.store.servers.create(
        Server(team_id=world.owner.team_id, name="east", address="e")
    )
    await world.application("Shop")
    routing = RoutingOptions(domains=(Domain(host="far.example.com"),), edge_server_id=elsewhere.id)
    far = await world.application("Far", routing=routing)
    reader = ApplicationReader(world.context, Visitor(world.owner, "token"))
    links = {link.url for row in await reader.rows() for link in row.links}
    assert links == {"http://shop.example.com:8081", "http://far.example.com"}
    assert [link.url for link in (await reader.head(far)).links] == ["http://far.example.com"]


async def test_an_empty_list_says_what_to_do(visit: Visit) -> None:
    page = (await visit.get("/applications")).text
    assert "No application yet" in page
    assert 'href="/applications/new"' in page


async def test_hostile_names_and_messages_are_text_and_nothing_else(visit: Visit, world: World) -> None:
    application = await world.application("Shop")
    await world.store.applications.modify(application.id, team_id=world.owner.team_id, edit=_rename(HOSTILE))
    deployment = await world.deployment(
        application, commit_message=HOSTILE, branch=HOSTILE, requested_by=HOSTILE
    )
    world.runtime.lines[application.id] = [HOSTILE]
    for path in (
        "/applications",
        f"/applications/{application.id}",
        f"/applications/{application.id}/logs",
        f"/applications/{application.id}/delete",
        f"/deployments/{deployment.id}",
    ):
        page = (await visit.get(path)).text
        assert "<img src=x" not in page, path
        assert "<script>" not in page, path
        assert ESCAPED in page, path


def _rename(name):
    def edit(row, configuration, written):
        row.name = name
        return configuration.model_copy(update={"name": name}), written

    return edit


async def test_deploying_queues_one_deployment_and_leads_to_it(visit: Visit, world: World) -> None:
    application = await world.application("Shop")
    url = f"/applications/{application.id}/deploy"
    answer = await visit.send(url, branch=" release/2 ", commit="", force="true")
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/deployments/")
    ((application_id, kind, options),) = world.operations.submitted
    assert (application_id, kind) == (application.id, OperationKind.DEPLOY)
    assert options == {"branch": "release/2", "commit": "", "force": True}
    assert "Queued" in (await visit.get(answer.headers["Location"])).text


async def test_the_same_form_sent_twice_is_one_deployment(visit: Visit, world: World) -> None:
    application = await world.application("Shop")
    url = f"/applications/{application.id}/deploy"
    key = "a" * 24
    first = await visit.send(url, idempotency_key=key)
    second = await visit.send(url, idempotency_key=key)
    assert first.headers["Location"] == second.headers["Location"]
    assert len(world.operations.submitted) == 1


async def test_a_wrong_branch_is_marked_beside_its_field_and_what_was_typed_stays(
    visit: Visit, world: World
) -> None:
    application = await world.application("Shop")
    answer = await visit.send(
        f"/applications/{application.id}/deploy", branch="--upload-pack=x", commit="abc1234"
    )
    assert answer.status_code == 422
    assert 'id="branch-error"' in answer.text
    assert 'value="--upload-pack=x"' in answer.text
    assert 'value="abc1234"' in answer.text
    assert not world.operations.submitted


@pytest.mark.parametrize(
    ("refusal", "status"),
    [(NotPossibleNow("It is being deleted."), 400), (TransientError("The engine does not answer."), 503)],
)
async def test_a_refused_operation_says_why(visit: Visit, world: World, refusal, status: int) -> None:
    application = await world.application("Shop")
    world.operations.refusal = refusal
    answer = await visit.send(f"/applications/{application.id}/deploy")
    assert answer.status_code == status
    assert refusal.message in answer.text


async def test_what_was_never_deployed_cannot_be_restarted(visit: Visit, world: World) -> None:
    application = await world.application("Shop")
    answer = await visit.send(f"/applications/{application.id}/restart")
    assert answer.status_code == 400
    assert "was never deployed" in answer.text


@pytest.mark.parametrize("replicas", ["0", "-1", "101", "1.5", "two", "", "٣"])
async def test_only_a_sensible_number_of_replicas_is_taken(visit: Visit, world: World, replicas: str) -> None:
    application = await world.application("Shop")
    await world.serve(application, await world.begin(await world.deployment(application)))
    answer = await visit.send(f"/applications/{application.id}/scale", replicas=replicas)
    assert answer.status_code == 422
    assert 'id="replicas-error"' in answer.text
    assert not world.operations.submitted


async def test_scaling_asks_for_so_many_replicas(visit: Visit, world: World) -> None:
    application = await world.application("Shop")
    await world.serve(application, await world.begin(await world.deployment(application)))
    await visit.send(f"/applications/{application.id}/scale", replicas="3")
    assert world.operations.submitted[-1][1:] == (OperationKind.SCALE, {"replicas": 3})


async def test_replicas_that_share_a_port_of_the_host_are_refused(visit: Visit, world: World) -> None:
    runtime = RuntimeOptions(port=80, port_mappings=(PortMapping(host_port=8080, container_port=80),))
    application = await world.application("Shop", runtime=runtime)
    await world.serve(application, await world.begin(await world.deployment(application)))
    answer = await visit.send(f"/applications/{application.id}/scale", replicas="2")
    assert "share a port of the host" in answer.text


async def test_deleting_needs_the_typed_name(visit: Visit, world: World) -> None:
    application = await world.application("Shop")
    url = f"/applications/{application.id}/delete"
    refused = await visit.send(url, name="shop", delete_volumes="true")
    assert refused.status_code == 422
    assert "This is not the name" in refused.text
    assert not world.operations.submitted
    await visit.send(url, name="Shop", delete_volumes="true")
    assert world.operations.submitted[-1][1:] == (OperationKind.DELETE, {"delete_volumes": True})


async def test_a_stopped_application_can_be_started_and_a_running_one_stopped(
    visit: Visit, world: World
) -> None:
    application = await world.application("Shop")
    url = f"/applications/{application.id}"
    await world.serve(application, await world.begin(await world.deployment(application)))
    page = (await visit.get(url)).text
    assert f'href="{url}/stop"' in page
    assert f'href="{url}/start"' not in page
    await world.store.applications.set_state(application.id, desired_state="stopped")
    page = (await visit.get(url)).text
    assert f'href="{url}/start"' in page
    assert f'href="{url}/stop"' not in page


async def test_nothing_is_offered_for_an_application_that_is_being_deleted(
    visit: Visit, world: World
) -> None:
    application = await world.application("Shop")
    await world.begin(await world.deployment(application))
    url = f"/applications/{application.id}"
    assert f'href="{url}/deploy"' in (await visit.get(url)).text
    await world.begin(await world.deployment(application, kind=OperationKind.DELETE))
    page = (await visit.get(url)).text
    for action in ("deploy", "restart", "start", "stop", "scale"):
        assert f'href="{url}/{action}"' not in page


async def test_roll_back_is_offered_for_kept_releases_and_cancel_for_open_ones(
    visit: Visit, world: World
) -> None:
    seeded = await seed_harbour(world)
    page = (await visit.get(seeded["application"])).text
    assert page.count("/rollback") == 2
    assert page.count("/cancel") == 1
    target = page.split("/rollback")[0].rpartition("/deployments/")[2]
    answer = await visit.send(f"/deployments/{target}/rollback")
    assert answer.headers["Location"].startswith("/deployments/")
    assert world.operations.submitted[-1][1:] == (OperationKind.ROLLBACK, {"target_deployment_id": target})


async def test_cancelling_says_so_or_why_not(visit: Visit, world: World) -> None:
    seeded = await seed_harbour(world)
    answer = await visit.send(f"{seeded['running']}/cancel")
    assert answer.headers["Location"] == f"{seeded['running']}?done=cancelling"
    assert world.operations.cancelled == [seeded["running"].rpartition("/")[2]]
    world.operations.refusal = NotPossibleNow("Deployment cannot be cancelled: it serves.")
    refused = await visit.send(f"{seeded['running']}/cancel")
    assert refused.status_code == 400
    assert "it serves" in refused.text


async def test_for_a_dialog_only_the_form_is_sent(visit: Visit, world: World) -> None:
    application = await world.application("Shop")
    inner = (await visit.get(f"/applications/{application.id}/deploy", **{"X-Seaway-Fragment": "1"})).text
    assert "<html" not in inner
    assert 'name="form_token"' in inner


async def test_many_deployments_come_in_pages(visit: Visit, world: World) -> None:
    application = await world.application("Shop")
    for number in range(23):
        await world.deployment(
            application, status=DeploymentStatus.CANCELLED, commit_message=f"Number {number}"
        )
    url = f"/applications/{application.id}"
    first = (await visit.get(url)).text
    assert "1–20 of 23" in first
    assert f'href="{url}?page=2"' in first
    second = (await visit.get(f"{url}?page=2")).text
    assert "21–23 of 23" in second
    assert (await visit.get(f"{url}?page=0")).status_code == 404


async def test_credentials_in_a_repository_address_are_never_shown(visit: Visit, world: World) -> None:
    source = GitSource(repository="https://oauth2:t0ken@git.example.com/a/b.git")
    application = await world.application("Shop", source=source)
    for tab in ("", "/settings", "/variables"):
        assert "t0ken" not in (await visit.get(f"/applications/{application.id}{tab}")).text
    await visit.send(f"/applications/{application.id}/settings", **await _settings(visit, application.id))
    kept = await world.store.applications.configuration(application.id)
    assert isinstance(kept.source, GitSource)
    assert kept.source.repository == source.repository


class SettingsForm(HTMLParser):
    """What a browser would send for the settings as they are."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self._open = ""
        self._options = False
        self.feed(html.split("novalidate>")[1])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name, value = given.get("name") or "", given.get("value") or ""
        if tag in ("select", "textarea"):
            self._open, self._options = name, tag == "select"
            self.found[name] = ""
        elif tag == "option" and "selected" in given:
            self.found[self._open] = value
        elif tag == "input" and (given.get("type") != "checkbox" or "checked" in given):
            self.found[name] = value

    def handle_endtag(self, tag: str) -> None:
        if tag in ("select", "textarea"):
            self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open and not self._options:
            self.found[self._open] += data.lstrip("\n")


async def _settings(visit: Visit, application_id: str) -> dict[str, str]:
    return SettingsForm((await visit.get(f"/applications/{application_id}/settings")).text).found


async def test_saving_settings_unchanged_changes_nothing(visit: Visit, world: World) -> None:
    application = await world.application("Shop")
    before = await world.store.applications.configuration(application.id)
    answer = await visit.send(
        f"/applications/{application.id}/settings", **await _settings(visit, application.id)
    )
    assert answer.headers["Location"].endswith("/settings?done=settings")
    assert await world.store.applications.configuration(application.id) == before


async def test_settings_are_saved(visit: Visit, world: World) -> None:
    application = await world.application("Shop")
    fields = await _settings(visit, application.id) | {
        "name": "Kiosk",
        "domains": "https://kiosk.example.com\r\nhttps://kiosk.example.com:9000/api",
        "ports_exposes": "9000",
        "replicas": "2",
        "health_check_return_code": "204",
        "limits_memory": "256m",
        "release_command": "./migrate",
    }
    del fields["is_gzip_enabled"]
    answer = await visit.send(f"/applications/{application.id}/settings", **fields)
    assert answer.status_code == 303, answer.text[-3000:]
    saved = await world.store.applications.configuration(application.id)
    assert saved.name == "Kiosk"
    assert [(one.host, one.path, one.port) for one in saved.routing.domains] == [
        ("kiosk.example.com", "/", None),
        ("kiosk.example.com", "/api", 9000),
    ]
    assert (saved.runtime.port, saved.runtime.replicas) == (9000, 2)
    assert saved.health.expected_status == 204
    assert saved.runtime.limits.memory_bytes == 256 * 1024**2
    assert saved.hooks.release == "./migrate"
    assert saved.routing.compress is False


async def test_wrong_settings_are_marked_and_nothing_is_saved(visit: Visit, world: World) -> None:
    application = await world.application("Shop")
    before = await world.store.applications.configuration(application.id)
    fields = await _settings(visit, application.id) | {
        "name": "Kiosk",
        "domains": "http://bad_host_/<x>",
        "replicas": "many",
    }
    answer = await visit.send(f"/applications/{application.id}/settings", **fields)
    assert answer.status_code == 422
    assert "Nothing was saved" in answer.text
    assert 'id="replicas-error"' in answer.text
    assert 'value="many"' in answer.text
    fields["replicas"] = "1"
    answer = await visit.send(f"/applications/{application.id}/settings", **fields)
    assert 'id="domains-error"' in answer.text
    assert await world.store.applications.configuration(application.id) == before


async def test_a_domain_of_another_application_is_refused(visit: Visit, world: World) -> None:
    await world.application("Shop")
    other = await world.application("Kiosk")
    fields = await _settings(visit, other.id) | {"domains": "http://shop.example.com"}
    answer = await visit.send(f"/applications/{other.id}/settings", **fields)
    assert answer.status_code == 409
    assert "Already in use" in answer.text


async def test_a_repository_becomes_an_application_that_is_deployed_at_once(
    visit: Visit, world: World
) -> None:
    answer = await visit.send(
        "/applications/new",
        source_kind="repository",
        git_repository="https://git.example.com/owner/kiosk.git",
        git_branch="main",
        build_pack="dockerfile",
        ports_exposes="8080",
        domains="http://kiosk.example.com",
        environment_uuid=world.environment.id,
        server_uuid=world.server.id,
        base_directory="/",
        dockerfile_location="/Dockerfile",
        publish_directory="/",
        health_check_path="/",
        replicas="1",
        deploy_now="true",
    )
    assert answer.status_code == 303, answer.text[-3000:]
    assert answer.headers["Location"].startswith("/deployments/")
    (made,) = await world.store.applications.list(team_id=world.owner.team_id)
    assert made.name.startswith("kiosk-")
    assert world.operations.submitted[-1][:2] == (made.id, OperationKind.DEPLOY)


async def test_an_image_becomes_an_application_with_a_domain_of_its_own(visit: Visit, world: World) -> None:
    answer = await visit.send(
        "/applications/new",
        source_kind="image",
        docker_registry_image_name="ghcr.io/harbour/metrics:2.4.1",
        name="Metrics",
        ports_exposes="9090",
        environment_uuid=world.environment.id,
        health_check_path="/",
        replicas="1",
    )
    assert answer.status_code == 303, answer.text[-3000:]
    assert answer.headers["Location"].endswith("?done=created")
    (made,) = await world.store.applications.list(team_id=world.owner.team_id)
    configuration = await world.store.applications.configuration(made.id)
    assert isinstance(configuration.source, ImageSource)
    assert configuration.source.reference == "ghcr.io/harbour/metrics:2.4.1"
    assert configuration.routing.domains[0].host.endswith(".apps.example.com")
    assert not world.operations.submitted


async def test_a_new_application_without_a_source_is_marked_and_what_was_typed_stays(
    visit: Visit, world: World
) -> None:
    answer = await visit.send(
        "/applications/new", source_kind="repository", ports_exposes="8080", name=HOSTILE
    )
    assert answer.status_code == 422
    assert 'id="git_repository-error"' in answer.text
    assert 'value="8080"' in answer.text
    assert "<script>" not in answer.text
    wrong = await visit.send(
        "/applications/new",
        source_kind="repository",
        git_repository="ext::sh -c x",
        ports_exposes="99999",
        replicas="1",
        base_directory="/",
        health_check_path="/",
    )
    assert wrong.status_code == 422
    assert 'id="git_repository-error"' in wrong.text
    assert 'id="ports_exposes-error"' in wrong.text


async def test_a_server_that_does_not_answer_is_unknown_and_never_exited(visit: Visit, world: World) -> None:
    application = await world.application("Shop", routing=RoutingOptions())
    await world.serve(application, await world.begin(await world.deployment(application)))
    world.runtime.states[application.id] = "unknown:unknown"
    page = (await visit.get(f"/applications/{application.id}")).text
    assert "Unknown" in page
    assert "Exited" not in page


async def test_the_fragments_of_the_list_change_only_when_something_has_changed(world: World) -> None:
    application = await world.application("Shop")
    reader = ApplicationReader(world.context, Visitor(world.owner, "token"))

    async def fragment() -> Fragment:
        return Fragment("x", "fragments/application_row.html", {"row": (await reader.rows())[0]})

    first = await fragment()
    assert (await fragment()).is_like(first)
    deployment = await world.deployment(application)
    queued = await fragment()
    assert not queued.is_like(first)
    await world.begin(deployment)
    assert not (await fragment()).is_like(queued)


async def test_a_stream_sends_fragments_and_says_when_the_thing_is_gone(world: World) -> None:
    answers: list[list[object] | None] = [[], None]

    async def produce():
        if answers.pop(0) is None:
            raise NotFound("gone")
        return [Fragment("release", "fragments/release.html", {"release": None})]

    events = [event async for event in _events(produce, timedelta(0))]
    assert [event.event for event in events] == ["fragment", "gone"]
    assert 'id="release"' in json.loads(str(events[0].data))
