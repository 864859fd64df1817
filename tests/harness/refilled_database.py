"""One database for many tests, each of which begins with the same content."""

from __future__ import annotations

import shutil
from pathlib import Path

from store.database import Database


class RefilledDatabase:
    """Keeps its engine from test to test: a new one would compile every statement again, which is most
    of what a short test takes."""

    def __init__(self, content: Path, folder: Path) -> None:
        """`content` is a SQLite file that nobody has open; copies of it live in `folder`."""
        self._content = content
        self._path = folder / "seaway.db"
        self.database = Database(f"sqlite:///{self._path}")

    async def refill(self) -> Database:
        """The database with its first content; what earlier tests wrote is gone."""
        await self.database.close()
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        shutil.copy(self._content, self._path)
        return self.database
