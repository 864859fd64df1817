from __future__ import annotations

import json

import pytest

from tests.unit.cli.conftest import Run
from tests.unit.cli.stub_seaway import (
    APPLICATION,
    KEY,
    PROJECT,
    SERVER,
    StubSeaway,
    application,
    problem,
)

ENVIRONMENTS = f"/projects/{PROJECT}/environments"


@pytest.fixture
def empty(seaway: StubSeaway) -> StubSeaway:
    """A Seaway with one server and nothing else."""
    seaway.on("GET", "/servers", [{"uuid": SERVER, "name": "local", "is_coolify_host": True}])
    seaway.on("GET", "/projects", [])
    seaway.on("POST", "/projects", {"uuid": PROJECT})
    seaway.on("GET", ENVIRONMENTS, [{"name": "production", "uuid": "e" * 24}])
    seaway.on("POST", ENVIRONMENTS, {"uuid": "f" * 24})
    for kind in ("public", "private-deploy-key", "dockerimage"):
        seaway.on("POST", f"/applications/{kind}", application())
    return seaway


def test_an_application_from_a_repository_gets_everything_that_was_said(empty: StubSeaway, run: Run) -> None:
    result = run(
        "app", "create", "demo", "--repo", "https://git.example.com/demo.git", "--branch", "main",
        "--domain", "https://a.example.com", "--domain", "https://b.example.com/api", "--port", "8080",
        "--dockerfile", "/docker/Dockerfile", "--base-directory", "/src", "--target-stage", "run",
        "--health-path", "/up", "--replicas", "2", "--memory", "512m", "--cpus", "0.5",
        "--release-command", "migrate", "--pre-deploy", "before", "--post-deploy", "after",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert empty.body("POST", "/applications/public") == {
        "name": "demo",
        "project_uuid": PROJECT,
        "environment_name": "production",
        "server_uuid": SERVER,
        "git_repository": "https://git.example.com/demo.git",
        "git_branch": "main",
        "build_pack": "dockerfile",
        "domains": "https://a.example.com,https://b.example.com/api",
        "ports_exposes": "8080",
        "dockerfile_location": "/docker/Dockerfile",
        "base_directory": "/src",
        "dockerfile_target_build": "run",
        "health_check_path": "/up",
        "replicas": 2,
        "limits_memory": "512m",
        "limits_cpus": "0.5",
        "release_command": "migrate",
        "pre_deployment_command": "before",
        "post_deployment_command": "after",
    }
    assert empty.body("POST", "/projects") == {"name": "default", "description": ""}
    assert f"Created demo ({APPLICATION})" in result.stdout


def test_a_static_site_and_a_deploy_key(empty: StubSeaway, run: Run) -> None:
    empty.on("GET", "/security/keys", [{"uuid": KEY, "name": "deploy"}])
    result = run(
        "app", "create", "site", "--repo", "git@git.example.com:site.git", "--deploy-key", "deploy",
        "--build-pack", "static", "--publish-directory", "/dist", "--spa", "--build-server",
        "--push-to", "ghcr.io/acme/site", "--push-tag", "latest",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    body = empty.body("POST", "/applications/private-deploy-key")
    assert body["private_key_uuid"] == KEY
    assert (body["build_pack"], body["publish_directory"], body["is_spa"]) == ("static", "/dist", True)
    assert body["use_build_server"] is True
    pushed = (body["docker_registry_image_name"], body["docker_registry_image_tag"])
    assert pushed == ("ghcr.io/acme/site", "latest")


def test_an_application_from_an_image_in_a_new_environment(empty: StubSeaway, run: Run) -> None:
    empty.on("GET", "/projects", [{"uuid": PROJECT, "name": "shop"}])
    result = run(
        "app", "create", "web", "--image", "example/web:1", "--project", "shop", "--environment", "staging"
    )
    assert result.exit_code == 0, result.output
    body = empty.body("POST", "/applications/dockerimage")
    assert body["docker_registry_image_name"] == "example/web:1"
    assert "build_pack" not in body
    assert empty.body("POST", ENVIRONMENTS) == {"name": "staging"}
    assert not empty.sent("POST", "/projects")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--repo", "https://a/b.git", "--image", "c"),
        ("--image", "c", "--branch", "main"),
        ("--image", "c", "--push-to", "d"),
        ("--image", "c", "--build-server"),
        ("--repo", "https://a/b.git", "--env", "NOT_SET_ANYWHERE"),
        ("--repo", "https://a/b.git", "--env", "=x"),
        ("--repo", "https://a/b.git", "--port", "70000"),
        ("--repo", "https://a/b.git", "--build-pack", "magic"),
    ],
)
def test_what_cannot_be_an_application_is_refused_before_anything_is_sent(
    arguments: tuple[str, ...], empty: StubSeaway, run: Run
) -> None:
    assert run("app", "create", "demo", *arguments).exit_code == 2
    assert empty.requests == []


