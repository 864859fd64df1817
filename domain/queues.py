"""Which waiting commands a new one replaces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from domain.deployments import OperationKind


class Queued(Protocol):
    """Anything that waits in an application's queue."""

    @property
    def kind(self) -> OperationKind:
        """What it will do."""
        ...


Waiting = TypeVar("Waiting", bound=Queued)


def enqueue(waiting: Sequence[Waiting], new: Waiting) -> tuple[list[Waiting], list[Waiting]]:
    """The queue with the new command at its end, and the commands that it supersedes.

    A deploy supersedes waiting deploys: only the newest commit is worth building. A delete
    supersedes everything that waits. Whatever else was asked for keeps its place.
    """
    if new.kind is OperationKind.DELETE:
        return [new], list(waiting)
    if new.kind is not OperationKind.DEPLOY:
        return [*waiting, new], []
    kept = [command for command in waiting if command.kind is not OperationKind.DEPLOY]
    return [*kept, new], [command for command in waiting if command.kind is OperationKind.DEPLOY]
