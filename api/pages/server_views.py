"""Servers and keys as the pages show them, read from the store."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta

from api.context import ApiContext
from api.key_uses import KeyUses, key_uses
from api.pages.application_views import BEHIND, application_url
from api.pages.views import (
    KeyView,
    LinkView,
    NodeRow,
    PlacedLink,
    ServerRow,
    ServerStepView,
    ServerView,
    StatusView,
)
from api.pages.visitors import Visitor
from api.pages.wording import server_status
from api.shapes.servers import title_of
from api.shown_servers import shown_servers
from domain.builders import BuildState
from domain.deployments import StepStatus
from domain.errors import SeawayError
from domain.host_keys import fingerprint_of
from domain.server_events import ServerEventKind
from domain.servers import ServerStatus, can_be_cleaned, is_of_jump_host
from store.builds import ServerBuild
from store.columns import now
from store.tables import Server, ServerStep

ANSWER_SECONDS = 4.0
REFUSAL_SHOWN = timedelta(hours=24)
BAD = (ServerStatus.NOT_USABLE, ServerStatus.UNREACHABLE)
WITHOUT_KEY = (ServerStatus.REMOVING, ServerStatus.HOST_KEY_CHANGED)
GIB = 1024**3
EDGE = StatusView("edge", "idle", "Its visitors come here and are led to its servers.")


def server_url(server_id: str) -> str:
    """Where a server is shown."""
    return f"/servers/{server_id}"


def address_of(server: Server) -> str:
    """How a server is reached, for people."""
    if server.is_local:
        return "this machine"
    host = f"[{server.address}]" if ":" in server.address else server.address
    return f"{server.user}@{host}" + (f":{server.port}" if server.port != 22 else "")


class ServerReader:
    """Reads one team's servers."""

    def __init__(self, context: ApiContext, visitor: Visitor) -> None:
        self._context = context
        self._visitor = visitor

    async def rows(self) -> tuple[ServerRow, ...]:
        """All servers, Seaway's own first, then by name."""
        servers = await self._context.store.servers.list(team_id=self._visitor.team_id)
        placed = await self.applications()
        ordered = sorted(servers, key=lambda one: (not one.is_local, one.name.lower(), one.id))
        return tuple(
            ServerRow(
                id=one.id,
                url=server_url(one.id),
                name=one.name,
                address=address_of(one),
                status=server_status(one),
                system=_system(one),
                engine=f"Docker {one.engine_version}" if one.engine_version else "",
                applications=len(placed.get(one.id, ())),
                tags=_tags(one),
            )
            for one in ordered
        )

    async def view(self, server: Server) -> ServerView:
        """The server on its own page."""
        store, visitor = self._context.store, self._visitor
        status = ServerStatus(server.status)
        key = await store.servers.key(server.private_key_id) if server.private_key_id else None
        steps = await store.servers.steps(server.id)
        may_change = visitor.may_write and status is not ServerStatus.REMOVING
        return ServerView(
            id=server.id,
            url=server_url(server.id),
            name=server.name,
            description=server.description,
            address=address_of(server),
            status=server_status(server),
            status_message=server.status_message,
            is_local=server.is_local,
            is_bad=status in BAD,
            is_alarm=status is ServerStatus.HOST_KEY_CHANGED,
            is_new=status is ServerStatus.NEW and not server.is_local,
            is_closed=_is_closed(server),
            pinned=fingerprint_of(server.host_key),
            shown=fingerprint_of(server.shown_host_key),
            authorised_line=key.public_key if key else "",
            user=server.user,
            note=await self._note(server),
            facts=await self._facts(server, key.name if key else ""),
            steps=_steps(steps, with_evidence=visitor.sees_secrets),
            progress=_progress(steps),
            may_validate=may_change and not server.is_local,
            may_clean=may_change and can_be_cleaned(status, server.is_reachable),
            may_write=may_change,
        )

    async def _note(self, server: Server) -> str:
        """What a removal waits for, or why the last one was refused, while that is the last that happened."""
        if server.status == ServerStatus.REMOVING:
            return server.status_message
        newest = await self._context.store.watch.events(server.id, limit=1)
        for one in newest:
            is_fresh = now() - one.at < REFUSAL_SHOWN
            if one.kind == ServerEventKind.REMOVAL_REFUSED and is_fresh:
                return one.message if one.message != server.status_message else ""
        return ""

    async def nodes(self, server: Server) -> tuple[NodeRow, ...]:
        """The nodes of the Swarm that the server manages; none where it does not answer."""
        if not server.is_swarm_manager:
            return ()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                facts = await self._context.swarms.facts(server.id)
        except (SeawayError, TimeoutError):
            return ()
        return tuple(
            NodeRow(
                name=node.hostname or node.id,
                role=node.role.value,
                state=node.state,
                availability=node.availability,
                address=node.address,
                url=server_url(facts.known[node.id]) if node.id in facts.known else "",
            )
            for node in facts.nodes
        )

    async def applications(self) -> Mapping[str, Sequence[PlacedLink]]:
        """The applications on each server, and those whose visitors come to it, by name."""
        store, team_id = self._context.store, self._visitor.team_id
        placed: dict[str, list[PlacedLink]] = defaultdict(list)
        names = {server.id: server.name for server in await store.servers.list(team_id=team_id)}
        releases = await store.releases.of_all(team_id=team_id)
        for row in sorted(await store.applications.list(team_id=team_id), key=lambda one: one.name.lower()):
            configuration, _ = store.applications.configured(row)
            for server in shown_servers(row, configuration.server_ids, releases.get(row.id, ()), names):
                mark = BEHIND if server.is_behind else None
                placed[server.uuid].append(PlacedLink(row.name, application_url(row.id), mark))
            edge = configuration.routing.edge_server_id
            if edge and edge not in configuration.server_ids:
                placed[edge].append(PlacedLink(row.name, application_url(row.id), EDGE))
        return placed

    async def keys(self) -> tuple[KeyView, ...]:
        """The team's keys with what uses them."""
        store, team_id = self._context.store, self._visitor.team_id
        uses = await key_uses(self._context, team_id)
        return tuple(
            KeyView(
                id=key.id,
                url=f"/keys/{key.id}",
                name=key.name,
                description=key.description,
                fingerprint=key.fingerprint,
                public_key=key.public_key,
                used_by=_links(uses.get(key.id, KeyUses())),
            )
            for key in await store.servers.keys(team_id=team_id)
        )

    async def _builds(self, server: Server) -> str:
        builds = await self._context.store.builds.on_server(server.id, team_id=self._visitor.team_id)
        return "; ".join(_build(one) for one in builds)

    async def _facts(self, server: Server, key_name: str) -> tuple[tuple[str, str], ...]:
        jump = ""
        if server.jump_server_id:
            jump = (await self._context.store.servers.get(server.jump_server_id)).name
        facts = (
            ("Address", address_of(server)),
            ("Key", key_name),
            ("Over", jump),
            ("Host key", fingerprint_of(server.host_key)),
            ("System", _system(server)),
            ("Docker Engine", server.engine_version),
            ("Processors", str(server.processors or "")),
            ("Memory", f"{server.memory_bytes / GIB:.1f} GiB" if server.memory_bytes else ""),
            ("Data folder", server.data_folder),
            ("Wildcard domain", server.wildcard_domain),
            ("Builds at once", str(server.concurrent_builds)),
            ("Limits of builds", _build_limits(server)),
            ("Builds", await self._builds(server)),
        )
        return tuple((name, value) for name, value in facts if value)


