"""What shall go wrong in a worker, and where: a small file that the test writes and the worker takes."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass
from enum import StrEnum
from json import dumps, loads
from pathlib import Path
from typing import Self


class Moment(StrEnum):
    """A point in the life of one activity, in their order."""

    BEFORE = "before"
    """The worker has taken the task, and nothing of it is done or recorded."""

    BEGUN = "begun"
    """Recorded as running; the work itself has not begun."""

    MIDDLE = "middle"
    """The work runs: `seconds` after it began, or once its log holds a line with `text`."""

    DONE = "done"
    """The work is done; neither the database nor Temporal knows."""

    AFTER = "after"
    """The work is done and recorded in the database; Temporal does not know."""


class Action(StrEnum):
    """What happens then."""

    KILL = "kill"
    """SIGKILL to the worker, by itself."""

    HOLD = "hold"
    """The activity waits until the file of the fault is removed, or until it is cancelled."""


@dataclass(frozen=True)
class Fault:
    """One fault, which happens once. `activity` is its name on the wire; `undo` means its compensation.

    `server` is the name of the one server on which it happens, where it may not be any.
    """

    activity: str
    moment: Moment
    action: Action = Action.KILL
    undo: bool = False
    seconds: float = 0.0
    text: str = ""
    server: str = ""

    @property
    def label(self) -> str:
        """For tables."""
        undone = "undo of " if self.undo else ""
        return f"{self.moment} {undone}{self.activity}"


class FaultFile:
    """The file by which a test tells a worker what shall go wrong. Whoever takes a fault has it alone."""

    def __init__(self, path: Path) -> None:
        """`path` does not exist while nothing is planned."""
        self.path = path
        self.taken_path = path.with_suffix(".taken")

    def plan(self, fault: Fault) -> None:
        """Plans a fault in place of any other."""
        self.clear()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.path.with_suffix(".new")
        unfinished.write_text(dumps(asdict(fault)))
        unfinished.replace(self.path)

    def clear(self) -> None:
        """Plans nothing; an activity that is held goes on."""
        self.path.unlink(missing_ok=True)
        self.taken_path.unlink(missing_ok=True)

    def planned(self) -> Fault | None:
        """What is planned and did not happen yet."""
        with contextlib.suppress(FileNotFoundError):
            fields = loads(self.path.read_text())
            return Fault(**fields | {"moment": Moment(fields["moment"]), "action": Action(fields["action"])})
        return None

    def take(self) -> bool:
        """Whether the fault is the caller's to carry out."""
        try:
            self.path.rename(self.taken_path)
        except FileNotFoundError:
            return False
        return True

    @property
    def happened(self) -> bool:
        """Whether it was taken."""
        return self.taken_path.exists()

    @classmethod
    def of(cls, folder: Path, task_queue: str) -> Self:
        """The file for the worker of a task queue."""
        return cls(folder / f"{task_queue}.json")
