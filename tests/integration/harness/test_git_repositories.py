"""Git's own client reads the harness's repositories by file, SSH and HTTP, or is refused."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import pytest

from tests.harness.git_over_ssh import GitSshServer, generate_key
from tests.harness.repositories import ISOLATION, GitRepository, serve_http, serve_ssh


def test_a_release_changes_the_version_alone_and_each_has_a_commit(git_repository: GitRepository) -> None:
    first = git_repository.head

    second = git_repository.release("v2")

    assert second == git_repository.head != first
    assert git_repository.git("diff", "--name-only", first, second) == "VERSION"
    assert remote_refs(git_repository.url) == {"HEAD": second, "refs/heads/main": second}


def test_branches_and_tags_reach_the_bare_repository(
    make_git_repository: Callable[[str], GitRepository],
) -> None:
    repository = make_git_repository("branches")
    first = repository.commit({"README": "one", "docs/page.md": b"two"}, "First")
    repository.tag("1.0", "the first")
    repository.branch("feature")
    second = repository.commit({"README": "changed"}, remove=["docs"])
    repository.switch("main")

    refs = remote_refs(repository.url)
    assert (refs["refs/heads/main"], refs["refs/heads/feature"]) == (first, second)
    assert refs["refs/tags/1.0^{}"] == first
    assert repository.git("ls-tree", "-r", "--name-only", second) == "README"

    repository.delete_branch("feature")
    assert "refs/heads/feature" not in remote_refs(repository.url)


def test_a_deploy_key_clones_over_ssh(git_repository: GitRepository, tmp_path: Path) -> None:
    with serve_ssh(tmp_path / "ssh") as server:
        command = ssh_command(server, server.private_key_path, tmp_path)

        refs = remote_refs(server.url(git_repository.bare), GIT_SSH_COMMAND=command)

    assert refs["refs/heads/main"] == git_repository.head


def test_an_unknown_key_is_refused_over_ssh_until_it_is_authorized(
    git_repository: GitRepository, tmp_path: Path
) -> None:
    _, public_key = generate_key(tmp_path / "other_key")
    with serve_ssh(tmp_path / "ssh") as server:
        command = ssh_command(server, tmp_path / "other_key", tmp_path)
        with pytest.raises(AssertionError, match="Permission denied"):
            remote_refs(server.url(git_repository.bare), GIT_SSH_COMMAND=command)

        server.authorize(public_key)
        assert remote_refs(server.url(git_repository.bare), GIT_SSH_COMMAND=command)

        server.revoke_all()
        with pytest.raises(AssertionError, match="Permission denied"):
            remote_refs(server.url(git_repository.bare), GIT_SSH_COMMAND=command)


def test_a_deploy_key_runs_nothing_but_git(tmp_path: Path) -> None:
    with serve_ssh(tmp_path / "ssh") as server:
        argv = ssh_command(server, server.private_key_path, tmp_path).split()
        done = subprocess.run(
            [*argv, "-p", str(server.port), f"{server.user}@127.0.0.1", "id"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    assert done.returncode != 0
    assert "uid=" not in done.stdout


def test_a_clone_over_http_needs_the_password(git_repository: GitRepository, tmp_path: Path) -> None:
    folder = git_repository.bare.parent
    with serve_http(folder, user="reader", password="p@ss/word") as server:
        with pytest.raises(AssertionError, match=r"could not read Username|Authentication failed"):
            remote_refs(server.url(git_repository.bare))

        copy = tmp_path / "copy"
        run_git("clone", "--quiet", server.url(git_repository.bare, credentials=True), str(copy))
        assert (copy / "VERSION").read_text() == "v1\n"

        server.refuse_with = HTTPStatus.SERVICE_UNAVAILABLE
        with pytest.raises(AssertionError, match="503"):
            remote_refs(server.url(git_repository.bare, credentials=True))
    assert any("git-upload-pack" in request for request in server.requests)


def test_a_clone_over_http_without_a_password_is_served_to_everybody(
    git_repository: GitRepository, tmp_path: Path
) -> None:
    with serve_http(git_repository.bare.parent) as server:
        assert remote_refs(server.url(git_repository.bare))["HEAD"] == git_repository.head
        with pytest.raises(AssertionError, match="not found"):
            remote_refs(server.url(git_repository.bare.with_name("missing.git")))


def ssh_command(server: GitSshServer, key: Path, folder: Path) -> str:
    """A command line of `ssh` that trusts this server alone and uses this key alone."""
    known_hosts = folder / "known_hosts"
    known_hosts.write_text(f"{server.known_hosts_line}\n")
    return (
        f"ssh -F none -i {key} -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=yes "
        f"-o UserKnownHostsFile={known_hosts}"
    )


def remote_refs(url: str, **environment: str) -> dict[str, str]:
    """Commit ids by the names of refs."""
    lines = run_git("ls-remote", "--quiet", url, **environment).splitlines()
    return {name: commit for commit, name in (line.split("\t") for line in lines)}


def run_git(*arguments: str, **environment: str) -> str:
    """Runs Git without the user's settings; AssertionError with what it said."""
    done = subprocess.run(
        ["git", *arguments],
        env={**os.environ, **ISOLATION, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
