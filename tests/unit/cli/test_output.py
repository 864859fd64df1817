"""What comes from elsewhere cannot steer the terminal of who looks at it."""

from __future__ import annotations

import pytest

from domain.errors import InvalidInput
from seaway.cli.output import Output, coloured

# Sets the clipboard; erases the screen; a colour; moves up; one byte that terminals take for ESC [.
HOSTILE = "\x1b]52;c;cm0gLXJmIH4=\x07one\x1b[2J\x1b[31m two\x1b[1A\x9b2J"


@pytest.mark.parametrize("way", ["say", "note", "table", "nothing", "fail"])
def test_no_text_steers_the_terminal(way: str, capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(as_json=False)
    match way:
        case "say":
            output.say(HOSTILE)
        case "note":
            output.note(HOSTILE)
        case "table":
            output.table(["NAME"], [[HOSTILE]], "none")
        case "nothing":
            output.table(["NAME"], [], HOSTILE)
        case _:
            output.fail(InvalidInput(HOSTILE, field=HOSTILE))
    shown = "".join(capsys.readouterr())
    assert "one two" in shown
    assert "\x1b" not in shown
    assert "\x9b" not in shown


def test_of_an_applications_log_only_colours_and_carriage_returns_stay() -> None:
    assert coloured(HOSTILE) == "one\x1b[31m two2J"
    assert coloured("\x1b[1;32mok\x1b[0m\t50 %\r100 %\n") == "\x1b[1;32mok\x1b[0m\t50 %\r100 %\n"
