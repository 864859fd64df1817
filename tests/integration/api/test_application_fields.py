"""Fields of an application: read into its configuration, and shown as they were written."""

from __future__ import annotations

import base64

import httpx
import pytest
from pydantic import SecretStr

from api.shapes.application_fields import ACCEPTED_FIELDS, FIELDS
from domain.configuration import (
    Domain,
    EnvironmentVariable,
    HealthCheckKind,
    ImageSource,
    PortMapping,
    PushOptions,
    ResourceLimits,
)
from tests.integration.api.conftest import Seaway

WRITTEN: dict[str, object] = {
    "git_repository": "https://git.example.com/team/other.git",
    "git_branch": "release/1.x",
    "git_commit_sha": "a" * 40,
    "is_git_submodules_enabled": False,
    "is_git_lfs_enabled": False,
    "docker_registry_image_name": "registry.example.com:5000/team/shop",
    "docker_registry_image_tag": "latest",
    "private_key_uuid": None,
    "build_pack": "static",
    "base_directory": "site/",
    "dockerfile_location": "docker/Dockerfile.prod",
    "dockerfile_target_build": "runtime",
    "publish_directory": "dist",
    "is_spa": True,
    "disable_build_cache": True,
    "use_build_server": True,
    "ports_exposes": "8080, 9090",
    "ports_mappings": "127.0.0.1:5353:53/udp, 8080:80",
    "custom_network_aliases": "Shop, shop.internal",
    "start_command": "serve  'two words'",
    "entrypoint": "/bin/tini --",
    "custom_labels": "com.example.a=1\ncom.example.b=x=y",
    "replicas": 1,
    "swarm_replicas": 1,
    "swarm_placement_constraints": "node.role==worker\nnode.labels.disk!=slow",
    "restart_policy": "always",
    "stop_grace_period": None,
    "drain_seconds": 0,
    "limits_memory": "512M",
    "limits_memory_swap": "1GiB",
    "limits_memory_reservation": "262144k",
    "limits_cpus": "0.50",
    "limits_cpuset": "0-1",
    "limits_cpu_shares": 512,
    "health_check_enabled": True,
    "health_check_type": "tcp",
    "health_check_path": "/healthz?full=1",
    "health_check_port": "9090",
    "health_check_host": "shop.internal:80",
    "health_check_method": "HEAD",
    "health_check_return_code": 204,
    "health_check_scheme": "https",
    "health_check_response_text": "ready",
    "health_check_command": "test -f /ready",
    "health_check_interval": 0.5,
    "health_check_timeout": 3,
    "health_check_retries": 7,
    "health_check_start_period": 2,
    "domains": "https://Shop.Example.com/,http://shop.example.org:8080/api",
    "is_force_https_enabled": False,
    "is_stripprefix_enabled": False,
    "is_gzip_enabled": False,
    "edge_server_uuid": None,
    "redirect": "both",
    "pre_deployment_command": " echo before ",
    "post_deployment_command": "echo after",
    "release_command": "./manage migrate",
    "command_timeout": 30,
    "docker_images_to_keep": 9,
    "min_available": 1,
}


def test_every_field_that_does_something_is_written_below() -> None:
    assert set(WRITTEN) | {field.name for field in ACCEPTED_FIELDS} == set(FIELDS)


async def test_fields_are_shown_exactly_as_they_were_written(
    seaway: Seaway, client: httpx.AsyncClient, application: dict[str, object]
) -> None:
    path = f"/applications/{application['uuid']}"
    changed = await client.patch(path, json=WRITTEN)
    assert changed.status_code == 200, changed.text
    read = (await client.get(path)).json()
    assert changed.json() == read
    assert {name: read[name] for name in WRITTEN} == WRITTEN
    listed = (await client.get("/applications")).json()
    assert listed == [read]


