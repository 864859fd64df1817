"""How much a commit unpacks to, found out before it is written.

A repository of a few kilobytes can name the same folder a billion times, or hold a file of zeros as large as
any disk. Whoever may push to one must not be able to take the worker's memory or disk with it.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from domain.errors import SourceIncomplete
from domain.sizes import in_words

MOST_FILES: Final = 1_000_000
"""Files and folders of a commit with its submodules; the largest repositories have half as many."""

BLOCK_BYTES: Final = 4096
LEFT_FREE_BYTES: Final = 256 * 1024 * 1024


class Allowance:
    """What a commit and its submodules may have in all. Every entry of a tree is counted as it is listed."""

    def __init__(self, free_bytes: int, *, most_files: int = MOST_FILES) -> None:
        """`free_bytes` is what the disk has; some of it stays free."""
        self._most_bytes = max(free_bytes - LEFT_FREE_BYTES, 0)
        self._most_files = most_files
        self.spent = (0, 0)
        """Files and bytes so far; what is listed anew may be given back."""

    @classmethod
    def of(cls, folder: Path) -> Allowance:
        """What may be written to the disk of this folder."""
        return cls(shutil.disk_usage(folder).free)

    def take(self, line: str) -> None:
        """Counts a line of `git ls-tree --long`. Raises SourceIncomplete for more than there may be."""
        facts = line.partition("\t")[0].split()
        size = int(facts[-1]) if facts and facts[-1].isdecimal() else 0
        files, size_bytes = self.spent
        files, size_bytes = files + 1, size_bytes - (-size // BLOCK_BYTES) * BLOCK_BYTES
        self.spent = files, size_bytes
        if files > self._most_files:
            raise SourceIncomplete(
                f"The commit has more than {self._most_files:,} files and folders, which no build gets. "
                "Look for a folder that contains itself, or for generated files that were committed."
            )
        if size_bytes > self._most_bytes:
            raise SourceIncomplete(
                f"The files of the commit are larger than the {in_words(self._most_bytes)} that Seaway has "
                "room for. Remove what was committed by mistake, or free space on the disk of its worker."
            )
