"""Images: built, pushed, sent, published, discarded."""

from __future__ import annotations

from datetime import timedelta

from activities.messages.build_slots import BuildSlotLease, LeaseBuildSlot
from activities.messages.plans import PlannedServer
from activities.messages.steps import StepInput, StepOutcome


class BuildImage(StepInput):
    """Build this commit under this name, or pull a prebuilt image and give it this name."""

    commit: str
    image: str
    force: bool = False
    limit: timedelta = timedelta(hours=1)
    sent_by: str = ""
    """The name of another server that has the image, which is sent from there instead of being built."""
    instead: str = ""
    """Why another server has begun this build before; the log begins with it."""
    lease: LeaseBuildSlot | None = None
    """The slot to ask for while the build is prepared; without one, the deployment has it or needs none."""


class BuildOutcome(StepOutcome):
    """The image is there, or its build waits for a slot, in the queue that `lease` tells of."""

    lease: BuildSlotLease | None = None


class PushImage(StepInput):
    """Push the image from the server `source` to the registry that the application names."""

    source: PlannedServer
    image: str
    limit: timedelta = timedelta(hours=1)


class DistributeImage(StepInput):
    """Send the image, from `source` or from where it was pushed, to this server unless it is there."""

    source: PlannedServer
    image: str
    limit: timedelta = timedelta(hours=1)


class PublishImage(StepInput):
    """Move the application's own tag in the registry to the image that serves now."""

    limit: timedelta = timedelta(minutes=10)


class DiscardImage(StepInput):
    """Remove the image of a failed deployment, unless another deployment has it too."""

    image: str
