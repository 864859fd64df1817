"""Repositories behind a web server."""

from __future__ import annotations

import socket
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from adapters.git import GitCredential, GitMirrors
from domain.errors import RepositoryRefused, SourceUnavailable
from tests.integration.adapters.git.git_calls import check_out, files, resolve
from tests.integration.adapters.git_servers import (
    WebServer,
    web_server,
)

pytestmark = pytest.mark.integration


class TestWeb:
    """Passwords and tokens, and servers that are unwell."""

    async def test_a_password_opens_the_repository_and_stands_in_no_mirror(
        self, mirrors: GitMirrors, web: WebServer, tmp_path: Path
    ) -> None:
        web.users = {"robot": "t0ken-of-robot"}
        plain = web.url("app.git")
        embedded = plain.replace("http://", "http://robot:t0ken-of-robot@")
        credential = GitCredential(username="robot", password=SecretStr("t0ken-of-robot"))
        commit = await resolve(mirrors, plain, credential=credential)
        assert await resolve(mirrors, embedded) == commit
        assert files(await check_out(mirrors, embedded, commit, tmp_path / "tree")) == {"app.txt": "one"}
        for path in (tmp_path / "mirrors").rglob("*"):
            assert not path.is_file() or b"t0ken-of-robot" not in path.read_bytes()

    async def test_a_secret_never_stands_in_an_argument(
        self, mirrors: GitMirrors, web: WebServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        web.users = {"robot": "t0ken-of-robot"}
        seen: list[bytes] = []

        def look(_: str) -> None:
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.append(path.read_bytes())
                except (FileNotFoundError, ProcessLookupError):
                    continue

        web.answer = look
        await resolve(mirrors, web.url("app.git").replace("http://", "http://robot:t0ken-of-robot@"))
        assert any(b"ls-remote" in line for line in seen)
        assert not any(b"t0ken-of-robot" in line for line in seen)

    @pytest.mark.parametrize("password", ["wrong", None])
    async def test_a_wrong_or_missing_password_is_refused(
        self, mirrors: GitMirrors, web: WebServer, password: str | None
    ) -> None:
        web.users = {"robot": "t0ken"}
        credential = password and GitCredential(username="robot", password=SecretStr(password))
        with pytest.raises(RepositoryRefused, match=r"refused access to http://127\.0"):
            await resolve(mirrors, web.url("app.git"), credential=credential or None)

    async def test_a_missing_repository_is_refused(self, mirrors: GitMirrors, web: WebServer) -> None:
        with pytest.raises(RepositoryRefused, match="There is no repository at"):
            await resolve(mirrors, web.url("nothing.git"))

    async def test_a_redirect_to_another_server_never_gets_the_password(
        self, mirrors: GitMirrors, web: WebServer, tmp_path: Path
    ) -> None:
        web.users = {"robot": "t0ken"}
        with web_server(tmp_path / "web") as other:
            other.users = {"robot": "t0ken"}
            web.answer = lambda path: (302, f"http://127.0.0.1:{other.port}{path}")
            credential = GitCredential(username="robot", password=SecretStr("t0ken"))
            with pytest.raises(RepositoryRefused):
                await resolve(mirrors, web.url("app.git"), credential=credential)
            assert other.asked
            assert not any(authorization for _, authorization in other.asked)

    async def test_a_server_in_trouble_may_be_asked_again(self, mirrors: GitMirrors, web: WebServer) -> None:
        web.answer = lambda _: (503, "")
        with pytest.raises(SourceUnavailable, match="cannot be reached at the moment"):
            await resolve(mirrors, web.url("app.git"))
        web.answer = lambda _: None
        assert await resolve(mirrors, web.url("app.git"))

    @pytest.mark.parametrize(
        "url",
        ["http://127.0.0.1:1/a.git", "https://no-such-host.invalid/a.git", "ssh://git@127.0.0.1:1/a.git",
         "git@no-such-host.invalid:a.git", "git://127.0.0.1:1/a.git"],
    )  # fmt: skip
    async def test_an_unreachable_server_may_be_asked_again(self, mirrors: GitMirrors, url: str) -> None:
        with pytest.raises(SourceUnavailable, match="cannot be reached at the moment"):
            await resolve(mirrors, url)

    async def test_a_server_that_never_answers_is_given_up(self, tmp_path: Path) -> None:
        mirrors = GitMirrors(tmp_path / "mirrors", answer_limit=timedelta(seconds=0.5))
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}/a.git"
            with pytest.raises(SourceUnavailable, match=r"did not answer within 0\.5 s"):
                await resolve(mirrors, url)
