"""What the other side of a link says of why is shown to people, but steers nothing."""

from __future__ import annotations

import asyncio

import asyncssh
import pytest

from adapters.ssh.failures import LONGEST_TOLD, link_lost, login_failure, told
from adapters.ssh.first_contact import first_contact
from adapters.ssh.targets import ServerAddress
from domain.errors import ServerUnreachable

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


def test_no_sign_that_steers_a_terminal_or_turns_a_line_around_is_left() -> None:
    assert told("\x9d0;owned\x9c \u202e \x85\u2028 fine").isprintable()


async def test_a_stranger_who_disconnects_before_any_key_writes_one_short_printable_line() -> None:
    payload = b"\x01" + (11).to_bytes(4, "big") + string(HOSTILE[:30_000].encode()) + string(b"")
    padding = 8 - (5 + len(payload)) % 8 + 8
    packet = (1 + len(payload) + padding).to_bytes(4, "big") + bytes([padding]) + payload + bytes(padding)

    async def stranger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n" + packet)
        await writer.drain()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(stranger, "127.0.0.1")
    address = ServerAddress("127.0.0.1", server.sockets[0].getsockname()[1], "root")
    async with server:
        with pytest.raises(ServerUnreachable) as caught:
            await first_contact(address)
    error = caught.value
    assert "forged" in error.message
    for text in (error.message, error.detail):
        assert text.isprintable()
        assert len(text) < LONGEST_TOLD + 200


def string(content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + content
