"""Pasted environment variables: values, quotes, comments, and lines that are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.environment_files import ParsedVariable, parse_environment_file
from domain.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("NIXPACKS_NODE_VERSION=22 #needed for now", ("NIXPACKS_NODE_VERSION", "22", "needed for now")),
        ('KEY1="value with # hash"', ("KEY1", "value with # hash", None)),
        ("KEY1=", ("KEY1", "", None)),
        ("KEY1= # nothing", ("KEY1", "", "nothing")),
        ('KEY1="value with spaces" #comment', ("KEY1", "value with spaces", "comment")),
        ("KEY2=value2\t#comment with tab", ("KEY2", "value2", "comment with tab")),
        ('COLOR: "#FF0000"  # hex color code', ("COLOR", "#FF0000", "hex color code")),
        (
            'DB_URL: "postgres://user:pass#123@localhost"  # database URL',
            ("DB_URL", "postgres://user:pass#123@localhost", "database URL"),
        ),
        ("- DEBUG  # enable debug mode", ("DEBUG", "", "enable debug mode")),
        ("- DEBUG=1", ("DEBUG", "1", None)),
        ("COLOR=#FF0000", ("COLOR", "#FF0000", None)),
        ("URL=http://a.com/#top", ("URL", "http://a.com/#top", None)),
        ("export A=b", ("A", "b", None)),
        ("  A = b c  ", ("A", "b c", None)),
        ("A=b=c==", ("A", "b=c==", None)),
        ("A=it's", ("A", "it's", None)),
        ('A={"b": "c"}', ("A", '{"b": "c"}', None)),
        ('A="say \\"hi\\"\\n\\\\"', ("A", 'say "hi"\n\\', None)),
        ("A=\\n", ("A", "\\n", None)),
        ("A=b\r\n", ("A", "b", None)),
        ("\ufeffA=b", ("A", "b", None)),
        ('A="line 1\nline 2"', ("A", "line 1\nline 2", None)),
        ('A="" # empty', ("A", "", "empty")),
    ],
)
def test_an_assignment_has_a_value_and_perhaps_a_comment(
    text: str, expected: tuple[str, str, str | None]
) -> None:
    assert parse_environment_file(text) == [ParsedVariable(*expected)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("KEY2='another # hash'", "another # hash"),
        ("A='$B \\n'", "$B \\n"),
        ('A="a\\$B"', "a$B"),
        ("A='1\n2'", "1\n2"),
    ],
)
def test_quotes_can_ask_that_a_dollar_stays_one(text: str, value: str) -> None:
    (variable,) = parse_environment_file(text)
    assert (variable.value, variable.is_literal) == (value, True)


def test_comments_blank_lines_and_repetitions_keep_the_order_of_the_rest() -> None:
    text = "# first\n\nA=1\n   # indented\n\t\nB='x\ny' # both\nA=2\n\n"
    assert parse_environment_file(text) == [
        ParsedVariable("A", "1"),
        ParsedVariable("B", "x\ny", "both", is_literal=True),
        ParsedVariable("A", "2"),
    ]


def test_the_environment_of_a_compose_file_can_be_pasted() -> None:
    text = 'environment:\n  A: "1"  # one\n  B: two\n  C:\n'
    assert parse_environment_file(text) == [
        ParsedVariable("A", "1", "one"),
        ParsedVariable("B", "two"),
        ParsedVariable("C", ""),
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("A=1\nB", 2),
        ("1A=x", 1),
        ("\n\n=x", 3),
        ("A-B=x", 1),
        ('A=1\nB="x\nC=2', 2),
        ("A='x", 1),
        ('A="x"y', 1),
        ("hello world", 1),
        ("A:b", 1),
    ],
)
def test_a_line_that_is_no_assignment_is_refused_by_its_number_and_not_repeated(text: str, line: int) -> None:
    with pytest.raises(InvalidInput, match=f"^Line {line}:") as caught:
        parse_environment_file(text)
    assert caught.value.field == "environment"


@given(st.text() | st.text(alphabet="AB=:#\"'\\ \n\t-$"))
def test_any_text_is_variables_or_invalid_input(text: str) -> None:
    try:
        outcome: object = parse_environment_file(text)
    except InvalidInput as refusal:
        outcome = refusal
    assert isinstance(outcome, InvalidInput | list)


@given(st.text(alphabet=st.characters(exclude_characters="\r", exclude_categories=["Cs"])))
def test_any_value_survives_double_quotes(value: str) -> None:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    (variable,) = parse_environment_file(f'A="{escaped}" # end')
    assert variable == ParsedVariable("A", value, "end", is_literal="\\$" in escaped)
