"""What the other side of a link says of why is shown to people, but steers nothing."""

from __future__ import annotations

import asyncssh
import pytest

from adapters.ssh.failures import LONGEST_TOLD, link_lost, login_failure
from adapters.ssh.targets import ServerAddress

ADDRESS = ServerAddress("203.0.113.7", 22, "root")
HOSTILE = "\x1b]0;owned\x07\nWARNING\x9d seaway:\u202e forged " + "x" * 100_000


def test_a_disconnect_before_any_key_was_looked_at_makes_a_short_printable_message() -> None:
    error = login_failure(asyncssh.DisconnectError(11, HOSTILE), ADDRESS)
    assert error.message.isprintable()
    assert len(error.message) < LONGEST_TOLD + 200
    assert "203.0.113.7" in error.message
    assert error.detail.isprintable()
    assert len(error.detail) <= LONGEST_TOLD


@pytest.mark.parametrize("error", [asyncssh.PermissionDenied(HOSTILE), asyncssh.ChannelOpenError(1, HOSTILE)])
def test_so_does_every_other_reason_to_let_nobody_in(error: Exception) -> None:
    found = login_failure(error, ADDRESS, jump=ADDRESS)
    assert (found.message.isprintable(), found.detail.isprintable()) == (True, True)
    assert len(found.detail) <= LONGEST_TOLD


def test_and_what_is_said_when_a_link_breaks() -> None:
    assert len(link_lost(ADDRESS, HOSTILE).detail) <= LONGEST_TOLD
