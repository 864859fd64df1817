"""A command as the row that remembers it."""

from __future__ import annotations

from activities.messages import Command
from store.columns import now
from store.tables import Deployment


def row_of(command: Command) -> Deployment:
    """The deployment's first row, the same whoever writes it."""
    return Deployment(
        id=command.deployment_id,
        application_id=command.application_id,
        kind=command.kind,
        branch=command.branch,
        requested_commit=command.commit,
        force_rebuild=command.force,
        target_deployment_id=command.target_deployment_id,
        replicas=command.replicas,
        delete_volumes=command.delete_volumes,
        requested_by=command.requested_by,
        trigger=command.trigger,
        requested_at=command.requested_at or now(),
    )
