"""Where applications come from: every kind of repository and image that can be named."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import subprocess
from collections.abc import AsyncIterator
from io import BytesIO
from uuid import uuid4

import docker
import httpx
import pytest

from tests.harness.images import ensure_sample_application_image
from tests.harness.processes import ManagedProcess, free_port
from tests.harness.repositories import GitRepository, serve_http, serve_ssh
from tests.harness.waiting import eventually

SHOW_A_FILE = """\
FROM seaway-test/python:1
WORKDIR /www
COPY . .
CMD ["busybox", "httpd", "-f", "-p", "3000", "-h", "/www"]
"""


async def test_a_branch_a_tag_and_a_commit_are_deployed_each_by_its_name(new_application, git_repository):
    first = git_repository.head
    git_repository.tag("release-2", message="annotated")
    second = git_repository.release("v2")
    git_repository.branch("feature/slash")
    git_repository.release("v3")
    application = await new_application(git_branch="main")
    assert (await application.deploy())["commit"] == second
    assert await application.version() == "v2"
    for query, version in (
        ({"branch": "feature/slash"}, "v3"),
        ({"branch": "release-2"}, "v1"),
        ({"commit": second}, "v2"),
        ({"commit": first[:9]}, "v1"),
    ):
        shown = await application.deploy(**query)
        assert await application.version() == version, query
        assert shown["commit"].startswith(query.get("commit", ""))
    pinned = await new_application(git_commit_sha=first)
    assert (await pinned.deploy())["commit"] == first


async def test_a_sub_directory_is_built_alone(new_application, git_repository):
    git_repository.commit(
        {"services/site/Dockerfile": SHOW_A_FILE, "services/site/index.html": "from below", "secret.txt": "x"}
    )
    application = await new_application(base_directory="/services/site", health_check_path="/index.html")
    await application.deploy()
    assert await application.version() == "from below"
    assert (await application.get("/secret.txt")).status_code == 404
    assert (await application.get("/services/site/index.html")).status_code == 404


async def test_submodules_are_part_of_the_source(new_application, make_git_repository):
    library, application_source = make_git_repository("library"), make_git_repository("with-submodule")
    library.commit({"text.txt": "from the submodule"})
    application_source.commit({"Dockerfile": SHOW_A_FILE, "index.html": "x"})
    application_source.git("-c", "protocol.file.allow=always", "submodule", "add", library.url, "library")
    application_source.commit({}, "With a submodule")
    application = await new_application(
        git_repository=application_source.url, health_check_path="/index.html"
    )
    await application.deploy()
    assert (await application.get("/library/text.txt")).text == "from the submodule"


async def test_large_files_are_fetched_and_not_their_pointers(new_application, tmp_path):
    repository = GitRepository(tmp_path / "lfs", "large")
    repository.git("lfs", "install", "--local")
    content = bytes(range(256)) * 4096
    repository.commit(
        {
            ".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n",
            "large.bin": content,
            "Dockerfile": SHOW_A_FILE,
            "index.html": "x",
        }
    )
    pointer = repository.git("cat-file", "-p", "HEAD:large.bin")
    assert pointer.startswith("version https://git-lfs")
    application = await new_application(git_repository=repository.url, health_check_path="/index.html")
    await application.deploy()
    served = (await application.get("/large.bin")).content
    assert hashlib.sha256(served).digest() == hashlib.sha256(content).digest()


async def test_a_private_repository_is_read_over_ssh_with_its_deploy_key_and_with_no_other(
    seaway, new_application, git_repository, tmp_path
):
    with serve_ssh(tmp_path / "ssh") as server:
        other = tmp_path / "other"
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)]
        await asyncio.to_thread(subprocess.run, argv, check=True)
        right = await seaway.ask(
            "POST", "/security/keys", json={"name": "deploy", "private_key": server.private_key}
        )
        wrong = await seaway.ask(
            "POST", "/security/keys", json={"name": "other", "private_key": other.read_text()}
        )
        assert right["public_key"].split()[:2] == server.public_key.split()[:2]
        application = await new_application(
            "private-deploy-key",
            git_repository=server.url(git_repository.bare),
            git_branch="main",
            private_key_uuid=wrong["uuid"],
        )
        failed = await application.fail(30)
        assert failed["error"]["code"] == "repository_refused"
        assert "deploy key" in failed["error"]["message"]
        await application.change(private_key_uuid=right["uuid"])
        await application.deploy()
        assert await application.version() == "v1"
        status, problem = await seaway.refused("DELETE", f"/security/keys/{right['uuid']}")
        assert (status, problem["code"]) == (422, "invalid_input")


async def test_a_password_in_the_address_opens_a_repository_and_is_never_shown(
    seaway, new_application, git_repository, secret_value
):
    password = secret_value()
    with serve_http(git_repository.bare.parent, "robot", password) as server:
        application = await new_application(git_repository=server.url(git_repository.bare, credentials=True))
        shown = await application.deploy()
        assert await application.version() == "v1"
        assert password not in str(shown)
        assert password not in await application.log_of(shown["uuid"])
        without = await new_application(git_repository=server.url(git_repository.bare))
        error = (await without.fail(30))["error"]
        assert error["code"] == "repository_refused"
        assert "user name" in error["message"]


@pytest.fixture(scope="module")
async def registry(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The address of a registry on the loopback, which engines trust without TLS."""
    folder, port = tmp_path_factory.mktemp("registry"), free_port()
    program = shutil.which("docker-registry")
    assert program, "the tests need docker-registry (scripts/system-packages installs it)"
    configuration = folder / "config.yml"
    configuration.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
        f'http: {{addr: "127.0.0.1:{port}"}}\n'
    )
    with ManagedProcess([program, "serve", str(configuration)], log_path=folder / "log"):

        async def answers() -> bool:
            async with httpx.AsyncClient(trust_env=False) as client:
                return (await client.get(f"http://127.0.0.1:{port}/v2/")).status_code == 200

        await eventually(answers, ignored=(httpx.HTTPError,))
        yield f"127.0.0.1:{port}"


