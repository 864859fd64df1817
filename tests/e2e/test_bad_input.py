"""What cannot work is refused at once, or its deployment fails and says what, where and what to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.e2e.applications import SOON_UNHEALTHY, Application, Stopwatch, brief, create
from tests.e2e.installation import Installation
from tests.e2e.sites import BASE
from tests.harness.load_report import LoadReport
from tests.harness.processes import refusing_port
from tests.harness.repositories import GitRepository

REFUSING_PORT = refusing_port()
FAILING = (
    f"FROM {BASE}\nWORKDIR /app\nCOPY . .\nRUN echo compiling && busybox compile --now\nCMD python3 app.py\n"
)
WRONG = "FROM seaway-test/python:1\nWORKDIR /app\nCOPPY . .\n"
AT_ONCE_SECONDS, AFTER_RETRIES_SECONDS = 45, 90


@dataclass(frozen=True)
class Mistake:
    """One wrong release after a right one: what is changed, and what its owner must be told."""

    code: str
    words: tuple[str, ...]
    change: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    remove: tuple[str, ...] = ()
    variables: Mapping[str, Any] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    mount: Mapping[str, Any] = field(default_factory=dict)
    evidence: tuple[str, ...] = ()
    limit_seconds: float = AT_ONCE_SECONDS


MISTAKES = {
    "an unknown branch": Mistake("unknown_revision", ("no-such-branch",), {"git_branch": "no-such-branch"}),
    "an unknown commit": Mistake("unknown_revision", ("abcdef1",), query={"commit": "abcdef1"}),
    "a commit that is nowhere": Mistake("unknown_revision", ("1" * 12,), query={"commit": "1" * 40}),
    "a repository that does not exist": Mistake(
        "repository_refused",
        ("no repository at", "/nowhere/else.git", "Check the address"),
        {"git_repository": "file:///nowhere/else.git"},
    ),
    "a Git server that refuses connections": Mistake(
        "source_unavailable",
        (f"127.0.0.1:{REFUSING_PORT}", "cannot be reached"),
        {"git_repository": f"http://127.0.0.1:{REFUSING_PORT}/owner/name.git"},
        limit_seconds=AFTER_RETRIES_SECONDS,
    ),
    "a Git server that nobody knows": Mistake(
        "source_unavailable",
        ("git.no-such-host.invalid", "cannot be reached"),
        {"git_repository": "https://git.no-such-host.invalid/owner/name.git"},
        limit_seconds=AFTER_RETRIES_SECONDS,
    ),
    "a repository without a Dockerfile": Mistake(
        "source_incomplete", ("no Dockerfile at 'Dockerfile'", "Add it"), remove=("Dockerfile",)
    ),
    "a base directory that is not there": Mistake(
        "source_incomplete", ("no base directory at 'services/api'",), {"base_directory": "/services/api"}
    ),
    "a Dockerfile with a wrong word": Mistake(
        "build_failed", ("line 3", "COPPY"), files={"Dockerfile": WRONG}, evidence=("COPPY",)
    ),
    "a build step that fails": Mistake(
        "build_failed",
        ("busybox compile --now", "exit code"),
        files={"Dockerfile": FAILING},
        evidence=("RUN echo compiling && busybox compile --now", "compile: applet not found"),
    ),
    "a stage that the Dockerfile does not have": Mistake(
        "build_failed", ("stage", "production"), {"dockerfile_target_build": "production"}
    ),
    "a port that nothing listens on": Mistake(
        "release_unhealthy",
        ("did not become healthy", "3001", "old version keeps serving"),
        {"health_check_port": "3001", **SOON_UNHEALTHY},
        evidence=("Probes:", "1. ", "20. ", "sample application: version v1 listens on 0.0.0.0:3000"),
    ),
    "a health path that answers 500": Mistake(
        "release_unhealthy",
        ("500",),
        SOON_UNHEALTHY,
        variables={"HEALTH_STATUS": "500"},
        evidence=("Probes:", "500", "listens on"),
    ),
    "a health path that hangs": Mistake(
        "release_unhealthy",
        ("did not become healthy", "no answer"),
        {**SOON_UNHEALTHY, "health_check_timeout": 0.3},
        variables={"HEALTH_HANG": "1"},
        evidence=("Probes:", "listens on"),
    ),
    "a health answer without the expected text": Mistake(
        "release_unhealthy",
        ("all is well",),
        {**SOON_UNHEALTHY, "health_check_response_text": "all is well"},
    ),
    "a health command that fails": Mistake(
        "release_unhealthy",
        ("did not become healthy", "health command ended with 9"),
        {
            "health_check_type": "cmd",
            "health_check_command": "echo not yet; exit 9",
            **SOON_UNHEALTHY,
        },
    ),
    "a container that exits at once": Mistake(
        "release_unhealthy",
        ("exit code 3",),
        variables={"EXIT_AT_ONCE": "1"},
        evidence=("exits at once because EXIT_AT_ONCE=1",),
    ),
    "a program that the image does not have": Mistake(
        "release_unhealthy",
        ("exit code 127", "not found in the image"),
        {"entrypoint": "no-such-program"},
        evidence=("no-such-program",),
    ),
    "a folder that the server does not have": Mistake(
        "replica_refused",
        ("/no/such/folder", "does not exist"),
        mount={"type": "persistent", "host_path": "/no/such/folder", "mount_path": "/data"},
    ),
    "more processors than there are": Mistake("replica_refused", ("CPU",), {"limits_cpuset": "4000"}),
    "a port of the host that is taken": Mistake(
        "replica_refused", ("port", "{proxy}", "already used"), {"ports_mappings": "{proxy}:3000"}
    ),
    "a registry that does not answer": Mistake(
        "registry_unavailable",
        (f"127.0.0.1:{REFUSING_PORT}/team/shop", "cannot be reached"),
        {"docker_registry_image_name": f"127.0.0.1:{REFUSING_PORT}/team/shop:1"},
        limit_seconds=AFTER_RETRIES_SECONDS,
    ),
}


@dataclass
class Outcome:
    """What a mistake led to."""

    shown: dict[str, Any]
    seconds: float
    load: LoadReport
    application: Application
    version: str
    containers: list[str]
    expected_containers: list[str]
    images: list[str]
    expected_images: list[str]
    log: str


@pytest.fixture(scope="module")
async def outcomes(
    seaway: Installation, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, asyncio.Task[Outcome]]]:
    """All mistakes at the same time, because most of each is waiting; a few at once on a small machine."""
    repository = GitRepository(tmp_path_factory.mktemp("bad-input"), "mistakes")
    repository.release("v1")
    branches = {}
    for number, (name, mistake) in enumerate(MISTAKES.items()):
        repository.switch("main")
        branches[name] = f"mistake-{number}"
        repository.branch(branches[name])
        repository.commit(mistake.files, remove=mistake.remove)
    slots = asyncio.Semaphore(6)

    async def make(name: str) -> Outcome:
        async with slots:
            return await outcome_of(seaway, repository, branches[name], MISTAKES[name])

    tasks = {name: asyncio.create_task(make(name)) for name in MISTAKES}
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


async def outcome_of(
    seaway: Installation, repository: GitRepository, branch: str, mistake: Mistake
) -> Outcome:
    """Releases what is right and then what is wrong, with visitors all the while."""
    if "docker_registry_image_name" in mistake.change:
        image = "seaway-test/sample-application:v1"
        application = await create(seaway, "dockerimage", docker_registry_image_name=image)
    else:
        application = await create(seaway, git_repository=repository.url, git_branch="main")
    await application.deploy()
    containers = sorted(one.id for one in await application.containers())
    images = await application.images()
    change = {
        name: value.format(proxy=seaway.ports.http) if isinstance(value, str) else value
        for name, value in mistake.change.items()
    }
    is_git = "docker_registry_image_name" not in change
    await application.change(**({"git_branch": branch} if is_git else {}) | change)
    if mistake.variables:
        await application.set_variables(**mistake.variables)
    if mistake.mount:
        await application.mount(**mistake.mount)
    async with application.load(10) as load:
        with Stopwatch() as watch:
            shown = await application.ended(
                await application.start_deploy(**mistake.query), mistake.limit_seconds + 30
            )
        version = await application.version()
    return Outcome(
        shown=shown,
        seconds=watch.seconds,
        load=load.report(),
        application=application,
        version=version,
        containers=sorted(one.id for one in await application.containers()),
        expected_containers=containers,
        images=await application.images(),
        expected_images=images,
        log=await application.log_of(shown["uuid"]),
    )


# The time of a test says little here: it waits for what runs at the same time as others.
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", MISTAKES)
async def test_a_mistake_fails_with_what_to_do_and_the_old_version_serves_on(seaway, outcomes, name):
    mistake, outcome = MISTAKES[name], await outcomes[name]
    shown, error = outcome.shown, outcome.shown["error"]
    stopped_first = "ports_mappings" in mistake.change
    assert shown["outcome"] == "failed", brief(shown)
    assert error["code"] == mistake.code, error
    told = error["message"]
    for word in mistake.words:
        assert word.format(proxy=seaway.ports.http) in told, told
    for word in mistake.evidence:
        assert word in error["detail"], error["detail"]
    assert outcome.seconds <= mistake.limit_seconds
    failed = [step for step in shown["steps"] if step["status"] == "failed"]
    [message] = [step["message"] for step in failed]
    # The deployment may add what visitors get now, which a step does not know.
    assert told in (
        message,
        f"{message} The old version keeps serving.",
        f"{message} The old version serves.",
    )
    assert not [step for step in shown["steps"] if step["status"] == "running"]
    assert outcome.version == "v1"
    if not stopped_first:
        outcome.load.assert_no_failures(5)
    assert outcome.containers == outcome.expected_containers
    assert outcome.images == outcome.expected_images
    assert not list((seaway.data / "builds").glob(f"{outcome.application.uuid}*"))


WRONG_FIELDS: dict[str, tuple[str, Any]] = {
    "a domain with a space": ("domains", "http://two words.example.com"),
    "a domain that ends the proxy's rule": ("domains", "http://a`) || Host(`b.example.com"),
    "a domain of another scheme": ("domains", "ftp://a.example.com"),
    "a domain whose path leads up": ("domains", "http://a.example.com/../x"),
    "an empty name": ("name", "   "),
    "a name that nobody can see": ("name", "a\u202eb"),
    "a name that is too long": ("name", "n" * 256),
    "port 0": ("ports_exposes", "0"),
    "port 65536": ("ports_exposes", "65536"),
    "a port in words": ("ports_exposes", "http"),
    "no port": ("ports_exposes", ""),
    "a mapping without a container port": ("ports_mappings", "8080"),
    "a mapping to no address": ("ports_mappings", "host:80:80"),
    "memory in words": ("limits_memory", "lots"),
    "memory below Docker's minimum": ("limits_memory", "1m"),
    "negative memory": ("limits_memory", "-5g"),
    "processors in words": ("limits_cpus", "two"),
    "no replica": ("replicas", 0),
    "too many replicas": ("replicas", 1000),
    "a repository that is an option": ("git_repository", "--upload-pack=touch /tmp/x"),
    "a repository that runs a command": ("git_repository", "ext::sh -c touch"),
    "a repository of another scheme": ("git_repository", "ftp://example.com/a.git"),
    "no repository": ("git_repository", ""),
    "a branch that is an option": ("git_branch", "--upload-pack=x"),
    "a branch with a shell's characters": ("git_branch", "a;reboot"),
    "a commit of two": ("git_commit_sha", "a..b"),
    "a directory above the repository": ("base_directory", "/../etc"),
    "a Dockerfile above the repository": ("dockerfile_location", "/../Dockerfile"),
    "a stage with a space": ("dockerfile_target_build", "two words"),
    "a build pack that is not there yet": ("build_pack", "nixpacks"),
    "a health path without a slash": ("health_check_path", "health"),
    "a health path with a line break": ("health_check_path", "/health\r\nX: y"),
    "a health status that HTTP does not have": ("health_check_return_code", 1000),
    "a health interval of nothing": ("health_check_interval", 0),
    "a command on two lines": ("release_command", "one\ntwo"),
    "a quote that never ends": ("start_command", "echo 'x"),
    "an alias with a space": ("custom_network_aliases", "two words"),
    "a label of Seaway's own": ("custom_labels", "seaway.application=x"),
    "a restart policy that is none": ("restart_policy", "sometimes"),
    "a field that does not exist": ("colour", "blue"),
    "a list where a text belongs": ("git_branch", ["main"]),
}


@pytest.mark.parametrize("name", WRONG_FIELDS)
async def test_a_wrong_field_is_refused_at_once_by_its_name(seaway, deployed_once, name):
    wrong, value = WRONG_FIELDS[name]
    before = len(await seaway.ask("GET", "/applications"))
    body = {
        "project_uuid": seaway.project,
        "server_uuid": seaway.server,
        "git_repository": "https://example.com/owner/name.git",
        "git_branch": "main",
        "build_pack": "dockerfile",
        "ports_exposes": "3000",
        wrong: value,
    }
    status, problem = await seaway.refused("POST", "/applications/public", json=body)
    assert (status, problem["code"]) == (422, "invalid_input"), problem
    assert list(problem["errors"]) == [wrong], problem
    assert problem["errors"][wrong][0].endswith((".", "?")), problem
    assert len(await seaway.ask("GET", "/applications")) == before
    path = f"/applications/{deployed_once.uuid}"
    unchanged = await seaway.ask("GET", path)
    status, problem = await seaway.refused("PATCH", path, json={wrong: value})
    assert (status, list(problem["errors"])) == (422, [wrong])
    assert await seaway.ask("GET", path) == unchanged


@pytest.fixture(scope="module")
async def deployed_once(seaway: Installation, tmp_path_factory: pytest.TempPathFactory) -> Application:
    """An application that serves, for what must not change it."""
    repository = GitRepository(tmp_path_factory.mktemp("taken"), "taken")
    repository.release("v1")
    application = await create(seaway, git_repository=repository.url, git_branch="main")
    await application.deploy()
    return application


@pytest.mark.parametrize(
    "reference", ["UPPER/case", "two words", "name:-tag", "a//b", "name@sha256:12", "-option"]
)
async def test_a_wrong_image_reference_is_refused_at_once(seaway, reference):
    body = {
        "project_uuid": seaway.project,
        "docker_registry_image_name": reference,
        "ports_exposes": "3000",
    }
    status, problem = await seaway.refused("POST", "/applications/dockerimage", json=body)
    assert (status, list(problem["errors"])) == (422, ["docker_registry_image_name"]), problem


async def test_a_domain_of_another_application_is_refused_and_its_owner_named(seaway, deployed_once):
    status, problem = await seaway.refused(
        "POST",
        "/applications/dockerimage",
        json={
            "project_uuid": seaway.project,
            "docker_registry_image_name": "seaway-test/sample-application",
            "ports_exposes": "3000",
            "domains": f"https://{deployed_once.host.upper()}/",
        },
    )
    assert (status, problem["code"]) == (409, "domain_taken")
    (conflict,) = problem["conflicts"]
    assert conflict["resource_name"] == deployed_once.name
    assert conflict["domain"] == deployed_once.host
    assert await deployed_once.version() == "v1"


@pytest.mark.parametrize(
    ("path", "body", "wrong"),
    [
        ("envs", {"key": "1ST", "value": "x"}, "key"),
        ("envs", {"key": "A B", "value": "x"}, "key"),
        ("envs", {"key": "A", "value": "x\0y"}, "value"),
        ("envs", {"key": "A", "value": "x" * 200_000}, "value"),
        ("storages", {"type": "persistent", "name": "a/b", "mount_path": "/data"}, "name"),
        ("storages", {"type": "persistent", "name": "data", "mount_path": "data"}, "mount_path"),
        ("storages", {"type": "persistent", "name": "data", "mount_path": "/"}, "mount_path"),
        ("storages", {"type": "persistent", "host_path": "/../etc", "mount_path": "/etc"}, "host_path"),
        ("scale", {"replicas": 0}, "replicas"),
        ("rollback", {}, "commit"),
    ],
)
async def test_wrong_parts_of_an_application_are_refused_at_once(seaway, deployed_once, path, body, wrong):
    status, problem = await seaway.refused("POST", f"/applications/{deployed_once.uuid}/{path}", json=body)
    assert (status, list(problem["errors"])) == (422, [wrong]), problem


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("GET", "/applications/nothing", None, 404),
        ("GET", "/applications/..%2f..%2fetc", None, 404),
        ("GET", "/deployments/" + "a" * 24, None, 404),
        ("POST", "/deploy?uuid=" + "a" * 24, None, 404),
        ("POST", "/deploy", None, 422),
        ("POST", "/applications/public", b"{", 400),
        ("POST", "/applications/public", b"[]", 422),
        ("POST", "/applications/public", b"\xff\xfe", 400),
        ("PUT", "/applications", None, 405),
    ],
)
async def test_requests_that_make_no_sense_are_answered_plainly(seaway, method, path, content, status):
    answered, problem = await seaway.refused(
        method, path, content=content, headers={"Content-Type": "application/json"}
    )
    assert answered == status, problem
    assert set(problem) <= {"message", "code", "errors"}


async def test_nobody_gets_in_without_a_token_or_with_a_wrong_one(seaway):
    for headers in ({"Authorization": ""}, {"Authorization": "Bearer 1|wrong"}):
        status, problem = await seaway.refused("GET", "/applications", headers=headers)
        assert (status, problem["code"]) == (401, "unauthenticated")
