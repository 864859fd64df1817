from __future__ import annotations

from seaway.cli.event_stream import ServerEvent, parse_events


def test_events_have_a_name_their_data_and_the_newest_id() -> None:
    lines = ["id: 7", "event: log", "data: a", "", "event: step", "data: b", "data: c", "", ": ping", ""]
    assert list(parse_events(lines)) == [ServerEvent("log", "a", "7"), ServerEvent("step", "b\nc", "7")]


def test_an_event_without_a_name_is_a_message_and_one_without_data_is_none() -> None:
    assert list(parse_events(["data:x", "", "event: empty", ""], "3")) == [ServerEvent("message", "x", "3")]


def test_an_event_that_the_end_of_the_stream_cut_off_is_dropped() -> None:
    assert list(parse_events(["data: whole", "", "event: log", "data: half"])) == [
        ServerEvent("message", "whole")
    ]


def test_data_that_is_no_json_object_is_text() -> None:
    assert ServerEvent("log", "plain").json() == {"text": "plain"}
    assert ServerEvent("log", "[1]").json() == {"text": "[1]"}
    assert ServerEvent("log", '{"a": 1}').json() == {"a": 1}
