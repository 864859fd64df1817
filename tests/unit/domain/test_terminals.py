"""What a command and a person say to each other."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidInput
from domain.terminals import (
    LONGEST_COMMAND_BYTES,
    EndOfInput,
    OutputStream,
    Resize,
    SendSignal,
    Signal,
    Start,
    Terminal,
    output_message,
    output_of,
    said,
)

arguments = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1), min_size=1, max_size=20
)


@given(arguments, st.booleans())
def test_a_start_is_understood_as_it_was_said(command, interactive):
    start = Start(command=tuple(command), interactive=interactive)
    assert said(start.model_dump_json()) == start


@given(st.sampled_from(OutputStream), st.binary())
def test_output_arrives_as_it_was_written(stream, data):
    assert output_of(output_message(stream, data)) == (stream, data)


@given(st.binary().filter(lambda data: not data or data[0] not in (1, 2)))
def test_what_is_no_output_is_refused(data):
    with pytest.raises(InvalidInput):
        output_of(data)


@given(st.text())
def test_nonsense_is_refused_with_one_error_and_nothing_else(text):
    with pytest.raises(InvalidInput):
        said(text)


@pytest.mark.parametrize(
    "message",
    [
        {"event": "start"},
        {"event": "start", "command": ["sh"], "terminal": {}},
        {"event": "start", "command": ["a\0b"]},
        {"event": "start", "command": [""]},
        {"event": "start", "command": ["x" * LONGEST_COMMAND_BYTES]},
        {"event": "start", "command": ["x"] * 1001},
        {"event": "start", "command": ["sh"], "interactive": True, "terminal": {"type": "../x"}},
        {"event": "start", "command": ["sh"], "user": "root"},
        {"event": "resize", "columns": 0, "rows": 1},
        {"event": "signal", "signal": "KILL"},
        {"event": "taken", "bytes": -1},
        {"event": "unknown"},
    ],
)
def test_what_cannot_be_done_is_refused(message):
    with pytest.raises(InvalidInput):
        said(json.dumps(message))


def test_an_argument_that_is_no_text_is_refused_before_anything_is_sent():
    with pytest.raises(ValueError, match="no UTF-8 text"):
        Start(command=("sh", "\udcff"))


def test_a_refusal_does_not_repeat_what_may_be_secret():
    with pytest.raises(InvalidInput) as refused:
        said(json.dumps({"event": "start", "command": ["hunter2\0"], "x": "hunter2"}))
    assert "hunter2" not in refused.value.message + refused.value.detail


def test_the_other_messages_are_understood():
    assert said('{"event":"end-of-input"}') == EndOfInput()
    assert said('{"event":"resize","columns":91,"rows":17}') == Resize(columns=91, rows=17)
    assert said('{"event":"signal","signal":"INT"}') == SendSignal(signal=Signal.INTERRUPT)
    assert Start(interactive=True, terminal=Terminal()).command == ()
