"""The engine's formats, cut at every place where a network may cut them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.docker.states import LogEntry, engine_time
from adapters.docker.streams import (
    LINE_LIMIT_BYTES,
    MOST_PARTS,
    FrameReader,
    JsonReader,
    LineReader,
    LogReader,
)
from domain.errors import EngineUnavailable

STAMP = b"2026-01-02T03:04:05.678901234Z "
AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def frame(stream: int, payload: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


@given(
    frames=st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=40)), max_size=8),
    size=st.integers(1, 20),
)
def test_frames_are_found_wherever_the_chunks_are_cut(frames: list[tuple[int, bytes]], size: int):
    data = b"".join(frame(stream, payload) for stream, payload in frames)
    reader = FrameReader()
    found = [item for i in range(0, len(data), size) for item in reader.feed(data[i : i + size])]
    assert found == [("stderr" if stream == 2 else "stdout", payload) for stream, payload in frames]


@given(text=st.text(st.characters(exclude_characters="\n\r", codec="utf-8")), size=st.integers(1, 9))
def test_lines_survive_cuts_inside_of_characters(text: str, size: int):
    data = f"{text}\nend".encode()
    reader = LineReader()
    lines = [line for i in range(0, len(data), size) for line in reader.feed(data[i : i + size])]
    assert [*lines, *reader.rest()] == [text, "end"]


def test_a_frame_that_no_engine_sends_is_not_waited_for():
    with pytest.raises(EngineUnavailable):
        list(FrameReader().feed(b"\x01\0\0\0\xff\xff\xff\xff"))


def test_an_endless_line_is_cut_and_not_collected_for_ever():
    reader = LineReader()
    assert [len(line) for _ in range(5) for line in reader.feed(b"x" * 100_000)] == [300_000]


def test_bytes_that_are_no_text_become_replacement_characters():
    assert list(LineReader().feed(b"a\xff\r\n")) == ["a\ufffd"]


def test_a_log_line_that_the_engine_split_is_one_entry_with_the_time_of_its_start():
    later = b"2026-01-02T03:04:09Z "
    data = (
        frame(1, STAMP + b"first half, ") + frame(2, later + b"other\n") + frame(1, later + b"second half\n")
    )
    reader = LogReader()
    assert list(reader.feed(data)) == [
        LogEntry("stderr", datetime(2026, 1, 2, 3, 4, 9, tzinfo=UTC), "other"),
        LogEntry("stdout", AT, "first half, second half"),
    ]
    assert list(reader.rest()) == []


def test_a_log_line_without_an_end_comes_out_when_the_stream_ends():
    reader = LogReader()
    assert list(reader.feed(frame(1, STAMP + b"bye"))) == []
    assert list(reader.rest()) == [LogEntry("stdout", AT, "bye")]


def details(task: str) -> bytes:
    swarm = "com.docker.swarm"
    return f"{swarm}.node.id=n1,{swarm}.service.id=s1,{swarm}.task.id={task} ".encode()


def test_the_lines_of_a_service_name_their_tasks_whose_parts_are_not_mixed():
    one, two = STAMP + details("t1"), STAMP + details("t2")
    reader = LogReader(names_tasks=True)
    data = frame(1, one + b"first half, ") + frame(1, two + b"other\n") + frame(1, one + b"second half\n")
    assert list(reader.feed(data)) == [
        LogEntry("stdout", AT, "other", "t2"),
        LogEntry("stdout", AT, "first half, second half", "t1"),
    ]
    # An engine in other hands fills no memory with the begins of lines.
    begins = [frame(1, STAMP + details(f"t{number}") + b"begin") for number in range(MOST_PARTS + 5)]
    assert [entry.task for entry in reader.feed(b"".join(begins))] == [f"t{number}" for number in range(5)]


def test_a_log_line_of_a_size_that_no_engine_writes_is_cut():
    endless = b"x" * (1 << 20)
    reader = LogReader()
    said = frame(1, STAMP + endless) + frame(1, STAMP + endless + b"\n") + frame(2, STAMP + b"next\n")
    texts = [entry.text for entry in reader.feed(said)]
    assert [len(text) for text in texts] == [LINE_LIMIT_BYTES, LINE_LIMIT_BYTES, len("next")]
    # One of exactly that length is whole.
    assert [len(entry.text) for entry in reader.feed(frame(1, STAMP + b"x" * LINE_LIMIT_BYTES + b"\n"))] == [
        LINE_LIMIT_BYTES
    ]


def test_json_messages_are_read_line_by_line():
    reader = JsonReader()
    assert list(reader.feed(b'{"status":"a"}\r\n{"sta')) == [{"status": "a"}]
    assert list(reader.feed(b'tus":"b"}')) == []
    assert list(reader.rest()) == [{"status": "b"}]


def test_engine_times_are_aware_and_the_year_one_means_never():
    assert engine_time("2026-01-02T03:04:05.678901234Z") == AT
    assert engine_time("2026-01-02T03:04:05.67Z") == AT.replace(microsecond=670000)
    assert engine_time("2026-01-02T03:04:05Z") == AT.replace(microsecond=0)
    assert engine_time("0001-01-01T00:00:00Z") is None
