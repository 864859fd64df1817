"""How much a commit may unpack to."""

from __future__ import annotations

import pytest

from adapters.git_sizes import LEFT_FREE_BYTES, Allowance
from domain.errors import SourceIncomplete

FILE = "100644 blob 2f7efbeab578c8042531ea7908ee8ffd7589fe46 {size:>7}\tsome\\tpath with 1234"
FOLDER = "040000 tree 2f7efbeab578c8042531ea7908ee8ffd7589fe46       -\tsome"


def test_files_and_folders_are_counted() -> None:
    allowance = Allowance(1 << 40, most_files=3)
    for line in (FILE.format(size=1), FOLDER, FOLDER):
        allowance.take(line)
    with pytest.raises(SourceIncomplete, match="more than 3 files and folders"):
        allowance.take(FOLDER)


def test_what_is_larger_than_the_disk_is_refused() -> None:
    allowance = Allowance(LEFT_FREE_BYTES + 5_000_000)
    allowance.take(FILE.format(size=4_000_000))
    with pytest.raises(SourceIncomplete, match="larger than the 5 MB"):
        allowance.take(FILE.format(size=1_000_000))


def test_small_files_take_a_block_each() -> None:
    allowance = Allowance(1 << 40)
    allowance.take(FILE.format(size=1))
    allowance.take(FILE.format(size=4096))
    allowance.take(FILE.format(size=0))
    allowance.take(FOLDER)
    assert allowance.spent == (4, 8192)


def test_what_is_no_such_line_is_counted_without_a_size() -> None:
    allowance = Allowance(1 << 40)
    for line in ("", "fatal: not a tree object", "160000 commit 2f7efbea       -\tlibrary", "0" * 70_000):
        allowance.take(line[:64])
    assert allowance.spent[0] == 4
