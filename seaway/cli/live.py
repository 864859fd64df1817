"""Shows a deployment while it runs: redrawn in place on a terminal, line by line elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from domain.deployments import Step, StepStatus
from seaway.cli.output import duration, plain
from seaway.cli.progress import AttemptReset, Change, LineWritten, Progress, StepChanged, title_of

LOG_LINES_SHOWN = 15
REDRAWS_PER_SECOND = 8
_MARKS: dict[StepStatus, tuple[str, str]] = {
    StepStatus.PENDING: ("·", "dim"),
    StepStatus.RUNNING: ("→", "cyan"),
    StepStatus.SUCCEEDED: ("✓", "green"),
    StepStatus.FAILED: ("✗", "bold red"),
    StepStatus.COMPENSATED: ("↩", "yellow"),
    StepStatus.SKIPPED: ("-", "dim"),
}


class View(Protocol):
    """Whatever shows changes as they come."""

    def __enter__(self) -> Self:
        """Begins to show."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leaves what was shown in its last state."""
        ...

    def tell(self, news: list[Change]) -> None:
        """Shows what is new."""
        ...


class SilentView:
    """Shows nothing: for `--json`."""

    def __enter__(self) -> Self:
        """Nothing to begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to end."""

    def tell(self, news: list[Change]) -> None:
        """Keeps it to itself."""


class PlainView(SilentView):
    """One line for each change, for pipes and CI. What was printed cannot be taken back, so a new

    attempt is announced instead.
    """

    def __init__(self, console: Console, progress: Progress) -> None:
        self._console = console
        self._progress = progress
        self._shown: dict[tuple[str, str], tuple[StepStatus, int]] = {}

    def tell(self, news: list[Change]) -> None:
        """Prints what is new."""
        for change in news:
            match change:
                case StepChanged(step=step):
                    self._print_step(step)
                case LineWritten(line=line):
                    self._print(f"  {self._place(line.step, line.server)} | {plain(line.text)}")
                case AttemptReset():
                    place = self._place(change.step, change.server)
                    self._print(
                        f"! {place}: attempt {change.attempt} begins anew; its lines above no longer count"
                    )

    def _print_step(self, step: Step) -> None:
        place, state = (step.name.value, step.server), (step.status, step.attempt)
        if step.status is StepStatus.PENDING or self._shown.get(place) == state:
            return
        self._shown[place] = state
        facts = [step.status.value, *facts_of(step, so_far=False)]
        self._print(
            f"{_MARKS[step.status][0]} {self._place(step.name.value, step.server)}: {', '.join(facts)}"
        )

    def _place(self, step: str, server: str) -> str:
        named = server and self._progress.has_several_servers
        return f"{title_of(step)} ({server})" if named else title_of(step)

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False)


class TerminalView:
    """The steps with their durations and the end of the log, redrawn in place."""

    def __init__(self, console: Console, progress: Progress) -> None:
        self._console = console
        self._progress = progress
        self._spinner = Spinner("dots", style="cyan")
        self._ended = False
        self._live = Live(
            console=console,
            get_renderable=self._draw,
            refresh_per_second=REDRAWS_PER_SECOND,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        """Begins to draw."""
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leaves the steps on the screen."""
        self._ended = True
        self._live.stop()

    def tell(self, news: list[Change]) -> None:
        """Nothing to do: the next redraw reads the progress, which has taken the news in already."""

    def _draw(self) -> RenderableType:
        steps = self._progress.steps
        parts: list[RenderableType] = [self._table(steps)]
        room = self._console.height - len(steps) - 3
        lines = [] if self._ended else self._progress.lines[-max(min(room, LOG_LINES_SHOWN), 1) :]
        if lines:
            text = Text("\n").join(Text(plain(line.text)) for line in lines)
            text.no_wrap, text.overflow = True, "ellipsis"
            text.stylize("dim")
            parts += [Text(), text]
        return Group(*parts)

    def _table(self, steps: list[Step]) -> RenderableType:
        if not steps:
            return self._spinner_with("Waiting for its turn")
        table = Table.grid(padding=(0, 1))
        for step in steps:
            mark, style = _MARKS[step.status]
            name = title_of(step.name.value)
            server = step.server if self._progress.has_several_servers else ""
            spins = step.status is StepStatus.RUNNING and not self._ended
            table.add_row(
                self._spinner if spins else Text(mark, style=style),
                Text(name, style="bold" if spins else style if step.status is StepStatus.FAILED else ""),
                Text(server, style="dim"),
                Text(", ".join(facts_of(step)), style="dim", no_wrap=True, overflow="ellipsis"),
            )
        return table

    def _spinner_with(self, text: str) -> RenderableType:
        table = Table.grid(padding=(0, 1))
        table.add_row(self._spinner if not self._ended else Text("·"), Text(text, style="dim"))
        return table


def facts_of(step: Step, *, so_far: bool = True) -> list[str]:
    """Attempt (from the second on), duration (of a running step only with `so_far`) and message of a step."""
    facts = [f"attempt {step.attempt}"] if step.attempt > 1 else []
    if step.started_at is not None and step.status is not StepStatus.SKIPPED:
        end = step.finished_at or datetime.now(UTC)
        if step.finished_at or (step.status is StepStatus.RUNNING and so_far):
            facts.append(duration((end - step.started_at).total_seconds()))
    if step.message:
        facts.append(" ".join(plain(step.message).split()))
    return facts


def view_for(console: Console, progress: Progress, *, as_json: bool) -> View:
    """The view that suits where the output goes."""
    if as_json:
        return SilentView()
    if console.is_terminal and not console.is_dumb_terminal:
        return TerminalView(console, progress)
    return PlainView(console, progress)