async def test_fields_reach_the_configuration_that_a_release_depends_on(
    seaway: Seaway, client: httpx.AsyncClient, application: dict[str, object]
) -> None:
    uuid = str(application["uuid"])
    await client.patch(f"/applications/{uuid}", json=WRITTEN)
    configuration = await seaway.store.applications.configuration(uuid)
    runtime, build, health = configuration.runtime, configuration.build, configuration.health
    assert (build.base_directory, build.dockerfile_path) == ("/site", "/docker/Dockerfile.prod")
    assert (build.publish_directory, build.use_cache, build.single_page) == ("/dist", False, True)
    assert build.use_build_server
    assert (runtime.port, runtime.exposed_ports) == (8080, (8080, 9090))
    assert runtime.port_mappings == (
        PortMapping(host_ip="127.0.0.1", host_port=5353, container_port=53, protocol="udp"),
        PortMapping(host_port=8080, container_port=80),
    )
    assert runtime.network_aliases == ("shop", "shop.internal")
    assert runtime.command == ("serve", "two words")
    assert runtime.entrypoint == ("/bin/tini", "--")
    assert runtime.labels == (("com.example.a", "1"), ("com.example.b", "x=y"))
    assert runtime.stop_grace_seconds == 30
    assert runtime.limits == ResourceLimits(
        memory_bytes=512 * 1024**2,
        memory_swap_bytes=1024**3,
        memory_reservation_bytes=256 * 1024**2,
        nano_cpus=500_000_000,
        cpu_set="0-1",
        cpu_shares=512,
    )
    assert (health.kind, health.port, health.expected_status) == (HealthCheckKind.TCP, 9090, 204)
    assert configuration.routing.domains == (
        Domain(scheme="https", host="shop.example.com"),
        Domain(scheme="http", host="shop.example.org", path="/api", port=8080),
    )
    assert configuration.hooks.pre_deploy == "echo before"
    assert configuration.images_to_keep == 9


async def test_what_is_left_out_stays(client: httpx.AsyncClient, application: dict[str, object]) -> None:
    path = f"/applications/{application['uuid']}"
    before = (await client.patch(path, json=WRITTEN)).json()
    after = (await client.patch(path, json={"description": "the shop"})).json()
    assert after["description"] == "the shop"
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"description", "updated_at"}


async def test_labels_in_base64_are_the_same_labels(
    seaway: Seaway, client: httpx.AsyncClient, application: dict[str, object]
) -> None:
    uuid = str(application["uuid"])
    encoded = base64.b64encode(b"a=1\nb=2").decode()
    answer = await client.patch(f"/applications/{uuid}", json={"custom_labels": encoded})
    assert answer.json()["custom_labels"] == encoded
    configuration = await seaway.store.applications.configuration(uuid)
    assert configuration.runtime.labels == (("a", "1"), ("b", "2"))


async def test_a_spelling_is_forgotten_when_somebody_changes_what_it_meant(
    seaway: Seaway, client: httpx.AsyncClient, application: dict[str, object]
) -> None:
    path = f"/applications/{application['uuid']}"
    await client.patch(path, json={"limits_memory": "1024M"})
    assert (await client.get(path)).json()["limits_memory"] == "1024M"
    await client.patch(path, json={"limits_memory": "2g"})
    assert (await client.get(path)).json()["limits_memory"] == "2g"


async def test_health_checks_switched_off_and_on_are_what_they_were(
    client: httpx.AsyncClient, application: dict[str, object]
) -> None:
    path = f"/applications/{application['uuid']}"
    written = {"health_check_type": "cmd", "health_check_command": "true"}
    assert (await client.patch(path, json=written)).status_code == 200
    off = (await client.patch(path, json={"health_check_enabled": False})).json()
    assert (off["health_check_enabled"], off["health_check_type"]) == (False, "cmd")
    on = (await client.patch(path, json={"health_check_enabled": True})).json()
    assert (on["health_check_enabled"], on["health_check_type"]) == (True, "cmd")