def _links(uses: KeyUses) -> tuple[LinkView, ...]:
    servers = [LinkView(server.name, server_url(server.id)) for server in uses.servers]
    return (*servers, *(LinkView(one.name, application_url(one.id)) for one in uses.applications))


def _build_limits(server: Server) -> str:
    """What the server says itself; empty where that is what the settings say for all."""
    shares = {"of processors": server.build_cpu_percent, "of memory": server.build_memory_percent}
    said = {what: percent for what, percent in shares.items() if percent is not None}
    return ", ".join(f"{percent} % {what}" if percent else f"none {what}" for what, percent in said.items())


def _is_closed(server: Server) -> bool:
    """Whether nobody has been let in there yet, or the last try was refused; not while a jump host is."""
    status = ServerStatus(server.status)
    if server.is_local or server.is_reachable or status in (*WITHOUT_KEY, ServerStatus.USABLE):
        return False
    if is_of_jump_host(server.status_message):
        return False
    # One that was seen from within, and is out of reach now, has the line.
    return not server.system or status is ServerStatus.NOT_USABLE


def _tags(server: Server) -> tuple[str, ...]:
    tags = {
        "Seaway runs here": server.is_local,
        "builds": server.is_build_server and not server.is_local,
        "Swarm manager": server.is_swarm_manager,
        "Swarm worker": server.is_swarm_worker,
    }
    return tuple(tag for tag, has_it in tags.items() if has_it)


def _build(build: ServerBuild) -> str:
    if build.state is BuildState.BUILDING:
        return f"{build.application_name} builds"
    return f"{build.application_name} waits" + (f" ({build.message})" if build.message else "")


def _system(server: Server) -> str:
    return ", ".join(filter(None, [server.system, server.architecture]))


def _steps(steps: Sequence[ServerStep], *, with_evidence: bool) -> tuple[ServerStepView, ...]:
    return tuple(
        ServerStepView(
            key=step.name,
            title=title_of(step),
            status=step.status,
            attempt=step.attempt,
            message=step.message,
            detail=step.detail if with_evidence else "",
            seconds=(step.finished_at - step.started_at).total_seconds()
            if step.started_at and step.finished_at
            else None,
            running_since=step.started_at if step.status == StepStatus.RUNNING else None,
        )
        for step in steps
    )


def _progress(steps: Sequence[ServerStep]) -> str:
    over = sum(step.status not in (StepStatus.PENDING, StepStatus.RUNNING) for step in steps)
    return f"{over} of {len(steps)}" if steps else ""