def test_nothing_is_made_for_a_server_that_does_not_exist(empty: StubSeaway, run: Run) -> None:
    result = run("app", "create", "demo", "--image", "c", "--server", "nowhere")
    assert result.exit_code == 5
    assert [request.method for request in empty.requests] == ["GET"]


def test_variables_are_set_with_the_application(
    empty: StubSeaway, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FROM_HERE", "secret")
    empty.on("PATCH", f"/applications/{APPLICATION}/envs/bulk", [])
    result = run("app", "create", "demo", "--image", "c", "--env", "A=b=c", "--env", "FROM_HERE")
    assert result.exit_code == 0, result.output
    assert empty.body("PATCH", f"/applications/{APPLICATION}/envs/bulk") == {
        "data": [{"key": "A", "value": "b=c"}, {"key": "FROM_HERE", "value": "secret"}]
    }


def test_variables_that_are_refused_leave_an_application_that_is_named(empty: StubSeaway, run: Run) -> None:
    refusal = problem(422, "Validation failed.", "invalid_input", errors={"data.0.key": ["Not a name."]})
    empty.on("PATCH", f"/applications/{APPLICATION}/envs/bulk", refusal)
    result = run("app", "create", "demo", "--image", "c", "--env", "1=2")
    assert result.exit_code == 2
    assert f"demo ({APPLICATION}) was created, but its variables were not set" in result.stderr
    assert "data.0.key: Not a name." in result.stderr


def test_a_domain_that_is_taken_is_said_with_its_holder(empty: StubSeaway, run: Run) -> None:
    taken = "a.example.com is already in use by the application 'other'."
    conflict = problem(409, "Taken.", "domain_taken", conflicts=[{"message": taken}])
    empty.on("POST", "/applications/dockerimage", conflict)
    result = run("app", "create", "demo", "--image", "c", "--domain", "http://a.example.com")
    assert result.exit_code == 2
    assert taken in result.stderr


def test_an_ambiguous_name_lists_the_candidates(seaway: StubSeaway, run: Run) -> None:
    seaway.on("GET", "/applications", [application(), application(uuid="b" * 24, fqdn="http://b.test")])
    result = run("app", "show", "demo")
    assert result.exit_code == 2
    for text in ("There are 2 applications named 'demo'", APPLICATION, "b" * 24, "http://b.test"):
        assert text in result.stderr


def test_a_uuid_names_an_application_without_a_list(seaway: StubSeaway, run: Run) -> None:
    assert run("app", "show", APPLICATION).exit_code == 0
    assert not seaway.sent("GET", "/applications")


def test_a_list_in_a_pipe_is_not_cut(seaway: StubSeaway, run: Run) -> None:
    long_url = f"http://{'x' * 200}.example.com"
    seaway.on("GET", "/applications", [application(urls=[long_url])])
    result = run("app", "list")
    assert long_url in result.stdout
    assert APPLICATION in result.stdout


def test_a_list_says_which_servers_are_behind(seaway: StubSeaway, run: Run) -> None:
    servers = [
        {"uuid": SERVER, "name": name, "is_behind": name != "east"} for name in ("east", "north", "west")
    ]
    seaway.on("GET", "/applications", [application(servers=servers)])

    result = run("app", "list")

    assert "(behind: north, west)" in result.stdout
    assert "east" not in result.stdout


def test_every_listing_has_json_as_the_api_sent_it(seaway: StubSeaway, run: Run) -> None:
    assert json.loads(run("app", "list", "--json").stdout) == [application()]
    assert json.loads(run("app", "show", "demo", "--json").stdout) == application()


def test_fields_are_set_by_short_or_full_name_as_what_they_are(seaway: StubSeaway, run: Run) -> None:
    seaway.on("PATCH", f"/applications/{APPLICATION}", application())
    result = run(
        "app", "set", "demo", "domain=http://a.test", "domain=http://b.test", "spa=yes", "replicas=3",
        "port=8080", "health_check_return_code=204", "memory=1g",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert seaway.body("PATCH", f"/applications/{APPLICATION}") == {
        "domains": "http://a.test,http://b.test",
        "is_spa": True,
        "replicas": 3,
        "ports_exposes": "8080",
        "health_check_return_code": "204",
        "limits_memory": "1g",
    }


@pytest.mark.parametrize(
    ("assignment", "text"),
    [
        ("helth_check_path=/", "Did you mean 'health_check_path'"),
        ("replicas=many", "replicas must be a number"),
        ("spa=perhaps", "is_spa must be true or false"),
        ("replicas", "Write replicas=VALUE"),
    ],
)
def test_a_wrong_field_is_refused_before_anything_is_changed(
    assignment: str, text: str, seaway: StubSeaway, run: Run
) -> None:
    result = run("app", "set", "demo", assignment)
    assert result.exit_code == 2
    assert text in result.stderr
    assert not [request for request in seaway.requests if request.method == "PATCH"]
