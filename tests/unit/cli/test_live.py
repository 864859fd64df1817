from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from domain.deployments import Step
from seaway.cli.answers import LogLine
from seaway.cli.live import PlainView, SilentView, TerminalView, view_for
from seaway.cli.progress import AttemptReset, Change, LineWritten, Progress, StepChanged
from tests.unit.cli.stub_seaway import line, step


def changed(name: str, status: str, **more: Any) -> StepChanged:
    return StepChanged(Step.model_validate(step(name, status, **more)))


def written(number: int, text: str, **more: Any) -> LineWritten:
    return LineWritten(LogLine.model_validate(line(number, text, **more)))


RECORDED: list[Change] = [
    changed("build", "pending", attempt=0, started_at=None),
    changed("resolve_source", "running"),
    written(1, "fetched 0123456", name="resolve_source"),
    changed("resolve_source", "succeeded", message="main is 0123456"),
    changed("build", "running"),
    written(2, "first try"),
    AttemptReset("build", "local", 2),
    changed("build", "running", attempt=2),
    written(3, "second try", attempt=2),
]


def plain_console() -> Console:
    return Console(file=io.StringIO(), width=200)


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def terminal_console() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=100, height=30, color_system=None)


def test_a_pipe_gets_one_line_for_each_change_and_hears_of_a_new_attempt() -> None:
    console, progress = plain_console(), Progress()
    view = PlainView(console, progress)
    for change in RECORDED:
        view.tell(progress.take([change]))
    view.tell(progress.take([changed("build", "succeeded", attempt=2)]))
    assert printed(console).splitlines() == [
        "→ Resolve source: running",
        "  Resolve source | fetched 0123456",
        "✓ Resolve source: succeeded, 12.5 s, main is 0123456",
        "→ Build image: running",
        "  Build image | first try",
        "! Build image: attempt 2 begins anew; its lines above no longer count",
        "→ Build image: running, attempt 2",
        "  Build image | second try",
        "✓ Build image: succeeded, attempt 2, 12.5 s",
    ]


def test_a_pipe_hears_nothing_twice_when_everything_is_sent_again() -> None:
    console, progress = plain_console(), Progress()
    view = PlainView(console, progress)
    view.tell(progress.take(RECORDED))
    before = printed(console)
    view.tell(progress.take(RECORDED[4:]))
    assert printed(console).count("second try") == 1
    assert printed(console).count("first try") == before.count("first try")


def test_a_terminal_shows_steps_in_order_and_no_lines_of_an_older_attempt() -> None:
    console, progress = terminal_console(), Progress()
    view = TerminalView(console, progress)
    progress.take(RECORDED)
    with console.capture() as capture:
        console.print(view._draw())
    rows = capture.get().splitlines()
    assert "✓ Resolve source" in rows[0]
    assert "Build image" in rows[1]
    assert "attempt 2" in rows[1]
    assert any("second try" in row for row in rows)
    assert not any("first try" in row for row in rows)


def test_a_terminal_keeps_the_steps_and_lets_go_of_the_log_at_the_end() -> None:
    console, progress = terminal_console(), Progress()
    with TerminalView(console, progress) as view:
        progress.take([*RECORDED, changed("build", "failed", attempt=2)])
    with console.capture() as capture:
        console.print(view._draw())
    assert "✗ Build image" in capture.get()
    assert "second try" not in capture.get()


def test_before_its_turn_a_deployment_is_shown_as_waiting() -> None:
    console = terminal_console()
    with console.capture() as capture:
        console.print(TerminalView(console, Progress())._draw())
    assert "Waiting for its turn" in capture.get()


def test_what_a_build_prints_cannot_steer_the_terminal() -> None:
    console, progress = plain_console(), Progress()
    view = PlainView(console, progress)
    view.tell(progress.take([written(1, "\x1b[2J\x1b]0;title\x07 10 %\r100 % [bold]done[/bold]\x9b1m")]))
    assert printed(console) == "  Build image | 100 % [bold]done[/bold]1m\n"


def test_servers_are_named_only_where_there_are_several() -> None:
    console, progress = plain_console(), Progress()
    view = PlainView(console, progress)
    view.tell(progress.take([changed("start", "succeeded")]))
    view.tell(progress.take([changed("start", "succeeded", server="second")]))
    assert printed(console).splitlines() == [
        "✓ Start new replicas: succeeded, 12.5 s",
        "✓ Start new replicas (second): succeeded, 12.5 s",
    ]


def test_the_view_suits_where_the_output_goes() -> None:
    progress = Progress()
    assert type(view_for(terminal_console(), progress, as_json=False)) is TerminalView
    assert type(view_for(plain_console(), progress, as_json=False)) is PlainView
    assert type(view_for(terminal_console(), progress, as_json=True)) is SilentView