@pytest.mark.parametrize("field", [field for field in ACCEPTED_FIELDS if field.type != bool | None])
async def test_a_field_that_does_nothing_yet_is_taken_only_while_it_asks_for_nothing(
    client: httpx.AsyncClient, application: dict[str, object], field: object
) -> None:
    name, shown = field.name, application[field.name]  # type: ignore[attr-defined]
    path = f"/applications/{application['uuid']}"
    assert (await client.patch(path, json={name: shown})).status_code == 200
    wanted: object = {bool: not shown, int: 1}.get(type(shown), "something")
    if field.type not in (bool, int) and "list" in str(field.type):  # type: ignore[attr-defined]
        wanted = ["something"]
    answer = await client.patch(path, json={name: wanted})
    if name in ("is_auto_deploy_enabled", "is_git_shallow_clone_enabled"):
        assert answer.status_code == 200
    else:
        assert answer.json()["errors"] == {name: ["This is not supported yet."]}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", ""),
        ("name", "a\u200bb"),
        ("description", "a\u0000b"),
        ("git_repository", "ext::sh -c id"),
        ("git_repository", "--upload-pack=id"),
        ("git_branch", "a..b"),
        ("git_commit_sha", "$(id)"),
        ("build_pack", "nixpacks"),
        ("build_pack", "dockerimage"),
        ("base_directory", "../etc"),
        ("dockerfile_location", "/"),
        ("dockerfile_target_build", "a b"),
        ("ports_exposes", ""),
        ("ports_exposes", "70000"),
        ("ports_mappings", "80"),
        ("custom_network_aliases", "a b"),
        ("start_command", "echo 'open"),
        ("custom_labels", "seaway.application=x"),
        ("replicas", 0),
        ("replicas", 101),
        ("restart_policy", "sometimes"),
        ("stop_grace_period", 0),
        ("limits_memory", "5 apples"),
        ("limits_memory", "1m"),
        ("limits_memory_swap", "1g"),
        ("limits_cpus", "many"),
        ("limits_cpuset", "3-1"),
        ("health_check_path", "healthz"),
        ("health_check_path", "/a\r\nHost: b"),
        ("health_check_port", "x"),
        ("health_check_host", "a b"),
        ("health_check_method", "DELETE"),
        ("health_check_return_code", 42),
        ("health_check_interval", 0),
        ("domains", "http://a b"),
        ("domains", "https://*.example.com"),
        ("redirect", "www"),
        ("release_command", "a\nb"),
        ("docker_images_to_keep", 101),
        ("docker_registry_image_name", "registry.example.com/team/shop:1"),
        ("docker_registry_image_name", "Registry.example.com/Shop"),
        ("docker_registry_image_name", "seaway/traefik"),
        ("docker_registry_image_name", "docker.io/seaway/caddy"),
        ("docker_registry_image_tag", "latest"),
        ("no_such_field", 1),
        ("project_uuid", "elsewhere"),
    ],
)
async def test_a_wrong_value_is_refused_by_its_name_and_changes_nothing(
    client: httpx.AsyncClient, application: dict[str, object], name: str, value: object
) -> None:
    path = f"/applications/{application['uuid']}"
    answer = await client.patch(
        path, json={name: value, "replicas": 3} if name != "replicas" else {name: value}
    )
    assert answer.status_code == 422
    body = answer.json()
    assert body["message"] == "Validation failed."
    assert list(body["errors"]) == [name]
    assert (await client.get(path)).json() == {**application, "deployment_uuid": None}


async def test_everything_that_is_wrong_is_told_at_once(
    client: httpx.AsyncClient, application: dict[str, object]
) -> None:
    wrong = {"limits_memory": "x", "domains": "http://a b", "build_pack": "railpack"}
    answer = await client.patch(f"/applications/{application['uuid']}", json=wrong)
    assert set(answer.json()["errors"]) == set(wrong)
    assert "'dockerfile' and 'static'" in answer.json()["errors"]["build_pack"][0]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"health_check_type": "cmd"}, "health_check_command"),
        ({"ports_mappings": "80:80", "replicas": 2}, "replicas"),
        ({"limits_memory": "64m", "limits_memory_reservation": "128m"}, "limits_memory_reservation"),
        ({"limits_memory": "64m", "limits_memory_swap": "32m"}, "limits_memory_swap"),
    ],
)
async def test_fields_that_contradict_each_other_are_refused(
    client: httpx.AsyncClient, application: dict[str, object], wrong: dict[str, object], field: str
) -> None:
    answer = await client.patch(f"/applications/{application['uuid']}", json=wrong)
    assert list(answer.json()["errors"]) == [field]


async def test_credentials_in_an_address_are_shown_only_to_those_who_may_see_secrets(
    seaway: Seaway, client: httpx.AsyncClient, application: dict[str, object]
) -> None:
    path = f"/applications/{application['uuid']}"
    address = "https://user:hunter2@git.example.com/team/shop.git"
    assert (await client.patch(path, json={"git_repository": address})).json()["git_repository"] == address
    async with seaway.client(await seaway.token_with("read", "write")) as limited:
        shown = (await limited.get(path)).json()["git_repository"]
        assert shown == "https://git.example.com/team/shop.git"
        assert "hunter2" not in (await limited.patch(path, json={"replicas": 2})).text
        assert "hunter2" not in (await limited.get("/applications")).text
    configuration = await seaway.store.applications.configuration(str(application["uuid"]))
    assert configuration.source.repository == address  # type: ignore[union-attr]


