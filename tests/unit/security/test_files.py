"""Who may read what Seaway writes."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from adapters.host_files import LocalHostFiles
from domain.errors import InvalidInput
from tests.harness.processes import REPOSITORY_ROOT

WRITE_A_DATABASE = """
import asyncio, sys
from pathlib import Path
from sqlmodel import text
from seaway.data_folder import exclusive, keep_private
from store.database import Database
from store.encryption import load_or_create_keys

async def write(folder):
    database = Database(f"sqlite:///{folder / 'seaway.db'}")
    await database.migrate()
    async with database.writing() as session:
        await session.exec(text("CREATE TABLE one (value)"))
        for path in folder.iterdir():
            print(path.name, oct(path.stat().st_mode & 0o777))
    await database.close()

folder = Path(sys.argv[1])
keep_private()
load_or_create_keys(folder / "secret.keys")
with exclusive(folder):
    asyncio.run(write(folder))
"""


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def private_umask() -> Iterator[None]:
    """As in the process of Seaway."""
    before = os.umask(0o077)
    yield
    os.umask(before)


def test_in_a_folder_that_all_may_look_into_nobody_else_reads_the_database(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o755)
    completed = subprocess.run(
        [sys.executable, "-c", WRITE_A_DATABASE, str(folder)],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY_ROOT)},
    )
    modes = dict(line.split() for line in completed.stdout.splitlines())
    assert {"seaway.db", "seaway.db-wal", "secret.keys", "seaway.lock"} <= set(modes)
    assert set(modes.values()) == {"0o600"}


@pytest.mark.usefixtures("private_umask")
async def test_a_file_for_a_container_is_readable_there_and_out_of_reach_of_other_users(
    tmp_path: Path,
) -> None:
    files = LocalHostFiles(tmp_path / "data")
    path = Path(await files.write(PurePosixPath("applications/shop/files/1/app.conf"), b"secret"))
    assert (mode_of(path), mode_of(path.parent)) == (0o644, 0o755)
    assert [mode_of(folder) for folder in list(path.parents)[1:4]] == [0o700] * 3


@pytest.mark.parametrize("escape", ["../x", "a/../../x", "/etc/x", ""])
async def test_no_file_is_written_outside_of_the_folder(tmp_path: Path, escape: str) -> None:
    with pytest.raises(InvalidInput):
        await LocalHostFiles(tmp_path).write(PurePosixPath(escape), b"")
