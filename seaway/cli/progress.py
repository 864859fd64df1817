"""How a deployment stands, put together from its live events; pure, so that views only draw it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from domain.deployments import STEP_TITLES, Step, StepName
from seaway.cli.answers import LogLine

Place = tuple[str, str]
"""A step's name and its server."""


@dataclass(frozen=True)
class StepChanged:
    """A step stands otherwise than before."""

    step: Step


@dataclass(frozen=True)
class LineWritten:
    """The log grew by a line."""

    line: LogLine


@dataclass(frozen=True)
class AttemptReset:
    """A step began anew: what its older attempts wrote no longer counts."""

    step: str
    server: str
    attempt: int


Change = StepChanged | LineWritten | AttemptReset


class Progress:
    """The steps in their order and the log without the lines of older attempts.

    One thread takes changes in while another draws, so readers copy before they iterate.
    """

    def __init__(self) -> None:
        self._steps: dict[Place, Step] = {}
        self._lines: dict[int, LogLine] = {}
        self._attempts: dict[Place, int] = {}
        self._newest_line = 0

    @property
    def steps(self) -> list[Step]:
        """The steps, in the order of a release."""
        order = list(StepName)
        return sorted(self._steps.values(), key=lambda step: order.index(step.name))

    @property
    def lines(self) -> list[LogLine]:
        """The log, in order."""
        return list(self._lines.values())

    @property
    def newest_line(self) -> int:
        """The id of the newest line seen, to go on after."""
        return self._newest_line

    @property
    def has_several_servers(self) -> bool:
        """Whether a step's server must be named to tell it from another."""
        return len({step.server for step in list(self._steps.values()) if step.server}) > 1

    def take(self, changes: Iterable[Change]) -> list[Change]:
        """Takes the changes in; returns those that were news, with the resets that they imply."""
        news: list[Change] = []
        for change in changes:
            match change:
                case StepChanged(step=step):
                    news += self._change_step(step)
                case LineWritten(line=line):
                    news += self._append(line)
                case AttemptReset():
                    news += self._reset(change)
        return news

    def _change_step(self, step: Step) -> list[Change]:
        place = (step.name.value, step.server)
        known, self._steps[place] = self._steps.get(place), step
        if known == step:
            return []
        return [StepChanged(step)]

    def _append(self, line: LogLine) -> list[Change]:
        """Ids only grow, so a line that is not newer than the newest was sent before."""
        if line.id <= self._newest_line:
            return []
        implied = self._reset(AttemptReset(line.step, line.server, line.attempt))
        self._newest_line = line.id
        self._lines[line.id] = line
        return [*implied, LineWritten(line)]

    def _reset(self, reset: AttemptReset) -> list[Change]:
        place = (reset.step, reset.server)
        known, self._attempts[place] = (
            self._attempts.get(place, 0),
            max(reset.attempt, self._attempts.get(place, 0)),
        )
        stale = [
            line.id
            for line in self._lines.values()
            if (line.step, line.server) == place and line.attempt < reset.attempt
        ]
        for number in stale:
            del self._lines[number]
        return [reset] if known and reset.attempt > known else []


def title_of(step: str) -> str:
    """A step's name for people; one that this version does not know, as it is."""
    try:
        return STEP_TITLES[StepName(step)]
    except ValueError:
        return step
