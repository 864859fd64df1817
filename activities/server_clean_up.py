"""What has gathered on a server and nobody needs is removed; see `domain.clean_up` for what that is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio import activity

from activities import messages as m
from activities import signatures as s
from activities.clean_up import surplus_images
from activities.deleted_applications import TakenAway, take_deleted_away
from activities.pulled_names import take_off
from activities.servers import ServerParts, Servers
from adapters.traefik.tunnels import ProxyTunnels
from domain.clean_up import KnownApplication, containers_to_remove, images_to_remove
from domain.errors import NotFound, SeawayError
from domain.server_events import ServerEventKind
from domain.servers import can_be_cleaned
from domain.sizes import in_words
from store.columns import now
from store.store import Store
from store.tables import ServerEvent

CACHE_UNUSED_FOR = timedelta(hours=24)
NOTHING = "There was nothing to remove."


@dataclass(frozen=True)
class CleanedUp:
    """What was removed from a server."""

    containers: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    cache_bytes: int = 0
    note: str = ""
    """Why something that is too much stays."""

    @property
    def is_nothing(self) -> bool:
        """Whether nothing was removed."""
        return not (self.containers or self.images or self.cache_bytes)

    def __str__(self) -> str:
        """For people; empty where nothing was removed."""
        parts = [
            _counted(len(self.containers), "container"),
            _counted(len(self.images), "image"),
            f"{in_words(self.cache_bytes)} of build cache" if self.cache_bytes else "",
        ]
        said = ", ".join(part for part in parts if part)
        return " ".join(filter(None, (f"Removed {said}." if said else "", self.note)))


class ServerCleanUpActivities:
    """Cleans servers, one at a time each."""

    def __init__(self, store: Store, servers: Servers, *, build_cache_bytes: int) -> None:
        """`build_cache_bytes` of the cache of builds stay on a server."""
        self._store = store
        self._servers = servers
        self._build_cache_bytes = build_cache_bytes

    def all(self) -> list[Callable[..., Any]]:
        """The activities, for the worker."""
        return [self.servers_to_clean, self.clean_up_server, self.record]

    @activity.defn(name=s.SERVERS_TO_CLEAN.name)
    async def servers_to_clean(self, _: m.Nothing) -> m.ServersToClean:
        """Every team's servers that can be reached, usable or not: a full disk may be why one is not."""
        servers = await self._store.servers.deployable()
        return m.ServersToClean(
            server_ids=tuple(one.id for one in servers if can_be_cleaned(one.status, one.is_reachable))
        )

    @activity.defn(name=s.CLEAN_UP_SERVER.name)
    async def clean_up_server(self, task: m.ServerTask) -> m.StepOutcome:
        """Removes what nobody needs. Repeating it is harmless."""
        server = await self._store.servers.get(task.server_id)
        parts = await self._servers.parts(server.id)
        taken, problem = TakenAway(), None
        try:
            taken = await take_deleted_away(self._store, parts, server.id)
        except SeawayError as error:
            # What stays of one application must not let images and the cache fill the disk.
            problem = error
        cleaned = await clean_server(parts, self._store, server.id, keep_cache_bytes=self._build_cache_bytes)
        if str(cleaned):
            activity.logger.info("%s: %s", server.name, cleaned)
        if problem is not None:
            raise problem
        message = " ".join(filter(None, (str(cleaned), *taken.staying)))
        return m.StepOutcome(message=message, skipped=cleaned.is_nothing)

    @activity.defn(name=s.RECORD_CLEAN_UP.name)
    async def record(self, report: m.CleanUpReport) -> m.Nothing:
        """The server's events tell of it."""
        kind = ServerEventKind.CLEAN_UP_FAILED if report.error else ServerEventKind.CLEANED_UP
        message = report.error or report.message or NOTHING
        if report.error and not report.was_asked_for:
            told = await self._store.watch.newest(
                report.server_id, ServerEventKind.CLEANED_UP, ServerEventKind.CLEAN_UP_FAILED
            )
            if told is not None and (told.kind, told.message) == (kind, message):
                return m.Nothing()
        await self._store.watch.record_once(
            ServerEvent(id=report.event_id, server_id=report.server_id, kind=kind, message=message)
        )
        return m.Nothing()


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number > 1 else ''}" if number else ""


async def clean_server(
    parts: ServerParts, store: Store, server_id: str, *, keep_cache_bytes: int
) -> CleanedUp:
    """Removes what nobody needs from a server.

    Of the cache of builds so much stays, and all of it where others use the engine: it does not tell whose
    the cache is, so it may be limited only where all of it may be taken for Seaway's.
    """
    if parts.swarm is not None:
        await _remove_tunnels(parts.swarm.tunnels, store)
    ended = await parts.engine.ended_containers()
    names = await parts.engine.images_with_prefix("seaway/")
    # Read after the engine: of a deployment that begins now, nothing is in these lists.
    busy = await store.deployments.busy_applications()
    known = await _known(store, names, {one.application_id for one in ended}, busy)
    containers = containers_to_remove(ended, known, now())
    for name in containers:
        await parts.engine.remove(name)

    async def is_idle(application_id: str) -> bool:
        # Asked before each removal: a deployment that begins later looks in vain for the image at once.
        return not await store.deployments.is_busy(application_id)

    images = [
        name
        for name in images_to_remove(names, known)
        if await is_idle(_application_of(name)) and await parts.engine.remove_image(name)
    ]
    pulled = await take_off(parts.engine, store, server_id, lambda one: is_idle(one.application_id))
    freed, note = await _limit_cache(parts, keep_cache_bytes)
    return CleanedUp(containers, (*images, *pulled), freed, note)


async def _remove_tunnels(tunnels: ProxyTunnels, store: Store) -> None:
    """Removes the tunnels that a killed worker has left: releases open them, for their health checks.

    A release that opens one of the same name writes its file once. So there is a look before each whether any
    has begun, and nothing that takes long between what was seen and what is done.
    """
    for name in await tunnels.names():
        if await store.deployments.busy_applications():
            return
        await tunnels.remove(name)


def _application_of(image: str) -> str:
    return image.removeprefix("seaway/").rpartition(":")[0]


async def _limit_cache(parts: ServerParts, keep_bytes: int) -> tuple[int, str]:
    """The freed bytes, and why there are none although the cache is too large."""
    gathered = await parts.engine.build_cache_bytes()
    if gathered <= keep_bytes:
        return 0, ""
    if strangers := await parts.engine.strangers():
        return 0, (
            f"The build cache takes {in_words(gathered)} and stays, because others use this Docker Engine "
            f"too: {strangers[0][:100]} is not Seaway's."
        )
    return await parts.engine.prune_build_cache(keep_bytes=keep_bytes, unused_for=CACHE_UNUSED_FOR), ""


async def _known(
    store: Store, names: Sequence[str], application_ids: Iterable[str], busy: Collection[str]
) -> dict[str, KnownApplication]:
    images: dict[str, list[str]] = {application_id: [] for application_id in application_ids}
    for name in names:
        images.setdefault(_application_of(name), []).append(name)
    known = {}
    for application_id, present in images.items():
        try:
            application = await store.applications.get(application_id)
        except NotFound:
            continue
        surplus = await surplus_images(store, application_id, present)
        releases = {row.release_id for row in await store.releases.of(application_id)}
        if application.current_deployment_id is not None:
            current = await store.deployments.get(application.current_deployment_id)
            releases.add(current.release_id or current.id)
        known[application_id] = KnownApplication(
            kept_images=frozenset(present) - frozenset(surplus),
            serving_release_ids=frozenset(releases),
            is_busy=application_id in busy,
        )
    return known
