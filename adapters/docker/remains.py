"""What has gathered on an engine: stopped containers, and the cache of builds."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from adapters.docker.connection import EngineConnection, EngineRefusal
from adapters.docker.states import engine_time
from domain.clean_up import FoundContainer
from domain.replicas import APPLICATION_LABEL, MANAGED_LABEL, RELEASE_LABEL, ROLE_LABEL

PRUNE_LIMIT_SECONDS: Final = 600.0


class Remains(EngineConnection):
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

        Images that were pulled do not: nobody has built them here. Engines with containerd's store do not
        tell those from others.
        """
        containers = await self.call(lambda client: client.containers(all=True))
        images = await self.call(lambda client: client.images())
        return [
            *(_name_of(one) for one in containers if not _is_ours(one)),
            *(_name_of(one) for one in images if not _is_ours(one) and not _is_pulled(one)),
        ]

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


def _is_ours(listed: dict[str, Any]) -> bool:
    """A container or an image, as the engine lists it."""
    labels = listed.get("Labels") or {}
    tags = listed.get("RepoTags") or ()
    return MANAGED_LABEL in labels or any(tag.startswith("seaway/") for tag in tags)


def _is_pulled(image: dict[str, Any]) -> bool:
    return any(not digest.startswith("<none>") for digest in image.get("RepoDigests") or ())


def _name_of(listed: dict[str, Any]) -> str:
    names = [name for name in listed.get("Names") or listed.get("RepoTags") or () if name != "<none>:<none>"]
    return str(names[0]).removeprefix("/") if names else str(listed["Id"])


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
