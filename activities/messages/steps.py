"""What the activities of all steps have in common."""

from __future__ import annotations

from activities.messages.message import Message
from domain.deployments import StepName


class StepReference(Message):
    """The line of the progress that an activity works for; with `undo`, that it takes back."""

    deployment_id: str
    name: StepName
    server: str
    undo: bool = False
    is_lost: bool = False
    """Nobody waits for the server: nothing was changed there yet, or it was waited for already."""


class StepInput(Message):
    """What every activity of a step needs. Activities load the rest from the store by these ids."""

    step: StepReference
    application_id: str
    server_id: str = ""


class StepOutcome(Message):
    """What every activity of a step answers."""

    message: str = ""
    skipped: bool = False
    waits: bool = False
    """Nothing is done yet: the step runs again when what it waits for is there."""
