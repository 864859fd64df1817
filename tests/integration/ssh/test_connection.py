"""The connection against real OpenSSH servers: who gets in, what breaks it, and what comes after."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import asyncssh
import pytest
from pydantic import SecretStr

from adapters.ssh.connection import ServerAddress, SshConnection, SshSettings, SshTarget, first_contact
from adapters.ssh.keys import generate_key
from domain.errors import (
    AuthenticationRefused,
    HostKeyChanged,
    InvalidInput,
    NotPossibleNow,
    ServerUnreachable,
    TransientError,
)
from tests.harness.processes import refusing_port
from tests.harness.ssh_daemon import SshDaemon, serve_sshd
from tests.harness.waiting import eventually
from tests.integration.ssh.conftest import QUICK, Connect, target_of

LIMIT = timedelta(seconds=20)


async def echo(connection: SshConnection, text: str = "hello") -> str:
    return (await connection.run(["echo", text], timeout=LIMIT)).stdout.strip()


class TestLogIn:
    async def test_the_first_use_connects_and_later_ones_share_the_link(self, daemon, connect: Connect):
        connection = connect(daemon)
        assert not connection.is_connected
        assert await asyncio.gather(*(echo(connection, str(i)) for i in range(20))) == [
            str(i) for i in range(20)
        ]
        assert connection.is_connected
        assert daemon.log_ins() == 1

    async def test_the_host_key_is_read_without_logging_in(self, daemon):
        key = await first_contact(ServerAddress(daemon.host, daemon.port))
        assert key.text == daemon.host_key
        assert key.algorithm == "ssh-ed25519"
        assert key.fingerprint.startswith("SHA256:")
        assert daemon.log_ins() == 0

    async def test_nobody_logs_in_before_a_host_key_is_pinned(self, shared_daemon, connect: Connect):
        with pytest.raises(NotPossibleNow, match="has not been accepted"):
            await echo(connect(shared_daemon, host_key=None))

    async def test_a_changed_host_key_is_refused_with_both_fingerprints(
        self, shared_daemon, connect: Connect
    ):
        pinned = generate_key()
        connection = connect(shared_daemon, host_key=pinned.public_key)
        shown = await first_contact(ServerAddress(shared_daemon.host, shared_daemon.port))
        with pytest.raises(HostKeyChanged) as caught:
            await echo(connection)
        assert not caught.value.retryable
        assert (caught.value.pinned, caught.value.shown) == (pinned.fingerprint, shown.fingerprint)
        assert pinned.fingerprint in caught.value.message
        assert shown.fingerprint in caught.value.message

    async def test_a_key_of_another_kind_is_a_changed_host_key_too(self, shared_daemon, connect: Connect):
        pinned = asyncssh.generate_private_key("ecdsa-sha2-nistp256").export_public_key().decode()
        with pytest.raises(HostKeyChanged):
            await echo(connect(shared_daemon, host_key=pinned))

    async def test_a_key_that_the_server_does_not_know_is_refused_for_good(
        self, shared_daemon, connect: Connect
    ):
        other = generate_key()
        with pytest.raises(AuthenticationRefused, match="authorized_keys") as caught:
            await echo(connect(shared_daemon, private_key=other.private_key))
        assert not caught.value.retryable
        assert other.fingerprint in caught.value.message

    async def test_a_user_that_does_not_exist_is_refused_for_good(self, shared_daemon, connect: Connect):
        address = ServerAddress(shared_daemon.host, shared_daemon.port, "nobody-of-this-name")
        with pytest.raises(AuthenticationRefused, match="nobody-of-this-name"):
            await echo(connect(shared_daemon, address=address))

    @pytest.mark.parametrize("kind", ["ssh-rsa", "ecdsa-sha2-nistp384"])
    async def test_other_kinds_of_keys_with_a_passphrase_open_the_door(self, daemon, connect: Connect, kind):
        key = asyncssh.generate_private_key(kind)
        daemon.authorize(key.export_public_key().decode())
        text = SecretStr(key.export_private_key("pkcs8-pem", passphrase="open sesame").decode())
        assert await echo(connect(daemon, private_key=text, passphrase=SecretStr("open sesame"))) == "hello"
        with pytest.raises(InvalidInput, match="passphrase"):
            await echo(connect(daemon, private_key=text, passphrase=SecretStr("wrong")))

    async def test_ipv6(self, tmp_path: Path, connect: Connect):
        with serve_sshd(tmp_path / "six", host="::1") as daemon:
            connection = connect(daemon)
            assert await echo(connection) == "hello"
            assert str(connection.target.address) == f"{daemon.user}@[::1]:{daemon.port}"


class TestUnreachable:
    @pytest.fixture
    def target(self) -> SshTarget:
        key = generate_key()
        address = ServerAddress("127.0.0.1", refusing_port())
        return SshTarget(address, key.private_key, host_key=key.public_key)

    async def reach(
        self, target: SshTarget, host: str = "127.0.0.1", port: int | None = None
    ) -> ServerUnreachable:
        """The failure, within a limit."""
        changed = ServerAddress(host, port or target.address.port)
        connection = SshConnection(
            SshTarget(changed, target.private_key, host_key=target.host_key), SshSettings(login_seconds=1)
        )
        begun = time.monotonic()
        with pytest.raises(ServerUnreachable) as caught:
            await echo(connection)
        assert time.monotonic() - begun < 5
        assert caught.value.retryable
        await connection.close()
        return caught.value

    async def test_a_closed_port(self, target):
        assert "refused" in (await self.reach(target)).message
        with pytest.raises(ServerUnreachable, match="refused"):
            await first_contact(target.address)

    async def test_a_name_that_resolves_to_nothing(self, target):
        assert "resolves to no address" in (await self.reach(target, host="nowhere.invalid")).message

    async def test_a_port_that_accepts_and_never_answers(self, target):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            error = await self.reach(target, port=port)
            with pytest.raises(ServerUnreachable, match="accepts connections"):
                await first_contact(ServerAddress("127.0.0.1", port), settings=SshSettings(login_seconds=1))
        assert "accepts connections" in error.message

    async def test_a_port_whose_queue_is_full(self, target):
        with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
            port = full.getsockname()[1]
            with socket.create_connection(("127.0.0.1", port)):
                error = await self.reach(target, port=port)
        assert "does not answer" in error.message

    async def test_a_server_that_is_no_ssh_server(self, target):
        async def answer(reader, writer):
            await reader.readline()
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        error = await self.reach(target, port=server.sockets[0].getsockname()[1])
        server.close()
        assert "SSH" in error.message

    async def test_failed_attempts_are_shared_and_spaced(self, target):
        asked = 0

        async def refuse(_reader, writer):
            nonlocal asked
            asked += 1
            writer.close()

        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        address = ServerAddress("127.0.0.1", server.sockets[0].getsockname()[1])
        settings = SshSettings(first_pause_seconds=0.4, longest_pause_seconds=0.4)
        connection = SshConnection(SshTarget(address, target.private_key, host_key=target.host_key), settings)
        begun = time.monotonic()
        for _ in range(3):
            failures = await asyncio.gather(*(echo(connection) for _ in range(8)), return_exceptions=True)
            assert all(isinstance(failure, ServerUnreachable) for failure in failures)
        # Eight sessions fit at once, so eight callers are one attempt; between attempts is half a pause.
        assert asked == 3
        assert time.monotonic() - begun >= 0.4
        await connection.close()
        server.close()


class TestBrokenLinks:
    async def test_a_broken_link_is_made_anew_by_one_log_in_for_all(
        self, daemon: SshDaemon, connect: Connect
    ):
        connection = connect(daemon)
        await echo(connection)
        daemon.kill_sessions()
        assert await asyncio.gather(*(echo(connection, str(i)) for i in range(8))) == [
            str(i) for i in range(8)
        ]
        assert daemon.log_ins() == 2

    async def test_a_command_under_way_fails_at_once_when_the_link_is_reset(self, daemon, connect: Connect):
        connection = connect(daemon)
        started = asyncio.Event()
        running = asyncio.create_task(
            connection.run(
                ["sh", "-c", "echo on; sleep 60"], timeout=LIMIT, on_line=lambda _line: started.set()
            )
        )
        await started.wait()
        daemon.kill_sessions()
        begun = time.monotonic()
        with pytest.raises(ServerUnreachable, match="broke off"):
            await running
        assert time.monotonic() - begun < 2

    async def test_a_link_that_says_nothing_any_more_is_given_up_and_made_anew(
        self, daemon, connect: Connect
    ):
        connection = connect(daemon)
        started = asyncio.Event()
        running = asyncio.create_task(
            connection.run(
                ["sh", "-c", "echo on; sleep 60"], timeout=LIMIT, on_line=lambda _line: started.set()
            )
        )
        await started.wait()
        daemon.signal_sessions(signal.SIGSTOP)
        begun = time.monotonic()
        # What has not begun yet goes on by itself on a new link; what had begun fails.
        assert await echo(connection) == "hello"
        with pytest.raises(ServerUnreachable):
            await running
        assert time.monotonic() - begun < 10
        assert daemon.log_ins() == 2

    async def test_a_server_that_comes_back_is_used_again(self, tmp_path: Path, connect: Connect):
        with serve_sshd(tmp_path / "sshd") as first:
            connection = connect(first)
            assert await echo(connection) == "hello"
        with pytest.raises(ServerUnreachable):
            await echo(connection)
        with serve_sshd(tmp_path / "sshd", port=first.port):
            assert await eventually(lambda: echo(connection), ignored=(ServerUnreachable,)) == "hello"

    async def test_a_closed_connection_refuses_and_ends_what_runs(self, daemon, connect: Connect):
        connection = connect(daemon)
        started = asyncio.Event()
        running = asyncio.create_task(
            connection.run(
                ["sh", "-c", "echo on; sleep 60"], timeout=LIMIT, on_line=lambda _line: started.set()
            )
        )
        await started.wait()
        await connection.close()
        with pytest.raises(ServerUnreachable):
            await running
        with pytest.raises(ServerUnreachable):
            await echo(connection)
        await eventually(lambda: daemon.sessions() == [])


class TestJumpHosts:
    async def test_a_server_behind_another(self, tmp_path: Path, connect: Connect):
        with serve_sshd(tmp_path / "gate") as gate, serve_sshd(tmp_path / "inner", host="127.0.0.2") as inner:
            key = await first_contact(ServerAddress(inner.host, inner.port), jump=target_of(gate))
            assert key.text == inner.host_key
            connection = connect(inner, jump=target_of(gate))
            assert await echo(connection) == "hello"
            assert (gate.log_ins(), inner.log_ins()) == (2, 1)
            gate.kill_sessions()
            assert await echo(connection) == "hello"
            assert (gate.log_ins(), inner.log_ins()) == (3, 2)

    async def test_a_jump_host_that_does_not_get_through_says_so(self, daemon, connect: Connect):
        address = ServerAddress("127.0.0.1", refusing_port())
        connection = connect(daemon, address=address, jump=target_of(daemon))
        with pytest.raises(ServerUnreachable, match="jump host"):
            await echo(connection)

    async def test_a_jump_host_that_lets_nobody_in_says_that_it_is_the_jump_host(
        self, daemon, connect: Connect
    ):
        gate = target_of(daemon, private_key=generate_key().private_key)
        behind = ServerAddress("127.0.0.2")
        with pytest.raises(AuthenticationRefused) as refused:
            await echo(connect(daemon, address=behind, jump=gate))
        with pytest.raises(AuthenticationRefused) as refused_at_first:
            await first_contact(behind, jump=gate)
        for error in (refused.value, refused_at_first.value):
            assert error.message.startswith(f"The server 127.0.0.1:{daemon.port} refuses the user ")
            assert error.message.endswith(
                "It is the jump host on the way to 127.0.0.2:22: do that at the jump host, then validate "
                "127.0.0.2:22 again."
            )

    async def test_so_does_one_that_is_not_there(self, daemon, connect: Connect):
        gate = target_of(daemon, address=ServerAddress("127.0.0.1", refusing_port()))
        behind = ServerAddress("127.0.0.2")
        with pytest.raises(ServerUnreachable) as silent:
            await echo(connect(daemon, address=behind, jump=gate))
        with pytest.raises(ServerUnreachable) as silent_at_first:
            await first_contact(behind, jump=gate)
        for error in (silent.value, silent_at_first.value):
            assert error.message.startswith(f"Nothing listens at {gate.address.endpoint}: ")
            assert error.message.endswith(
                "It is the jump host on the way to 127.0.0.2:22: look for the cause there."
            )


class TestSessions:
    async def test_more_commands_than_the_server_allows_sessions_wait_for_each_other(
        self, shared_daemon, connect: Connect
    ):
        connection = connect(shared_daemon)
        async with connection.sftp() as files:
            answers = await asyncio.gather(
                *(connection.run(["sleep", "0.1"], timeout=LIMIT) for _ in range(16))
            )
            assert await files.isdir("/")
        assert {answer.exit_code for answer in answers} == {0}

    async def test_a_server_that_allows_fewer_sessions_says_what_to_change(
        self, tmp_path: Path, connect: Connect
    ):
        with serve_sshd(tmp_path / "few", options={"MaxSessions": "1"}) as few:
            connection = connect(few)
            started = asyncio.Event()
            running = asyncio.create_task(
                connection.run(
                    ["sh", "-c", "echo; sleep 30"], timeout=LIMIT, on_line=lambda _line: started.set()
                )
            )
            await started.wait()
            with pytest.raises(TransientError, match="MaxSessions"):
                await echo(connection)
            running.cancel()
            await asyncio.wait([running])
            assert await echo(connection) == "hello"

    async def test_an_sftp_session_that_ends_alone_is_opened_again(self, tmp_path: Path, connect: Connect):
        # A name of its own: other tests have such servers at the same time, in containers too.
        server = tmp_path / f"sftp-{uuid4().hex[:8]}"
        server.symlink_to("/usr/lib/openssh/sftp-server")
        with serve_sshd(tmp_path / "sftp", options={"Subsystem": f"sftp {server}"}) as daemon:
            connection = connect(daemon, QUICK)
            async with connection.sftp() as files:
                assert await files.isdir("/")
            killed = await connection.run(["pkill", "-KILL", "-x", server.name], timeout=LIMIT)
            assert killed.exit_code == 0
            with pytest.raises(ServerUnreachable):
                async with connection.sftp() as files:
                    await files.isdir("/")
            async with connection.sftp() as files:
                assert await files.isdir("/")
            assert daemon.log_ins() == 1
