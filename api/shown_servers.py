"""What each server of an application has of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from api.shapes.applications import ApplicationServer
from domain.release_policies import is_behind
from store.tables import Application, ServerRelease
from store.tables.applications import DesiredState


def shown_servers(
    application: Application,
    server_ids: Sequence[str],
    releases: Sequence[ServerRelease],
    names: Mapping[str, str],
) -> tuple[ApplicationServer, ...]:
    """The servers in the configured order, without those that are gone.

    Where nothing was written down yet, all of them have the current release.
    """
    runs = application.desired_state == DesiredState.RUNNING
    current = application.current_deployment_id
    having = {row.server_id: row for row in releases}
    shown = []
    for server_id in server_ids:
        if server_id not in names:
            continue
        row = having.get(server_id)
        has = row.deployment_id if row else None
        if runs and not releases:
            has = current
        shown.append(
            ApplicationServer(
                uuid=server_id,
                name=names[server_id],
                deployment_uuid=has,
                since=row.since if row else None,
                is_behind=is_behind(has, current, runs=runs),
            )
        )
    return tuple(shown)
