"""Files on real servers: whole or not at all, and a clear word where a disk or a right is in the way."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path, PurePosixPath

import asyncssh
import pytest

from adapters.ssh import sftp
from adapters.ssh.connection import SshConnection
from adapters.ssh.files import SftpHostFiles, SftpRouteFolder
from domain.errors import InvalidInput, NotPossibleNow, ServerUnreachable, TransientError
from tests.harness.ssh_daemon import SshDaemon
from tests.harness.ssh_servers import SshServer
from tests.integration.ssh.conftest import Connect, target_of, way_to

LIMIT = timedelta(seconds=20)


@pytest.fixture(scope="module")
async def connection(shared_daemon: SshDaemon) -> AsyncIterator[SshConnection]:
    made = SshConnection(target_of(shared_daemon))
    yield made
    await made.close()


@pytest.fixture
def files(connection: SshConnection, tmp_path: Path) -> SftpHostFiles:
    return SftpHostFiles(connection, PurePosixPath(tmp_path, "data"))


@pytest.fixture
def folder(connection: SshConnection, tmp_path: Path) -> SftpRouteFolder:
    return SftpRouteFolder(connection, PurePosixPath(tmp_path, "proxy"))


class TestHostFiles:
    async def test_a_file_has_its_content_and_mode_and_nothing_is_left_beside_it(self, files, tmp_path: Path):
        content = bytes(range(256)) * 1000
        written = await files.write(PurePosixPath("app/deep/file"), content, 0o640)
        path = tmp_path / "data/app/deep/file"
        assert written == str(path)
        assert path.read_bytes() == content
        assert path.stat().st_mode & 0o777 == 0o640
        assert [entry.name for entry in path.parent.iterdir()] == ["file"]

    async def test_a_file_is_replaced_as_a_whole(self, files, tmp_path: Path):
        await files.write(PurePosixPath("file"), b"one" * 1000)
        with (tmp_path / "data/file").open("rb") as reader:
            await files.write(PurePosixPath("file"), b"two")
            assert reader.read() == b"one" * 1000
        assert (tmp_path / "data/file").read_bytes() == b"two"

    async def test_many_at_once_share_one_session(self, files, tmp_path: Path):
        await asyncio.gather(*(files.write(PurePosixPath(f"many/{i}"), str(i).encode()) for i in range(40)))
        assert len(list((tmp_path / "data/many").iterdir())) == 40

    async def test_a_folder_goes_with_all_that_is_in_it_and_absent_is_fine(self, files, tmp_path: Path):
        await files.write(PurePosixPath("app/a b/it's"), b"x")
        for _ in range(2):
            await files.remove_tree(PurePosixPath("app"))
        assert not (tmp_path / "data/app").exists()

    @pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "", "a/../../b"])
    async def test_paths_that_leave_the_folder_are_refused(self, files, path: str):
        with pytest.raises(InvalidInput):
            await files.write(PurePosixPath(path), b"x")
        with pytest.raises(InvalidInput):
            await files.remove_tree(PurePosixPath(path))


class TestRouteFolder:
    async def test_what_broken_links_have_left_goes_with_the_next_file(
        self, folder: SftpRouteFolder, tmp_path: Path
    ):
        await folder.prepare()
        staging = tmp_path / "proxy/staging"
        for name, age_seconds in (("app.abandoned", 120), ("app.written-now", 0), ("other.abandoned", 120)):
            (staging / name).write_text("half")
            at = time.time() - age_seconds
            os.utime(staging / name, (at, at))
        await folder.write("app", "whole")
        assert {entry.name for entry in staging.iterdir()} == {"app.written-now", "other.abandoned"}

    async def test_files_come_and_go(self, folder: SftpRouteFolder, tmp_path: Path):
        identity = await folder.prepare()
        assert identity == str((tmp_path / "proxy/dynamic").stat().st_ino)
        assert await folder.prepare() == identity
        assert await folder.read("app") is None
        await folder.write("app", "routes: ü\n")
        assert await folder.read("app") == "routes: ü\n"
        assert (tmp_path / "proxy/dynamic/app.yml").read_text() == "routes: ü\n"
        (tmp_path / "proxy/dynamic/notes.txt").touch()
        assert await folder.names() == {"app"}
        (tmp_path / "proxy/dynamic/notes.txt").unlink()
        for _ in range(2):
            await folder.remove("app")
        assert list((tmp_path / "proxy/dynamic").iterdir()) == []
        assert await folder.exists(folder.dynamic)
        assert not await folder.exists(f"{folder.dynamic}/none")

    async def test_others_cannot_look_in_and_what_was_left_unfinished_goes(self, folder, tmp_path: Path):
        await folder.prepare()
        for name in ("staging", "dynamic"):
            assert (tmp_path / "proxy" / name).stat().st_mode & 0o077 == 0
        (tmp_path / "proxy/staging/app.123").write_text("half")
        await folder.prepare()
        assert list((tmp_path / "proxy/staging").iterdir()) == []

    async def test_what_a_server_puts_there_is_not_read_without_end(self, folder, tmp_path: Path):
        await folder.prepare()
        (tmp_path / "proxy/dynamic/shop.yml").symlink_to("/dev/zero")
        with pytest.raises(NotPossibleNow, match="too large"):
            async with asyncio.timeout(20):
                await folder.read("shop")


class TestTrouble:
    @pytest.fixture
    async def disk(self, server: SshServer) -> AsyncIterator[Callable[[str], Awaitable[str]]]:
        """A small file system of its own on the server, mounted with these options."""
        path = "/mnt"

        async def mount(options: str) -> str:
            code, output = await asyncio.to_thread(
                server.run, "mount", "-t", "tmpfs", "-o", options, "tmpfs", path
            )
            assert code == 0, output
            return path

        yield mount
        await asyncio.to_thread(server.run, "umount", path)

    async def test_a_full_disk_is_named_and_keeps_the_file_as_it_was(
        self, server: SshServer, disk, connect: Connect
    ):
        root = await disk("size=64k")
        connection = SshConnection(way_to(server))
        files = SftpHostFiles(connection, PurePosixPath(root))
        await files.write(PurePosixPath("file"), b"before")
        with pytest.raises(NotPossibleNow, match="disk is full"):
            await files.write(PurePosixPath("file"), b"x" * 200_000)
        assert server.run("cat", f"{root}/file") == (0, "before")
        assert server.run("ls", "-A", root)[1].split() == ["file"]
        await connection.close()

    async def test_a_read_only_disk_is_named(self, server: SshServer, disk):
        connection = SshConnection(way_to(server))
        files = SftpHostFiles(connection, PurePosixPath(await disk("ro")))
        with pytest.raises(NotPossibleNow, match="read-only"):
            await files.write(PurePosixPath("file"), b"x")
        await connection.close()

    async def test_a_user_without_the_right_is_told_what_to_do(self, server: SshServer):
        connection = SshConnection(way_to(server, "maintainer"))
        files = SftpHostFiles(connection, PurePosixPath("/srv/seaway/app"))
        with pytest.raises(NotPossibleNow, match="install -d -o maintainer"):
            await files.write(PurePosixPath("file"), b"x")
        made = await connection.run(
            ["install", "-d", "-o", "maintainer", "/srv/seaway/app"], timeout=LIMIT, sudo=True
        )
        assert made.exit_code == 0
        assert await files.write(PurePosixPath("file"), b"x") == "/srv/seaway/app/file"
        await connection.close()

    async def test_what_containers_wrote_as_root_is_removed_for_a_user_with_sudo(self, server: SshServer):
        connection = SshConnection(way_to(server, "maintainer"))
        server.run("install", "-d", "-o", "maintainer", "/srv/volumes")
        server.run("mkdir", "-p", "/srv/volumes/app/of-root")
        server.run("touch", "/srv/volumes/app/of-root/file")
        await SftpHostFiles(connection, PurePosixPath("/srv/volumes")).remove_tree(PurePosixPath("app"))
        assert server.run("ls", "-A", "/srv/volumes") == (0, "")
        await connection.close()

    async def test_a_server_that_takes_a_file_without_end_is_given_up_and_keeps_what_it_had(
        self, server: SshServer, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(sftp, "FILE_LIMIT_SECONDS", 1.0)
        monkeypatch.setattr(sftp, "CLEAN_UP_SECONDS", 0.5)
        connection = SshConnection(way_to(server))
        files = SftpHostFiles(connection, PurePosixPath("/srv/slow"))
        await files.write(PurePosixPath("file"), b"before")
        fsync = asyncssh.SFTPClientFile.fsync

        async def stopped(file: asyncssh.SFTPClientFile) -> None:
            # Its sshd goes on, so the link itself looks well.
            await asyncio.to_thread(server.run, "pkill", "-STOP", "-x", "sftp-server")
            await fsync(file)

        began = time.monotonic()
        try:
            with monkeypatch.context() as patched:
                patched.setattr(asyncssh.SFTPClientFile, "fsync", stopped)
                with pytest.raises(TransientError, match="longer than 1 s to read or write"):
                    async with asyncio.timeout(30):
                        await files.write(PurePosixPath("file"), b"half")
            assert time.monotonic() - began < 20
        finally:
            server.run("pkill", "-CONT", "-x", "sftp-server")
        assert server.run("cat", "/srv/slow/file") == (0, "before")
        assert await files.write(PurePosixPath("file"), b"after") == "/srv/slow/file"
        assert server.run("cat", "/srv/slow/file") == (0, "after")
        assert server.run("ls", "-A", "/srv/slow")[1].split() == ["file"]
        await connection.close()

    async def test_a_link_that_breaks_meanwhile_is_a_server_that_cannot_be_reached(
        self, daemon: SshDaemon, connect: Connect
    ):
        connection = connect(daemon)
        async with connection.sftp() as sftp:
            await sftp.isdir("/")

        async def break_off() -> None:
            async with connection.sftp() as sftp:
                daemon.kill_sessions()
                await sftp.isdir("/")

        with pytest.raises(ServerUnreachable):
            await break_off()
