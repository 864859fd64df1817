"""What Git is told about keys and passwords."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from pydantic import SecretStr

from adapters.git_access import GitCredential, GitHome, file_in_memory, ssh_command, web_credentials
from domain.git_references import parse_repository

SSH = parse_repository("git@git.example.com:team/app.git")
WEB = parse_repository("https://git.example.com:8443/team/app.git")
TOKEN = GitCredential(username="robot", password=SecretStr("t0ken"))


def test_ssh_uses_only_the_given_key_and_pins_the_host_at_first_contact() -> None:
    assert ssh_command(Path("/key"), None, Path("/known")) == [
        "ssh", "-F", "/dev/null", "-i", "/key", "-o", "IdentitiesOnly=yes",
        "-o", "IdentityAgent=none",
        "-o", "BatchMode=yes",
        "-o", "StrictHostKeyChecking=accept-new",
        "-o", "UserKnownHostsFile=/known",
        "-o", "GlobalKnownHostsFile=/dev/null",
        "-o", "UpdateHostKeys=no",
        "-o", "ConnectTimeout=10",
        "-o", "ServerAliveInterval=15",
        "-o", "ServerAliveCountMax=2",
        "-o", "LogLevel=ERROR",
    ]  # fmt: skip


def test_ssh_without_a_key_offers_none_and_with_known_hosts_accepts_no_other() -> None:
    command = ssh_command(None, Path("/pinned"), Path("/known"))
    assert command[3:5] == ["-o", "PubkeyAuthentication=no"]
    assert "StrictHostKeyChecking=yes" in command
    assert "UserKnownHostsFile=/pinned" in command


@pytest.mark.parametrize(
    ("url", "credential", "expected"),
    [
        (
            "https://git.example.com:8443/a.git",
            TOKEN,
            {
                "SEAWAY_GIT_HOST": "git.example.com:8443",
                "SEAWAY_GIT_USERNAME": "robot",
                "SEAWAY_GIT_PASSWORD": "t0ken",
            },
        ),
        (
            "https://me:p%40ss@git.example.com/a.git",
            GitCredential(),
            {
                "SEAWAY_GIT_HOST": "git.example.com",
                "SEAWAY_GIT_USERNAME": "me",
                "SEAWAY_GIT_PASSWORD": "p@ss",
            },
        ),
        (
            "https://git.example.com/a.git",
            GitCredential(password=SecretStr("t0ken")),
            {
                "SEAWAY_GIT_HOST": "git.example.com",
                "SEAWAY_GIT_USERNAME": "x-access-token",
                "SEAWAY_GIT_PASSWORD": "t0ken",
            },
        ),
        ("https://git.example.com/a.git", GitCredential(), {}),
    ],
)
def test_passwords_come_from_the_credential_before_the_address(
    url: str, credential: GitCredential, expected: dict[str, str]
) -> None:
    assert web_credentials(parse_repository(url), credential) == expected


def test_nothing_of_the_worker_reaches_git_but_its_path_and_proxies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/agent")
    monkeypatch.setenv("SEAWAY_SECRET", "x")
    monkeypatch.setenv("https_proxy", "http://proxy.example.com:3128")
    home = GitHome(tmp_path / "git")
    with home.access(WEB, TOKEN) as environment:
        assert environment["https_proxy"] == "http://proxy.example.com:3128"
        assert not {"GIT_CONFIG_COUNT", "SSH_AUTH_SOCK", "SEAWAY_SECRET", "USER"} & set(environment)
        assert environment["HOME"] == str(tmp_path / "git" / "home")
        assert environment["GIT_ALLOW_PROTOCOL"] == "https"
        assert environment["GIT_TERMINAL_PROMPT"] == "0"


def test_a_key_is_readable_by_its_user_only_and_gone_afterwards(tmp_path: Path) -> None:
    home = GitHome(tmp_path)
    key = SecretStr("-----BEGIN KEY-----\r\nabc\r\n-----END KEY-----")
    with home.access(SSH, GitCredential(private_key=key)) as environment:
        words = environment["GIT_SSH_COMMAND"].split()
        path = Path(words[words.index("-i") + 1])
        assert path.read_text() == "-----BEGIN KEY-----\nabc\n-----END KEY-----\n"
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.stat().st_uid == os.getuid()
    assert not path.exists()
    assert not any("abc" in file.read_text() for file in tmp_path.rglob("*") if file.is_file())


def test_a_file_in_memory_is_on_no_disk() -> None:
    with file_in_memory("content") as path:
        assert "memfd:" in str(path.readlink())


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("Username for 'https://git.example.com:8443': ", "robot"),
        ("Password for 'https://robot@git.example.com:8443': ", "t0ken"),
        ("Password for 'https://robot@git.example.com': ", None),
        ("Username for 'https://evil.example.com': ", None),
        ("Password for 'https://git.example.com:8443@evil.example.com': ", None),
        ("Enter passphrase for key '/key': ", None),
    ],
)
def test_the_password_is_told_to_its_own_server_only(tmp_path: Path, prompt: str, answer: str | None) -> None:
    home = GitHome(tmp_path)
    with home.access(WEB, TOKEN) as environment:
        done = subprocess.run(
            [environment["GIT_ASKPASS"], prompt], env=environment, capture_output=True, text=True, check=False
        )
    assert (done.stdout.rstrip("\n") if done.returncode == 0 else None) == answer


def test_a_submodule_elsewhere_gets_the_key_but_never_the_password() -> None:
    both = GitCredential(private_key=SecretStr("k"), username="robot", password=SecretStr("t0ken"), id="1")
    elsewhere = parse_repository("https://evil.example.com/x.git")
    sibling = parse_repository("https://git.example.com:8443/team/other.git")
    assert both.for_submodule(WEB, sibling) is both
    assert both.for_submodule(WEB, elsewhere) == GitCredential(private_key=SecretStr("k"), id="1")
    assert TOKEN.for_submodule(WEB, elsewhere) is None