def push(engine: docker.DockerClient, version: str, reference: str) -> str:
    """Pushes the sample application and forgets it here; the digest."""
    image = engine.images.get(ensure_sample_application_image(engine, version))
    image.tag(reference)
    pushed = [
        line["aux"] for line in engine.images.push(reference, stream=True, decode=True) if "aux" in line
    ]
    engine.images.remove(reference)
    return str(pushed[0]["Digest"])


async def test_a_prebuilt_image_is_run_by_tag_and_by_digest(new_application, engine, registry):
    digest = await asyncio.to_thread(push, engine, "v1", f"{registry}/team/shop:1")
    await asyncio.to_thread(push, engine, "v2", f"{registry}/team/shop:2")
    application = await new_application(
        "dockerimage", docker_registry_image_name=f"{registry}/team/shop", docker_registry_image_tag="2"
    )
    await application.deploy()
    assert await application.version() == "v2"
    await application.change(docker_registry_image_name=f"{registry}/team/shop@{digest}")
    await application.deploy()
    assert await application.version() == "v1"
    await application.change(docker_registry_image_name=f"{registry}/team/shop:3")
    error = (await application.fail(20))["error"]
    assert error["code"] == "image_not_found"
    assert f"{registry}/team/shop:3" in error["message"]
    assert await application.version() == "v1"
    listed = await asyncio.to_thread(engine.api.images)
    names = [name for one in listed for name in (*(one["RepoTags"] or ()), *(one["RepoDigests"] or ()))]
    assert [name for name in names if name.startswith(registry)] == []


def push_new(engine: docker.DockerClient, version: str, reference: str) -> None:
    """Pushes an image of which nothing is left here."""
    base = ensure_sample_application_image(engine, version)
    dockerfile = BytesIO(f"FROM {base}\nLABEL only={uuid4().hex}\n".encode())
    engine.images.build(fileobj=dockerfile, tag=reference, rm=True)
    for line in engine.images.push(reference, stream=True, decode=True):
        assert "error" not in line, line
    engine.images.remove(reference)


async def test_a_prebuilt_image_that_is_not_kept_leaves_the_disk_unless_somebody_else_has_it(
    new_application, engine, registry
):
    versions = ("v1", "v2", "v1")
    names = [f"{registry}/team/kept:{number}" for number in range(len(versions))]
    for version, name in zip(versions, names, strict=True):
        await asyncio.to_thread(push_new, engine, version, name)
    theirs = await asyncio.to_thread(engine.images.pull, names[1])
    application = await new_application("dockerimage", docker_registry_image_name=names[0])
    await application.change(docker_images_to_keep=1)
    deployed = []
    for version, name in zip(versions, names, strict=True):
        await application.change(docker_registry_image_name=name)
        shown = await application.deploy()
        assert await application.version() == version
        deployed.append((await asyncio.to_thread(engine.images.get, shown["image"])).id)
    assert await application.images() == [shown["image"]]
    present = {one["Id"] for one in await asyncio.to_thread(engine.api.images)}
    assert [one in present for one in deployed] == [False, True, True]
    await asyncio.to_thread(theirs.reload)
    assert (theirs.id, theirs.tags) == (deployed[1], [names[1]])
    await asyncio.to_thread(engine.images.remove, names[1])


async def test_an_image_that_only_the_server_has_is_run(new_application, engine):
    reference = await asyncio.to_thread(ensure_sample_application_image, engine, "v1")
    name, _, tag = reference.partition(":")
    application = await new_application(
        "dockerimage", docker_registry_image_name=name, docker_registry_image_tag=tag
    )
    shown = await application.deploy()
    assert await application.version() == "v1"
    assert "copy on the server" in await application.log_of(shown["uuid"])
