"""Lines as a terminal shows them, from chunks cut anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.processes import LONGEST_LINE, LineSplitter


def lines_of(*chunks: bytes) -> list[str]:
    splitter = LineSplitter()
    return [line for chunk in chunks for line in splitter.feed(chunk)] + list(splitter.finish())


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ([b"one\ntwo\n"], ["one", "two"]),
        ([b"one\n\ntwo"], ["one", "", "two"]),
        ([b"no line feed at the end"], ["no line feed at the end"]),
        ([b"cut in", b" two\n"], ["cut in two"]),
        ([b"windows\r", b"\nline\r\n"], ["windows", "line"]),
        ([b"10%\r50%\r", b"100%\ndone\n"], ["100%", "done"]),
        ([b"10%\r50%\r"], ["50%"]),
        ([b"caf\xc3", b"\xa9\n"], ["café"]),
        ([b"latin \xe9\n"], ["latin \ufffd"]),
        ([b"cut at the end \xc3"], ["cut at the end \ufffd"]),
        ([], []),
    ],
)
def test_lines_are_those_a_terminal_would_show(chunks: list[bytes], lines: list[str]) -> None:
    assert lines_of(*chunks) == lines


def test_a_line_longer_than_the_limit_comes_in_pieces_and_nothing_is_lost() -> None:
    text = "x" * (3 * LONGEST_LINE + 7)
    lines = lines_of(text.encode(), b"\nshort\n")
    assert "".join(lines[:-1]) == text
    assert max(map(len, lines)) <= LONGEST_LINE
    assert lines[-1] == "short"


def test_endless_progress_without_a_line_feed_takes_no_memory() -> None:
    splitter = LineSplitter()
    for percent in range(100_000):
        assert not list(splitter.feed(b"%d %% of a very large download\r" % percent))
    assert len(splitter._rest) < 1000


@given(st.lists(st.text(st.characters(exclude_characters="\r\n", codec="utf-8"))), st.data())
def test_where_chunks_are_cut_makes_no_difference(lines: list[str], data: st.DataObject) -> None:
    stream = "".join(line + "\n" for line in lines).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    chunks = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert lines_of(*chunks) == lines
