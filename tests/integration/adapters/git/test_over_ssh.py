"""Repositories behind a real SSH server."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from adapters.git import GitCredential, GitMirrors
from domain.errors import RepositoryRefused
from tests.integration.adapters.git.git_calls import check_out, files, resolve
from tests.integration.adapters.git_servers import (
    Repository,
    SshServer,
    new_key,
    ssh_server,
)

pytestmark = pytest.mark.integration


class TestSsh:
    """Deploy keys, against a real sshd."""

    async def test_a_deploy_key_reads_the_repository_and_is_nowhere_afterwards(
        self, mirrors: GitMirrors, repository: Repository, server: SshServer, tmp_path: Path
    ) -> None:
        key = GitCredential(private_key=SecretStr(server.private_key), id="key")
        url = server.url(repository.path)
        commit = await resolve(mirrors, url, credential=key)
        tree = await check_out(mirrors, url, commit, tmp_path / "tree", key)
        assert files(tree) == {"app.txt": "one"}
        secret = server.private_key.splitlines()[2]
        everything = [path for path in (tmp_path / "mirrors").rglob("*") if path.is_file()]
        assert everything
        assert not any(secret.encode() in path.read_bytes() for path in everything)

    async def test_a_key_with_windows_line_ends_works(
        self, mirrors: GitMirrors, repository: Repository, server: SshServer
    ) -> None:
        text = server.private_key.strip().replace("\n", "\r\n")
        key = GitCredential(private_key=SecretStr(text))
        assert await resolve(mirrors, server.url(repository.path), credential=key)

    async def test_without_the_right_key_access_is_refused(
        self, mirrors: GitMirrors, repository: Repository, server: SshServer, tmp_path: Path
    ) -> None:
        wrong = GitCredential(private_key=SecretStr(new_key(tmp_path / "wrong").read_text()))
        for credential in [None, wrong, GitCredential(private_key=SecretStr("no key at all"))]:
            with pytest.raises(RepositoryRefused, match=r"refused access to ssh://.*deploy key"):
                await resolve(mirrors, server.url(repository.path), credential=credential)

    async def test_a_missing_repository_is_told_from_a_refused_key(
        self, mirrors: GitMirrors, server: SshServer, tmp_path: Path
    ) -> None:
        key = GitCredential(private_key=SecretStr(server.private_key))
        with pytest.raises(RepositoryRefused, match="There is no repository at"):
            await resolve(mirrors, server.url(tmp_path / "nothing"), credential=key)

    async def test_a_host_key_is_pinned_at_first_contact_and_a_changed_one_refused(
        self, mirrors: GitMirrors, repository: Repository, tmp_path: Path
    ) -> None:
        async with ssh_server(tmp_path / "honest") as honest:
            key = GitCredential(private_key=SecretStr(honest.private_key))
            await resolve(mirrors, honest.url(repository.path), credential=key)
        async with ssh_server(tmp_path / "impostor", honest.port) as impostor:
            with pytest.raises(RepositoryRefused, match=r"host key of 127\.0\.0\.1 is not the one"):
                await resolve(mirrors, impostor.url(repository.path), credential=key)

    async def test_given_host_keys_are_the_only_ones_accepted(
        self, mirrors: GitMirrors, repository: Repository, server: SshServer, tmp_path: Path
    ) -> None:
        name = f"[127.0.0.1]:{server.port} "
        other = (new_key(tmp_path / "other").with_suffix(".pub")).read_text()
        private_key = SecretStr(server.private_key)
        right = GitCredential(private_key=private_key, known_hosts=name + server.public_host_key)
        wrong = GitCredential(private_key=private_key, known_hosts=name + other)
        assert await resolve(mirrors, server.url(repository.path), credential=right)
        with pytest.raises(RepositoryRefused, match="host key"):
            await resolve(mirrors, server.url(repository.path), credential=wrong)
