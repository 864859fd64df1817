"""Images: built from a commit, pulled, and discarded when their deployment fails."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from temporalio import activity

from activities import messages as m
from activities import signatures as s
from activities.application_secrets import redactor_for
from activities.build_limits import limited
from activities.build_slots import BuildSlotActivities
from activities.build_turns import BuildTurn
from activities.disk_guard import require_free_disk
from activities.environments import build_environment
from activities.pulled_names import pull_image, pulled_for, take_off
from activities.pushed_images import pull_pushed
from activities.servers import ServerParts, Servers, Surroundings
from activities.sources import credential_for
from activities.step_log import Write, step_log
from activities.swarm_nodes import NodeImages
from adapters.buildkit import BuildKit, BuildRequest
from adapters.bundled_images import ensure_binary_image
from adapters.file_locks import empty_folder, owned_place, remove_abandoned
from adapters.file_times import FileTimes, remove_unused
from adapters.git import GitMirrors
from domain import static_site
from domain.build_log import UNHEARD, ended_unheard, is_noise
from domain.build_resumption import ResumedLog
from domain.builders import BuildState
from domain.configuration import ApplicationConfiguration, BuildPack, GitSource, ImageSource
from domain.environment import build_secrets
from domain.errors import SourceIncomplete
from domain.git_references import parse_repository
from domain.redaction import Redactor
from domain.registries import RegistryLogin
from domain.replicas import application_labels
from store.store import Store
from store.tables import PulledName


class BuildActivities:
    """Makes sure that a server has the image of a release."""

    def __init__(
        self,
        store: Store,
        servers: Servers,
        mirrors: GitMirrors,
        buildkit: BuildKit,
        surroundings: Surroundings,
        slots: BuildSlotActivities,
    ) -> None:
        self._store = store
        self._slots = slots
        self._servers = servers
        self._mirrors = mirrors
        self._buildkit = buildkit
        self._surroundings = surroundings

    def all(self) -> list[Callable[..., Any]]:
        """The activities, for the worker."""
        return [self.build, self.discard]

    @activity.defn(name=s.BUILD_IMAGE.name)
    async def build(self, build: m.BuildImage) -> m.BuildOutcome:
        """The image is there afterwards: found, pulled or built. The build ends with this activity.

        Where another server has it already, that one sends it in the next step. Nothing is built where the
        server has no room for it yet.
        """
        deployment_id = build.step.deployment_id
        parts = await self._servers.parts(build.server_id)
        earlier = await self._store.logs.of_step(deployment_id, build.step.name, build.step.server)
        await self._remove_abandoned()
        # A forced build has a name of its own, so what is found under it is of an earlier try.
        if (found := await parts.engine.image_id(build.image)) is not None:
            await self._store.deployments.update(deployment_id, image_id=found)
            await self._take_off_pulled(parts, build.server_id, build.application_id)
            if earlier:
                if ended_unheard(earlier, build.image):
                    await self._tell_of_gap(build, earlier)
                return m.BuildOutcome(message=build.image)
            return m.BuildOutcome(skipped=True, message="The image of this commit and configuration exists.")
        if build.sent_by:
            return m.BuildOutcome(skipped=True, message=f"{build.sent_by} has the image, and sends it.")
        configuration = await self._store.deployments.snapshot(deployment_id)
        logins = await self._store.registries.logins(
            team_id=configuration.team_id, project_id=configuration.project_id
        )
        redactor = redactor_for(configuration, logins)
        async with step_log(self._store.logs, build.step, redactor) as write:
            pushed = await self._store.deployments.pushed_image(deployment_id)
            if pushed and await pull_pushed(parts.engine, pushed, build.image, write, logins):
                image_id = await parts.engine.image_id(build.image) or ""
            elif isinstance(configuration.source, ImageSource):
                name = PulledName(
                    server_id=build.server_id,
                    reference=configuration.source.reference,
                    application_id=build.application_id,
                )
                image_id = await pull_image(parts, self._store, name, build.image, write, logins)
            else:
                await require_free_disk(
                    parts, self._surroundings.minimum_free_disk_bytes, build.step.server or "the server"
                )
                if build.instead and not earlier:
                    write(build.instead)
                resumed = _resumed(earlier, write)
                async with BuildTurn(self._store, self._slots, build, configuration) as turn:
                    built = await self._build(
                        build, configuration, configuration.source, parts, resumed, logins, turn
                    )
                if built is None:
                    return turn.waits()
                image_id = built
        await self._store.deployments.update(deployment_id, image_id=image_id, build_state=BuildState.NONE)
        return m.BuildOutcome(message=build.image)

    async def _take_off_pulled(self, parts: ServerParts, server_id: str, application_id: str) -> None:
        """What an earlier try pulled, and died before it took the name off."""
        await take_off(parts.engine, self._store, server_id, pulled_for(application_id))

    async def _tell_of_gap(self, build: m.BuildImage, earlier: Sequence[str]) -> None:
        """The lines that the server printed while nobody could hear it are lost, and their reader is told."""
        async with step_log(self._store.logs, build.step, Redactor(())) as write:
            for line in (*earlier, UNHEARD):
                write(line)

    async def _build(
        self,
        build: m.BuildImage,
        configuration: ApplicationConfiguration,
        source: GitSource,
        parts: ServerParts,
        write: Write,
        logins: Sequence[RegistryLogin],
        turn: BuildTurn,
    ) -> str | None:
        await asyncio.to_thread(self._folder.mkdir, parents=True, exist_ok=True)
        # The same folder as last time, or the engine would take the context for another one and ask for all
        # of it. A try that Temporal has given up may still be on its way out; then it is the next one.
        with owned_place(self._folder, f"{configuration.application_id}-{build.server_id}-") as folder:
            try:
                tree = folder / static_site.SITE_FOLDER
                await self._mirrors.check_out(
                    parse_repository(source.repository),
                    build.commit,
                    tree,
                    submodules=source.submodules,
                    lfs=source.lfs,
                    credential=await credential_for(self._store, source),
                    on_line=write,
                    times=FileTimes.of(self._surroundings.file_times_folder, configuration.application_id),
                )
                request = dataclasses.replace(
                    await self._request(build, configuration, tree, parts, write),
                    logins=logins,
                    context_name=f"seaway/{configuration.application_id}",
                )
                if not await turn.begins():
                    return None
                return await self._build_image(build, request, parts, write)
            finally:
                await asyncio.shield(asyncio.to_thread(_empty, folder))

    async def _build_image(
        self, build: m.BuildImage, request: BuildRequest, parts: ServerParts, write: Write
    ) -> str:
        server = await self._store.servers.get(build.server_id)
        usual = self._surroundings.build_shares
        async with limited(
            parts,
            server.name,
            usual and usual.unless(server.build_cpu_percent, server.build_memory_percent),
            write,
            instance=self._surroundings.instance,
            names_group=self._buildkit.names_group,
        ) as group:
            return await self._buildkit.build(
                dataclasses.replace(request, group=group),
                engine_socket=parts.engine.socket,
                on_line=lambda line: None if is_noise(line) else write(line),
                timeout=build.limit,
            )

    async def _request(
        self,
        build: m.BuildImage,
        configuration: ApplicationConfiguration,
        tree: Path,
        parts: ServerParts,
        write: Write,
    ) -> BuildRequest:
        if configuration.build.pack is BuildPack.STATIC:
            return await self._static_request(build, configuration, tree, parts)
        request = await self._dockerfile_request(build, configuration, tree)
        if not await self._secrets_changed(configuration):
            return request
        write("A build secret has changed, so nothing is taken from the build cache.")
        return dataclasses.replace(request, use_cache=False)

    async def _secrets_changed(self, configuration: ApplicationConfiguration) -> bool:
        # BuildKit leaves secrets out of what it compares, so a step that used the old one would stay.
        application = await self._store.applications.get(configuration.application_id)
        if application.current_deployment_id is None:
            return False
        released = await self._store.deployments.snapshot(application.current_deployment_id)
        return build_secrets(released) != build_secrets(configuration)

    @property
    def _folder(self) -> Path:
        return self._surroundings.work_folder / "builds"

    async def _remove_abandoned(self) -> None:
        """Removes the checkouts of workers that were killed in the middle of a build, whosever it was."""
        await asyncio.to_thread(remove_abandoned, self._folder, "")
        await asyncio.to_thread(remove_unused, self._surroundings.file_times_folder)

    async def _dockerfile_request(
        self, build: m.BuildImage, configuration: ApplicationConfiguration, tree: Path
    ) -> BuildRequest:
        options = configuration.build
        context = await asyncio.to_thread(_inside, tree, tree, options.base_directory, "base directory")
        return BuildRequest(
            context=context,
            dockerfile=await asyncio.to_thread(_inside, tree, context, options.dockerfile_path, "Dockerfile"),
            tag=build.image,
            target=options.target_stage,
            arguments=await build_environment(
                self._store, configuration, self._surroundings, commit=build.commit
            ),
            secrets=build_secrets(configuration),
            labels=application_labels(configuration.application_id),
            use_cache=options.use_cache and not build.force,
            pull=False,
        )

    async def _static_request(
        self, build: m.BuildImage, configuration: ApplicationConfiguration, tree: Path, parts: ServerParts
    ) -> BuildRequest:
        options = configuration.build
        context = await asyncio.to_thread(_inside, tree, tree, options.base_directory, "base directory")
        site = await asyncio.to_thread(_inside, tree, context, options.publish_directory, "publish directory")
        base = await ensure_binary_image(parts.engine, "caddy")
        return BuildRequest(
            context=tree.parent,
            dockerfile=await asyncio.to_thread(_write_static_build, configuration, tree, site, base),
            tag=build.image,
            target="",
            arguments={},
            secrets={},
            labels=application_labels(configuration.application_id),
            use_cache=options.use_cache and not build.force,
            pull=False,
        )

    @activity.defn(name=s.DISCARD_IMAGE.name)
    async def discard(self, discard: m.DiscardImage) -> m.StepOutcome:
        """Removes the image of a deployment that failed, unless a successful one has the same."""
        finished = await self._store.deployments.list_finished(discard.application_id)
        if discard.image not in {deployment.image for deployment in finished}:
            parts = await self._servers.parts(discard.server_id)
            await parts.engine.remove_image(discard.image)
            await self._take_off_pulled(parts, discard.server_id, discard.application_id)
            if parts.swarm is not None:
                await NodeImages(self._store, self._servers).discard(discard.server_id, [discard.image])
        await self._remove_abandoned()
        return m.StepOutcome()


def _empty(folder: Path) -> None:
    # Who takes the folder next empties it again.
    with contextlib.suppress(OSError):
        empty_folder(folder)


def _resumed(earlier: Sequence[str], write: Write) -> Write:
    """Writes what an earlier try printed for the steps that are taken from its cache now."""
    log = ResumedLog(earlier)

    def write_completed(line: str) -> None:
        for whole in log.complete(line):
            write(whole)

    return write_completed


def _inside(tree: Path, start: Path, relative: str, what: str) -> Path:
    """The path below `start`, which must exist and, links followed, lie within the repository."""
    path = start.joinpath(relative.strip("/")).resolve()
    if not path.is_relative_to(tree.resolve()):
        raise SourceIncomplete(f"The {what} '{relative}' leads out of the repository.")
    if not path.exists():
        raise SourceIncomplete(
            f"The repository has no {what} at '{path.relative_to(tree.resolve())}'. "
            f"Add it, or change the {what} in the application's settings."
        )
    return path


def _write_static_build(configuration: ApplicationConfiguration, tree: Path, site: Path, base: str) -> Path:
    folder = tree.parent
    published = "/" + str(site.relative_to(tree.resolve()))
    single_page = configuration.build.single_page
    caddyfile = folder / "Caddyfile"
    caddyfile.write_text(static_site.caddyfile(single_page, configuration.runtime.port))
    # The image keeps the mode, and what serves the site is not the user that we are.
    caddyfile.chmod(0o644)
    (folder / ".dockerignore").write_text(static_site.DOCKERIGNORE)
    dockerfile = folder / "Dockerfile"
    dockerfile.write_text(static_site.dockerfile("/" if published == "/." else published, base))
    return dockerfile
