"""Traefik as a `Proxy`: a container on the server, one file for each application."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
import uuid
from pathlib import Path

from pydantic import SecretStr

from adapters.bundled_images import binary_reference, ensure_binary_image
from adapters.docker.engine import DockerEngine
from adapters.docker.specifications import SPECIFICATION_LABEL
from adapters.docker.states import ContainerState
from adapters.proxy import ApplicationRoutes
from adapters.reach import LocalReach, Reach
from adapters.traefik.api import TraefikApi
from adapters.traefik.confirmation import confirm_absent, confirm_answering, confirm_applied
from adapters.traefik.edges import CHECK_SECONDS, DIAL_SECONDS
from adapters.traefik.folder import LocalRouteFolder, RouteFolder
from adapters.traefik.routes import parse, release_of, render, serialise, validate
from adapters.traefik.settings import (
    API_FILE,
    EDGE_ENTRY_POINT,
    GRACE_SECONDS,
    OWNER_LABEL,
    TraefikSettings,
    api_routes,
    proxy_container,
)
from adapters.traefik.tunnels import ProxyTunnels, is_tunnel
from domain.errors import DeploymentError, RouteRefused, StartUpError, TransientError
from domain.replicas import MANAGED

PULL_LIMIT_SECONDS = 60.0
CHECKED_SECONDS = CHECK_SECONDS + 0.5
OLD_PROXY = (
    "The proxy of this server was started before there were edges, and takes nothing from one. Validate the "
    "server again: that starts its proxy anew."
)


class TraefikProxy:
    """The proxy of one server. Nothing that it holds is lost with the process: files and container stay."""

    def __init__(
        self,
        folder: Path,
        engine: DockerEngine,
        settings: TraefikSettings | None = None,
        *,
        reach: Reach | None = None,
        files: RouteFolder | None = None,
        token: SecretStr | None = None,
    ) -> None:
        """`folder` keeps the API's token unless it is given, and route files unless they are elsewhere."""
        self._folder = folder
        self._engine = engine
        self._settings = settings or TraefikSettings()
        self._reach = reach or LocalReach()
        self._files = files or LocalRouteFolder(folder)
        self._given_token = token
        self._locks: dict[str, asyncio.Lock] = {}
        self._written: dict[str, float] = {}

    @property
    def network(self) -> str:
        """The network that containers join to be served."""
        return self._settings.network

    async def ensure_running(self) -> None:
        """The container runs as configured and answers; one that does already is left alone.

        Raises ReplicaRefused when the engine cannot start it (a port in use), ProxyUnavailable when it
        starts and does not answer, StartUpError when the name is taken by the proxy of another Seaway.
        """
        identity = await self._files.prepare()
        content = api_routes(await self._token())
        if await self._files.read(API_FILE) != content:
            await self._files.write(API_FILE, content)
        await self._engine.ensure_network(self._settings.network, MANAGED)
        name = self._settings.container_name
        present = await self._engine.inspect(name)
        if present and present.running:
            await self._refuse_foreign(present)
        specification = proxy_container(self._settings, await self._image(), self._files.dynamic, identity)
        if present and present.labels.get(SPECIFICATION_LABEL) not in (None, specification.hash):
            # Open requests may end before the new one takes the ports.
            await self._engine.stop(name, GRACE_SECONDS + 5)
        await self._engine.ensure_container(specification)
        await self._engine.start(name)
        async with await self._api() as api:
            await confirm_answering(api)

    async def _refuse_foreign(self, present: ContainerState) -> None:
        owner = present.labels.get(OWNER_LABEL, self._files.dynamic)
        if owner != self._files.dynamic and await self._files.exists(owner):
            raise StartUpError(
                f"The proxy container '{present.name}' serves another Seaway (routes in {owner}). "
                "Give this one a name of its own with SEAWAY_INSTANCE, or end the other one for good."
            )

    async def answers(self) -> bool:
        """See `Proxy`."""
        async with await self._api() as api:
            return await api.is_alive()

    async def apply(self, routes: ApplicationRoutes) -> None:
        """Write the application's file, unless it is that already, and return when Traefik serves it.

        Raises RouteRefused when the routes are not valid or Traefik rejects them; the file from before is
        back then. Where an earlier try wrote this one, it stays: what was before that, only the caller's undo
        knows, and without any file nothing would be served until then. Raises ProxyUnavailable when Traefik
        does not confirm in time: the file stays, so that it serves the routes when it can, and a repetition
        only confirms.
        """
        rendered = render(routes)
        validate(rendered)
        content = serialise(routes, rendered)
        name = routes.application_id
        async with self._lock(name):
            before = await self._files.read(name)
            if before != content:
                await self._files.write(name, content)
                self._written[name] = time.monotonic()
            stale = _router_names(before) - rendered["http"]["routers"].keys()
            try:
                async with await self._api() as api:
                    if routes.entrance and not await api.has_entry_point(EDGE_ENTRY_POINT):
                        raise RouteRefused(OLD_PROXY)
                    await confirm_applied(api, rendered, stale)
            except RouteRefused:
                if before != content:
                    await self._put_back(name, before)
                raise

    async def withdraw(self, application_id: str) -> None:
        """Remove the application's file and return when Traefik has none of its routes."""
        async with self._lock(application_id):
            # The first router is asked for in any case: an earlier try may have removed the file unconfirmed.
            routers = _router_names(await self._files.read(application_id)) | {f"{application_id}-0"}
            await self._files.remove(application_id)
            async with await self._api() as api:
                await confirm_absent(api, routers)

    @property
    def tunnels(self) -> ProxyTunnels:
        """Ways to what only the proxy's container can reach."""
        return ProxyTunnels(self._files, self._reach, self._settings.api_port, self._api)

    async def current(self, application_id: str) -> ApplicationRoutes | None:
        """What was written last for the application."""
        content = await self._files.read(application_id)
        return None if content is None else parse(content)

    async def names(self) -> frozenset[str]:
        """What there is a file of; its own and tunnels are none of them."""
        found = await self._files.names() - {API_FILE}
        return frozenset(name for name in found if not is_tunnel(name))

    async def unhealthy(self, application_id: str) -> frozenset[str]:
        """See `Proxy`. Traefik takes all for healthy at first, and does not tell when it has asked them."""
        routes = await self.current(application_id)
        if routes is None or routes.spread is None:
            return frozenset()
        services = render(routes)["http"]["services"]
        asked = {server["url"] for one in services.values() for server in one["loadBalancer"]["servers"]}
        began = self._written.pop(application_id, None)
        if began is not None:
            # It asks one after the other.
            await asyncio.sleep(began + CHECKED_SECONDS + len(asked) * DIAL_SECONDS - time.monotonic())
        async with await self._api() as api:
            found = [await api.down(name) for name in services]
        return frozenset().union(*found)

    async def routes_applied(self, application_id: str) -> str | None:
        """The release that Traefik leads the application's first address to at this moment."""
        async with await self._api() as api:
            state = await api.router(f"{application_id}-0")
        return release_of(state.service) if state and state.enabled else None

    async def _put_back(self, name: str, before: str | None) -> None:
        if before is None:
            await self._files.remove(name)
        else:
            await self._files.write(name, before)

    async def _image(self) -> str:
        for image in (*self._settings.images, binary_reference("traefik")):
            if await self._engine.image_id(image):
                return image
        for image in self._settings.images if self._settings.pull else ():
            try:
                async with asyncio.timeout(PULL_LIMIT_SECONDS):
                    await self._engine.pull(image, lambda _line: None)
            except (TimeoutError, TransientError, DeploymentError):
                continue  # the binary that came with Seaway serves as well
            return image
        return await ensure_binary_image(self._engine, "traefik")

    async def _api(self) -> TraefikApi:
        return TraefikApi(self._reach, self._settings.api_port, await self._token())

    async def _token(self) -> str:
        if self._given_token is not None:
            return self._given_token.get_secret_value()
        return await asyncio.to_thread(_kept_token, self._folder / "api-token")

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())


def _router_names(content: str | None) -> set[str]:
    routes = parse(content) if content else None
    return set(render(routes)["http"]["routers"]) if routes else set()


def _kept_token(path: Path) -> str:
    """The token in the file, which is made with a new one, for its owner only, if there is none."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        unfinished = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
        unfinished.touch(mode=0o600)
        unfinished.write_text(secrets.token_urlsafe(32), "ascii")
        # Of two who do this at once, the first one's token stays.
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(unfinished)
        unfinished.unlink()
    return path.read_text("ascii").strip()
