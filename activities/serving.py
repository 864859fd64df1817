"""What serves of an application, and on which of its servers."""

from __future__ import annotations

from collections import defaultdict

from activities import messages as m
from store.releases import HeldRelease
from store.store import Store
from store.tables import Deployment
from store.tables.applications import DesiredState


async def serving(store: Store, application_id: str) -> m.Served | None:
    """The current release, and what servers have instead that it went on without; None when nothing runs.

    Raises NotFound.
    """
    application = await store.applications.get(application_id)
    if application.current_deployment_id is None or application.desired_state == DesiredState.STOPPED:
        return None
    current = await store.deployments.get(application.current_deployment_id)
    everywhere = store.deployments.released(current).server_ids
    rows = await store.releases.of(application_id)
    if not rows:  # released before it was written down which server has what
        return _served(store, current, everywhere)
    groups: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        groups[row.deployment_id].append(row.server_id)
    mine = groups.pop(current.id, [])
    ordered = sorted(mine, key=lambda one: everywhere.index(one) if one in everywhere else len(everywhere))
    others = [
        _served(store, await store.deployments.get(deployment_id), tuple(server_ids))
        for deployment_id, server_ids in groups.items()
    ]
    served = _served(store, current, tuple(ordered))
    return served.model_copy(update={"elsewhere": tuple(others)})


def _served(store: Store, deployment: Deployment, server_ids: tuple[str, ...]) -> m.Served:
    return m.Served(
        configuration_of=deployment.id,
        release_id=deployment.release_id or deployment.id,
        replicas=store.deployments.released(deployment).runtime.replicas,
        servers=server_ids,
    )


def held(serve: m.Served) -> dict[str, HeldRelease]:
    """What each server has, by its id."""
    return {
        server_id: HeldRelease(one.configuration_of, one.release_id)
        for one in (*serve.elsewhere, serve)
        for server_id in one.servers
    }
