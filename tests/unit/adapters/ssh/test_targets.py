from __future__ import annotations

import shlex

import asyncssh
from pydantic import SecretStr

from adapters.ssh.commands import WATCHED, command_line
from adapters.ssh.targets import (
    ServerAddress,
    SshSettings,
    SshTarget,
    host_key_algorithms,
    pause_before_attempt,
)


def test_addresses_are_written_as_people_do():
    assert str(ServerAddress("shop.example")) == "root@shop.example:22"
    assert str(ServerAddress("2001:db8::1", 2222, "ann")) == "ann@[2001:db8::1]:2222"


def test_a_target_shows_neither_key_nor_passphrase():
    target = SshTarget(ServerAddress("h"), SecretStr("the-key"), SecretStr("the-phrase"))
    assert "the-" not in repr(target)


def test_the_pinned_kind_is_asked_for_first_and_the_others_too():
    everything = host_key_algorithms(None)
    assert everything[0] == "ssh-ed25519"
    assert "ssh-rsa" not in everything
    rsa = asyncssh.generate_private_key("ssh-rsa").export_public_key("openssh").decode()
    ordered = host_key_algorithms(rsa)
    assert ordered[:2] == ["rsa-sha2-512", "rsa-sha2-256"]
    assert sorted(ordered) == sorted(everything)


def test_pauses_grow_to_a_limit_and_jitter_takes_up_to_half():
    settings = SshSettings(first_pause_seconds=0.5, longest_pause_seconds=5)
    assert pause_before_attempt(0, settings, 0.3) == 0
    assert [pause_before_attempt(n, settings, 0) for n in (1, 2, 3, 4, 5, 50)] == [0.5, 1, 2, 4, 5, 5]
    assert pause_before_attempt(2, settings, 1) == 0.5


def test_many_links_that_broke_at_once_come_back_one_after_the_other():
    settings = SshSettings(spread_seconds=1)
    pauses = [pause_before_attempt(0, settings, jitter, has_broken=True) for jitter in (0, 0.25, 1)]
    assert pauses == [0, 0.25, 1]
    assert pause_before_attempt(1, settings, 0, has_broken=True) == settings.first_pause_seconds


def test_a_dead_link_is_noticed_within_15_seconds():
    settings = SshSettings()
    assert settings.keepalive_seconds * (settings.keepalive_misses + 1) <= 15


def test_sessions_stay_below_what_openssh_allows():
    assert SshSettings().sessions + 1 < 10


def test_a_command_line_is_one_quoted_list():
    line = command_line(["echo", "a b", "it's"], input_bytes=7)
    assert shlex.split(line) == ["sh", "-c", WATCHED, "seaway", "7", "echo", "a b", "it's"]


def test_sudo_never_asks_for_a_password():
    assert shlex.split(command_line(["id"], sudo=True))[:4] == ["sudo", "-n", "--", "sh"]
