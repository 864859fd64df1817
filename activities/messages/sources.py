"""Finding what a release is made of."""

from __future__ import annotations

from datetime import timedelta

from activities.messages.commands import Command
from activities.messages.message import Message
from activities.messages.steps import StepInput, StepOutcome


class ResolveSource(StepInput):
    """Find the commit (or image) that the command asks for."""

    command: Command
    limit: timedelta = timedelta(minutes=5)
    look_on: tuple[str, ...] = ()
    """The ids of the servers that may have the image; without any, only the step's own server is asked."""
    passes_over: bool = False
    """Whether a server that stays out of reach is told of, in place of failing the step."""


class Unreached(Message):
    """A server that could not be asked, and why."""

    server_id: str
    code: str
    message: str


class ResolvedSource(StepOutcome):
    """The commit and the name of its image; `image_present` tells that it needs no build."""

    commit: str = ""
    reference: str = ""
    image: str = ""
    image_present: bool = False
    """On every server that was asked."""
    present_on: tuple[str, ...] = ()
    """The ids of those that have it."""
    unreached: tuple[Unreached, ...] = ()
