"""Repositories and revisions: what Git may be handed, and what a name means in a repository."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidInput
from domain.git_references import (
    RepositoryScheme,
    choose_commit,
    is_full_commit,
    parse_ls_remote,
    parse_repository,
    validate_revision,
)

A, B, C = "a" * 40, "b" * 40, "c" * 40


@pytest.mark.parametrize(
    ("text", "url", "scheme", "host", "port", "path"),
    [
        ("git@github.com:a/b.git", "git@github.com:a/b.git", "ssh", "github.com", 22, "a/b.git"),
        (
            "git@git.domain.com:766/group/project.git",
            "ssh://git@git.domain.com:766/group/project.git",
            "ssh",
            "git.domain.com",
            766,
            "/group/project.git",
        ),
        (
            "ssh://git@[2001:db8::10]:22222/group/project.git",
            "ssh://git@[2001:db8::10]:22222/group/project.git",
            "ssh",
            "2001:db8::10",
            22222,
            "/group/project.git",
        ),
        ("ssh://git@host/a.git", "ssh://git@host/a.git", "ssh", "host", 22, "/a.git"),
        (
            "https://github.com/user/repo",
            "https://github.com/user/repo",
            "https",
            "github.com",
            443,
            "/user/repo",
        ),
        (
            "HTTPS://GitHub.com/User/Repo",
            "https://github.com/User/Repo",
            "https",
            "github.com",
            443,
            "/User/Repo",
        ),
        (
            "https://gitlab.com/a/b/c/d.git",
            "https://gitlab.com/a/b/c/d.git",
            "https",
            "gitlab.com",
            443,
            "/a/b/c/d.git",
        ),
        (
            "https://tangled.org/@user/repo",
            "https://tangled.org/@user/repo",
            "https",
            "tangled.org",
            443,
            "/@user/repo",
        ),
        (
            "https://git.sr.ht/~user/repo",
            "https://git.sr.ht/~user/repo",
            "https",
            "git.sr.ht",
            443,
            "/~user/repo",
        ),
        (
            "git://git.sr.ht:~user/repo.git",
            "git://git.sr.ht/~user/repo.git",
            "git",
            "git.sr.ht",
            9418,
            "/~user/repo.git",
        ),
        (
            "https://h.example/u/repo@version~backup",
            "https://h.example/u/repo@version~backup",
            "https",
            "h.example",
            443,
            "/u/repo@version~backup",
        ),
        (
            "http://192.168.1.1:3000/user/repo",
            "http://192.168.1.1:3000/user/repo",
            "http",
            "192.168.1.1",
            3000,
            "/user/repo",
        ),
        (
            "  https://github.com/user/repo.git ",
            "https://github.com/user/repo.git",
            "https",
            "github.com",
            443,
            "/user/repo.git",
        ),
        ("file:///srv/git/demo.git", "file:///srv/git/demo.git", "file", "", None, "/srv/git/demo.git"),
        ("git@[::1]:a/b.git", "git@[::1]:a/b.git", "ssh", "::1", 22, "a/b.git"),
    ],
)
def test_an_address_of_git_is_read(
    text: str, url: str, scheme: str, host: str, port: int | None, path: str
) -> None:
    address = parse_repository(text)
    assert (address.url, address.scheme, address.host, address.port, address.path) == (
        url,
        RepositoryScheme(scheme),
        host,
        port,
        path,
    )


@pytest.mark.parametrize("character", list(";|&$`(){}[]<>\"'\\!?*^%=#"))
def test_a_character_with_another_meaning_is_refused_and_named(character: str) -> None:
    for text in (f"https://github.com/user/re{character}po", f"git@github.com:user/re{character}po.git"):
        with pytest.raises(InvalidInput, match="invalid characters") as caught:
            parse_repository(text)
        assert caught.value.field == "git_repository"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "main",
        "-u",
        "--upload-pack=touch /tmp/x",
        "ext::sh -c touch% /tmp/x",
        "fd::17",
        "ssh://-oProxyCommand=id/x",
        "ssh://-host/x",
        "git@-host:x",
        "-oProxyCommand=id@host:x",
        "git@host:-x",
        "https://host/a b",
        "https://host/a\nb",
        "https://host/a\tb",
        "https://host",
        "https://host/",
        "https:///path",
        "https://host:99999/a",
        "https://user name@host/a",
        "https://a@b@host/x",
        "ftp://host/a.git",
        "javascript://host/a",
        "file://host/srv/a.git",
        "file:///",
        "file:///srv/../etc",
        "/srv/git/demo.git",
        "ssh://git@[::zz]/a",
        "ssh://git@[2001:db8::10/a",
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_repository(text)
    assert caught.value.field == "git_repository"


@pytest.mark.parametrize(
    ("text", "display"),
    [
        ("https://user:t0ken@github.com/u/r.git", "https://github.com/u/r.git"),
        ("https://t0ken@github.com:8443/u/r.git", "https://github.com:8443/u/r.git"),
        ("ssh://git:t0ken@host:2222/u/r.git", "ssh://git@host:2222/u/r.git"),
        ("git@github.com:u/r.git", "git@github.com:u/r.git"),
        ("git@host:766/u/r.git", "ssh://git@host:766/u/r.git"),
        ("https://github.com/u/r.git", "https://github.com/u/r.git"),
        ("file:///srv/r.git", "file:///srv/r.git"),
    ],
)
def test_what_is_shown_never_holds_credentials_and_is_an_address_itself(text: str, display: str) -> None:
    address = parse_repository(text)
    assert address.display == str(address) == display
    assert "t0ken" not in repr(address)
    again = parse_repository(display)
    assert (again.host, again.port, again.path) == (address.host, address.port, address.path)
    assert not again.has_credentials
    assert address.has_credentials == ("t0ken" in text)


def test_credentials_are_decoded() -> None:
    address = parse_repository("https://oauth2:p%40ss@host/u/r.git")
    assert (address.user, address.password) == ("oauth2", "p@ss")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("abc123def456", "abc123def456"),
        (A, A),
        ("HEAD", "HEAD"),
        ("", "HEAD"),
        ("   ", "HEAD"),
        ("main", "main"),
        ("feature/my-branch", "feature/my-branch"),
        ("v1.2.3", "v1.2.3"),
        ("release-2.0", "release-2.0"),
        ("my_branch", "my_branch"),
        ("  abc123  ", "abc123"),
        ("fix/#12", "fix/#12"),
        ("user@feature", "user@feature"),
        ("größe", "größe"),
        ("refs/pull/12/head", "refs/pull/12/head"),
    ],
)
def test_a_revision_is_trimmed_and_accepted(text: str, expected: str) -> None:
    assert validate_revision(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "-x", "--upload-pack=id", "a..b", "a~1", "a^", "a:b", "a b", "a\nb", "a\x00b", "a\x7fb", "a?", "a*",
        "a[0]", "a\\b", "/a", "a/", "a//b", "a.", ".a", "a/.b", "a.lock", "a.lock/b", "@", "a@{1}", "a;id",
        "$(id)", "`id`", "a|b", "a&b", "a'b", "a" * 256, "a\u202eb",
    ],
)  # fmt: skip
def test_a_revision_that_git_or_a_shell_reads_otherwise_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        validate_revision(text)
    assert caught.value.field == "git_commit_sha"


@pytest.mark.parametrize(
    ("text", "expected"),
    [(A, True), (A.upper(), True), ("a" * 64, True), ("a" * 39, False), ("g" * 40, False), (f"{A}\n", False)],
)
def test_only_a_whole_commit_id_is_one(text: str, expected: bool) -> None:
    assert is_full_commit(text) is expected


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (f"{A}\trefs/heads/main\n", {"refs/heads/main": A}),
        (f"warning: redirecting to https://host/x\n{A}\tHEAD\n", {"HEAD": A}),
        (f"warning: redirecting to https://host/x/{A}\trefs/heads/main", {"refs/heads/main": A}),
        (f"   {A}   \trefs/heads/main  ", {"refs/heads/main": A}),
        (f"{A.upper()}\trefs/heads/main", {"refs/heads/main": A}),
        (f"ref: refs/heads/main\tHEAD\n{A}\tHEAD\n", {"HEAD": A}),
        (f"{A}\trefs/tags/v1\r\n{B}\trefs/tags/v1^{{}}\r\n", {"refs/tags/v1": A, "refs/tags/v1^{}": B}),
        (f"{'d' * 64}\trefs/heads/main", {"refs/heads/main": "d" * 64}),
        (f"{'d' * 41}\trefs/heads/main", {}),
        ("", {}),
        ("fatal: repository not found", {}),
    ],
)
def test_advertised_references_are_found_among_warnings(output: str, expected: dict[str, str]) -> None:
    assert parse_ls_remote(output) == expected


REFERENCES = {
    "HEAD": A,
    "refs/heads/main": A,
    "refs/heads/next": B,
    "refs/heads/v1": C,
    "refs/tags/v1": B,
    "refs/tags/v1^{}": A,
    "refs/tags/v2": C,
    "refs/tags/v2^{}": B,
    "refs/tags/light": B,
    "refs/pull/7/head": C,
}


@pytest.mark.parametrize(
    ("branch", "commit", "expected"),
    [
        ("main", "HEAD", (A, "refs/heads/main")),
        ("next", "", (B, "refs/heads/next")),
        ("v1", "HEAD", (C, "refs/heads/v1")),
        ("v2", "HEAD", (B, "refs/tags/v2")),
        ("light", "HEAD", (B, "refs/tags/light")),
        ("", "HEAD", (A, "HEAD")),
        ("HEAD", "", (A, "HEAD")),
        ("refs/pull/7/head", "HEAD", (C, "refs/pull/7/head")),
        ("refs/tags/v2", "HEAD", (B, "refs/tags/v2")),
        ("main", "v2", (B, "refs/tags/v2")),
        ("main", A, (A, "refs/heads/main")),
        ("main", A.upper(), (A, "refs/heads/main")),
        ("main", B, (B, "refs/heads/next")),
        ("main", "d" * 40, ("d" * 40, "refs/heads/main")),
        ("gone", "d" * 40, ("d" * 40, "d" * 40)),
        ("main", "bbbbbbb", (B, "refs/heads/next")),
        ("main", "ddddddd", None),
        ("gone", "HEAD", None),
        ("main", "gone", None),
    ],
)
def test_a_name_means_the_branch_before_the_tag_before_head(
    branch: str, commit: str, expected: tuple[str, str] | None
) -> None:
    assert choose_commit(REFERENCES, branch, commit) == expected


@given(st.text() | st.text(alphabet="abz01@:/.-[]%~+ ").map(lambda text: f"ssh://{text}"))
def test_any_text_is_an_address_or_invalid_input(text: str) -> None:
    try:
        address = parse_repository(text)
    except InvalidInput:
        return
    assert not address.url.startswith("-")
    assert not any(character.isspace() for character in address.url)
    assert parse_repository(address.url) == address


@given(st.text())
def test_any_text_is_a_revision_or_invalid_input(text: str) -> None:
    try:
        revision = validate_revision(text)
    except InvalidInput:
        return
    assert validate_revision(revision) == revision
    assert not revision.startswith("-")
