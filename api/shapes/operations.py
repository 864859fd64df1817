"""What operations on an application take and answer."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from api.shapes.answers import Answer, Body
from store.tables import Deployment


class Scale(Body):
    """How many replicas."""

    replicas: int = Field(ge=1, le=100)


class Rollback(Body):
    """Where to go back to: one of the two."""

    commit: str | None = Field(default=None, description="A commit, or a tag of `rollback-images`.")
    deployment_uuid: str | None = Field(default=None, description="A finished deployment of the application.")


class RollbackImage(Answer):
    """A kept release."""

    tag: str = Field(description="The commit, or the image's reference where there is none.")
    created_at: datetime
    is_current: bool
    deployment_uuid: str
    commit_message: str | None
    image: str

    @classmethod
    def of(cls, deployment: Deployment, *, is_current: bool) -> RollbackImage:
        """The answer for a finished deployment."""
        return cls(
            tag=deployment.commit or deployment.image,
            created_at=deployment.finished_at or deployment.requested_at,
            is_current=is_current,
            deployment_uuid=deployment.id,
            commit_message=deployment.commit_message or None,
            image=deployment.image,
        )


class RollbackImages(Answer):
    """The kept releases, newest first."""

    current: str | None
    images: list[RollbackImage]
