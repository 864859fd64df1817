"""What the audit keeps of a command that somebody ran."""

from __future__ import annotations

import shlex

from api.routes.terminals import LONGEST_SUMMARY, audited_command
from domain.redaction import REDACTED, Redactor

SECRET = "pa'ss-Wörd1"


def test_quoting_spells_no_secret_in_a_way_that_passes() -> None:
    assert audited_command(["mysql", "-p", SECRET], Redactor([SECRET])) == shlex.join(
        ["mysql", "-p", REDACTED]
    )


def test_a_secret_of_several_lines_is_hidden_before_they_become_one() -> None:
    assert audited_command(["login", "abc\ndef\nghi"], Redactor(["abc\ndef\nghi"])) == shlex.join(
        ["login", REDACTED]
    )


def test_it_is_one_line_of_bounded_length() -> None:
    summary = audited_command(["echo", "one\ntwo", "x" * 100_000], Redactor([]))
    assert summary.startswith("echo 'one two'")
    assert len(summary) == LONGEST_SUMMARY
