"""What has gathered on an engine: stopped containers, and the cache of builds."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any, Final

from adapters.docker.connection import EngineRefusal
from adapters.docker.images import Images
from adapters.docker.states import engine_time
from domain.clean_up import FoundContainer
from domain.replicas import APPLICATION_LABEL, MANAGED_LABEL, RELEASE_LABEL, ROLE_LABEL

PRUNE_LIMIT_SECONDS: Final = 600.0
# The time that engines, written in Go, have for what has not happened.
NEVER: Final = "0001-01-01"


class Remains(Images):
    """Looks for what may be removed."""

    async def ended_containers(self) -> list[FoundContainer]:
        """Every container with the labels of an application that has run and does not any more."""
        filters = {"label": [APPLICATION_LABEL, ROLE_LABEL], "status": ["exited", "dead"]}
        listed = await self.call(lambda client: client.containers(all=True, filters=filters))
        found = [await self._found(str(entry["Id"])) for entry in listed]
        return [one for one in found if one is not None]

    async def _found(self, container_id: str) -> FoundContainer | None:
        try:
            return _found_container(await self.call(lambda client: client.inspect_container(container_id)))
        except EngineRefusal as refusal:
            if refusal.status == 404:
                return None
            raise

    async def strangers(self) -> list[str]:
        """What shows that others use this engine: containers, and images made here, that are not Seaway's.

        Images that were only ever pulled do not: nobody has built them here. Engines whose images are
        containerd's do not tell those from others, so there each does, but for what Seaway's containers run.
        """
        containers = await self.call(lambda client: client.containers(all=True))
        images = await self.call(lambda client: client.images())
        tells_pulled = not await self.has_containerd_store()
        in_use = {str(one.get("Image")) for one in containers if _is_managed(one)}
        strange = [(image, name) for image in images if (name := _strange_name(image, in_use))]
        return [
            *(_name_of(one) for one in containers if not _is_managed(one)),
            *[name for image, name in strange if not (tells_pulled and await self._is_pulled(image))],
        ]

    async def _is_pulled(self, image: dict[str, Any]) -> bool:
        """An image that was built here and pushed has a digest too, but was given a name here."""
        if all(digest.startswith("<none>") for digest in image.get("RepoDigests") or ()):
            return False
        try:
            shown = await self.call(lambda client: client.inspect_image(image["Id"]))
        except EngineRefusal as refusal:
            if refusal.status == 404:
                return True  # gone meanwhile
            raise
        return str((shown.get("Metadata") or {}).get("LastTagTime", "")).startswith(NEVER)

    async def build_cache_bytes(self) -> int:
        """What the cache of builds takes, whoever's they were: the engine does not tell them apart."""
        answer = await self.call(lambda client: client.df(), extra_seconds=PRUNE_LIMIT_SECONDS)
        return sum(int(entry["Size"]) for entry in answer.get("BuildCache") or () if not entry["Shared"])

    async def prune_build_cache(self, *, keep_bytes: int, unused_for: timedelta) -> int:
        """Removes what nobody has used for so long until so much is left; returns the freed bytes."""
        filters = {"until": f"{int(unused_for.total_seconds())}s"}
        answer = await self.call(
            lambda client: client.prune_builds(filters=filters, keep_storage=keep_bytes, all=True),
            extra_seconds=PRUNE_LIMIT_SECONDS,
        )
        return int(answer.get("SpaceReclaimed") or 0)

    async def data_folder(self) -> str:
        """Where the engine keeps images and containers, as its host sees it."""
        return str((await self.call(lambda client: client.info())).get("DockerRootDir") or "")


def _is_managed(listed: dict[str, Any]) -> bool:
    """A container or an image, as the engine lists it."""
    return MANAGED_LABEL in (listed.get("Labels") or {})


def _strange_name(image: dict[str, Any], in_use: Collection[str]) -> str:
    """The name that somebody else has given the image, or its id where it has none; empty for Seaway's.

    A name counts more than labels, which an image inherits from the one that it is built upon.
    """
    names = [str(name) for name in image.get("RepoTags") or () if name != "<none>:<none>"]
    if not names:
        return "" if _is_managed(image) else str(image["Id"])
    return next((name for name in names if not name.startswith("seaway/") and name not in in_use), "")


def _name_of(container: dict[str, Any]) -> str:
    return next((str(name).removeprefix("/") for name in container.get("Names") or ()), str(container["Id"]))


def _found_container(container: dict[str, Any]) -> FoundContainer:
    labels = container["Config"].get("Labels") or {}
    is_running = bool(container["State"].get("Running"))
    return FoundContainer(
        name=str(container["Name"]).removeprefix("/"),
        application_id=labels.get(APPLICATION_LABEL, ""),
        role=labels.get(ROLE_LABEL, ""),
        release_id=labels.get(RELEASE_LABEL, ""),
        ended_at=None if is_running else engine_time(str(container["State"].get("FinishedAt", ""))),
    )
