"""Volumes of an application. The next deployment mounts a change."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter

from api.auditing import audit
from api.authentication import Reader, Writer, sees_secrets
from api.routes.parameters import ContextOf, Uuid
from api.safeguards import check_volume
from api.shapes.answers import Done
from api.shapes.storages import CreateStorage, StorageAnswer, Storages, storage_uuid, volume_to_mount
from api.swarm import check_places, places
from domain.configuration import ApplicationConfiguration, Volume
from domain.errors import Conflict, NotFound
from store.tables import Application

router = APIRouter(prefix="/applications/{uuid}/storages", tags=["Applications"])


@router.get("", summary="List storages")
async def list_storages_by_application_uuid(uuid: Uuid, context: ContextOf, principal: Reader) -> Storages:
    """Volumes and files."""
    application = await context.store.applications.get(uuid, team_id=principal.team_id)
    configuration, _ = context.store.applications.configured(application)
    answers = [
        StorageAnswer.of(uuid, volume, with_secrets=sees_secrets(principal))
        for volume in configuration.runtime.volumes
    ]
    return Storages(
        persistent_storages=[one for one in answers if one.type == "persistent"],
        file_storages=[one for one in answers if one.type == "file"],
    )


@router.post("", summary="Create a storage", status_code=201)
async def create_storage_by_application_uuid(
    uuid: Uuid, body: CreateStorage, context: ContextOf, principal: Writer
) -> StorageAnswer:
    """Refused when something is mounted there already. A path of the host needs the ability `root`."""
    volume = volume_to_mount(uuid, body)
    check_volume(principal, volume)

    def edit(
        _row: Application, configuration: ApplicationConfiguration, written: Mapping[str, object]
    ) -> tuple[ApplicationConfiguration, Mapping[str, object]]:
        volumes = configuration.runtime.volumes
        if any(one.target == volume.target for one in volumes):
            raise Conflict(f"Something is mounted at {volume.target} already. Delete it first.")
        changed = _with_volumes(configuration, (*volumes, volume))
        check_places(servers, changed)
        return changed, written

    application = await context.store.applications.get(uuid, team_id=principal.team_id)
    servers = await places(context, context.store.applications.configured(application)[0].server_ids)
    await context.store.applications.modify(uuid, team_id=principal.team_id, edit=edit)
    await audit(context, principal, "storage.create", "application", uuid, volume.target)
    return StorageAnswer.of(uuid, volume, with_secrets=sees_secrets(principal))


@router.delete("/{storage_uuid}", summary="Delete a storage")
async def delete_storage_by_application_uuid(
    uuid: Uuid, storage_uuid: Uuid, context: ContextOf, principal: Writer
) -> Done:
    """It is no longer mounted; what a volume holds stays on the server."""
    unmounted = ""

    def edit(
        row: Application, configuration: ApplicationConfiguration, written: Mapping[str, object]
    ) -> tuple[ApplicationConfiguration, Mapping[str, object]]:
        nonlocal unmounted
        volumes = configuration.runtime.volumes
        found = [one for one in volumes if _is(row.id, one, storage_uuid)]
        if not found:
            raise NotFound("There is no such storage.")
        unmounted = found[0].target
        return _with_volumes(configuration, tuple(one for one in volumes if one not in found)), written

    await context.store.applications.modify(uuid, team_id=principal.team_id, edit=edit)
    await audit(context, principal, "storage.delete", "application", uuid, unmounted)
    return Done(message="Storage deleted.")


def _is(application_id: str, volume: Volume, uuid: str) -> bool:
    return storage_uuid(application_id, volume) == uuid


def _with_volumes(
    configuration: ApplicationConfiguration, volumes: tuple[Volume, ...]
) -> ApplicationConfiguration:
    runtime = configuration.runtime.model_copy(update={"volumes": volumes})
    return configuration.model_copy(update={"runtime": runtime})