async def test_environment_values_are_not_kept_twice(
    seaway: Seaway, client: httpx.AsyncClient, application: dict[str, object]
) -> None:
    uuid = str(application["uuid"])
    await client.post(f"/applications/{uuid}/envs", json={"key": "A", "value": "b"})
    await client.patch(f"/applications/{uuid}", json={"replicas": 2})
    configuration = await seaway.store.applications.configuration(uuid)
    assert configuration.environment == (EnvironmentVariable(key="A", value=SecretStr("b")),)
    assert configuration.runtime.replicas == 2


@pytest.mark.parametrize(
    ("name", "tag", "reference"),
    [
        ("nginx", "1.27", "nginx:1.27"),
        ("nginx", None, "nginx:latest"),
        ("nginx:1.27", None, "nginx:1.27"),
        ("registry.example.com:5000/team/app:v2", "", "registry.example.com:5000/team/app:v2"),
        ("nginx", "sha256:" + "a" * 64, "nginx@sha256:" + "a" * 64),
        ("nginx@sha256:" + "b" * 64, None, "nginx@sha256:" + "b" * 64),
    ],
)
async def test_an_image_is_named_in_either_field(
    seaway: Seaway, client: httpx.AsyncClient, name: str, tag: str | None, reference: str
) -> None:
    body = {
        "project_uuid": seaway.mine.project.id,
        "docker_registry_image_name": name,
        "docker_registry_image_tag": tag,
    }
    created = await client.post("/applications/dockerimage", json=body)
    assert created.status_code == 201, created.text
    shown = created.json()
    assert shown["docker_registry_image_name"] == name
    assert shown["docker_registry_image_tag"] == tag
    assert shown["build_pack"] == "dockerimage"
    configuration = await seaway.store.applications.configuration(shown["uuid"])
    assert configuration.source == ImageSource(reference=reference)


async def test_another_tag_of_an_image_keeps_its_name(seaway: Seaway, client: httpx.AsyncClient) -> None:
    body = {"project_uuid": seaway.mine.project.id, "docker_registry_image_name": "nginx:1.27"}
    uuid = (await client.post("/applications/dockerimage", json=body)).json()["uuid"]
    changed = await client.patch(f"/applications/{uuid}", json={"docker_registry_image_tag": "1.28"})
    assert changed.json()["docker_registry_image_name"] == "nginx"
    assert changed.json()["docker_registry_image_tag"] == "1.28"
    own = await client.patch(f"/applications/{uuid}", json={"docker_registry_image_name": "seaway/caddy"})
    assert list(own.json()["errors"]) == ["docker_registry_image_name"]
    refused = await client.patch(f"/applications/{uuid}", json={"git_repository": "file:///a.git"})
    assert list(refused.json()["errors"]) == ["git_repository"]


async def test_a_built_image_is_pushed_where_its_application_says(
    seaway: Seaway, client: httpx.AsyncClient, application: dict[str, object]
) -> None:
    path = f"/applications/{application['uuid']}"
    name = "registry.example.com:5000/team/shop"
    for written, kept in (
        ({"docker_registry_image_name": name, "docker_registry_image_tag": "latest"}, (name, "latest")),
        ({"docker_registry_image_tag": ""}, (name, "")),
        ({"docker_registry_image_tag": "stable"}, (name, "stable")),
        ({"docker_registry_image_name": ""}, ("", "")),
    ):
        shown = (await client.patch(path, json=written)).json()
        assert (shown["docker_registry_image_name"] or "", shown["docker_registry_image_tag"] or "") == kept
        configuration = await seaway.store.applications.configuration(str(application["uuid"]))
        assert configuration.push == PushOptions(name=kept[0], tag=kept[1])
    body = {"docker_registry_image_name": name, "docker_registry_image_tag": "sha256:" + "a" * 64}
    refused = await client.patch(path, json=body)
    assert list(refused.json()["errors"]) == ["docker_registry_image_tag"]
