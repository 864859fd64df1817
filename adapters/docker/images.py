"""Images of one engine: find, pull, tag, load, import and remove."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.docker.connection import EngineRefusal
from adapters.docker.image_streams import ImageStreams
from adapters.docker.refusals import pull_refusal
from adapters.docker.registry_logins import login_header
from adapters.docker.states import listed
from adapters.docker.streams import JsonReader
from domain.errors import EngineUnavailable, ImageNotFound, RegistryUnavailable
from domain.image_references import parse_image_reference
from domain.registries import RegistryLogin

# Without any progress for this long, a pull or push has stalled.
SILENCE_SECONDS = 120.0
TRANSFER_TIMEOUT_SECONDS = 900.0
# What is remembered of an exchange: an image has 127 layers with some ten states each, and one digest. An
# engine in other hands could go on for ever.
MOST_LINES = 10_000
LONGEST_WORD = 1000
MOST_FACTS = 10
# Engines take 127 layers, each a digest.
MOST_LAYERS = 512
LONGEST_LAYER = 200
# Engines whose images are containerd's keep layers in another form, which their loader needs whole.
CONTAINERD_STORE = "io.containerd.snapshotter.v1"


@dataclass(frozen=True)
class LocalImage:
    """An image that an engine has: its id, its layers' diff ids (lowest first), and their size together."""

    id: str
    layers: tuple[str, ...]
    size_bytes: int
    architecture: str
    created: str = ""

    def is_copy_of(self, other: LocalImage) -> bool:
        """Whether an image of the same name is this one; engines with containerd's store give other ids."""
        same_making = bool(self.created) and self.created == other.created and self.layers == other.layers
        return self.id == other.id or same_making


class Images(ImageStreams):
    """What an engine does with images."""

    async def image_id(self, reference: str) -> str | None:
        """The id (`sha256:…`) of a local image, or None."""
        try:
            return str((await self.call(lambda client: client.inspect_image(reference)))["Id"])
        except EngineRefusal as refusal:
            if refusal.status == 404:
                return None
            raise

    async def inspect_image(self, reference: str) -> LocalImage | None:
        """A local image by name or id, or None."""
        try:
            answer = await self.call(lambda client: client.inspect_image(reference))
        except EngineRefusal as refusal:
            if refusal.status == 404:
                return None
            raise
        layers = tuple((answer.get("RootFS") or {}).get("Layers") or ())
        if len(layers) > MOST_LAYERS or any(len(layer) > LONGEST_LAYER for layer in layers):
            raise EngineUnavailable("What the Docker Engine says of the layers of an image is of no image.")
        return LocalImage(
            answer["Id"], layers, int(answer["Size"]), answer["Architecture"], answer.get("Created") or ""
        )

    async def has_containerd_store(self) -> bool:
        """Whether containerd keeps the engine's images, under ids of its own."""
        status = (await self.call(lambda client: client.info())).get("DriverStatus") or ()
        return any(CONTAINERD_STORE in entry for entry in status)

    async def layer_stacks(self) -> list[tuple[str, ...]]:
        """The layers of every image; none where the engine could not load an image without them."""
        if await self.has_containerd_store():
            return []
        ids = {str(image["Id"]) for image in listed(await self.call(lambda client: client.images()))}
        images = await asyncio.gather(*(self.inspect_image(image_id) for image_id in ids))
        return [image.layers for image in images if image is not None]

    async def pull(
        self, reference: str, on_line: Callable[[str], None], login: RegistryLogin | None = None
    ) -> str:
        """Pull an image and return it pinned: `name@sha256:…`, or its id where the registry gives no digest.

        `on_line` hears what changes, without the progress bars. Without a login, this machine's engine gets
        that of its Docker configuration. Raises ImageNotFound when it does not exist or is not for us,
        RegistryRefused when the login is refused, RegistryUnavailable when its registry is out of reach,
        InvalidInput for what is no reference.
        """
        wanted = parse_image_reference(reference)
        try:
            await self._pull(wanted.canonical, on_line, login)
        except EngineRefusal as refusal:
            raise pull_refusal(reference, refusal.status, refusal.reason, login) from refusal
        image = await self.call(lambda client: client.inspect_image(wanted.canonical))
        pinned = [name for name in image.get("RepoDigests") or () if name.partition("@")[0] == wanted.name]
        # Docker Hub's names have a short and a long form, so the digest may stand under the other one.
        return str((pinned or image.get("RepoDigests") or [image["Id"]])[0])

    async def _pull(
        self, reference: str, on_line: Callable[[str], None], login: RegistryLogin | None
    ) -> None:
        headers = await self.login_headers(reference, login)
        try:
            await self.transfer("/images/create", {"fromImage": reference}, headers, on_line)
        except TimeoutError as error:
            raise RegistryUnavailable(f"Pulling {reference} stalled: no progress for two minutes.") from error

    async def login_headers(self, reference: str, login: RegistryLogin | None) -> dict[str, str]:
        """What a request shows the image's registry: this login, or what this machine's engine is shown."""
        if login is not None:
            return login_header(login)
        return await asyncio.to_thread(self.registry_login, reference)

    async def transfer(
        self, path: str, query: Mapping[str, str], headers: Mapping[str, str], on_line: Callable[[str], None]
    ) -> list[dict[str, Any]]:
        """Has the engine exchange an image with a registry; the facts that it tells beside its progress.

        `on_line` hears each line once. Raises EngineRefusal with the engine's reason, and TimeoutError when
        nothing has happened for two minutes.
        """
        progress = JsonReader()
        heard: set[str] = set()
        facts: list[dict[str, Any]] = []
        async with (
            asyncio.timeout(SILENCE_SECONDS) as limit,
            self.stream("POST", path, query=query, headers=headers) as stream,
        ):
            async for chunk in stream:
                limit.reschedule(asyncio.get_running_loop().time() + SILENCE_SECONDS)
                for message in progress.feed(chunk):
                    if reason := message.get("error"):
                        raise EngineRefusal(500, str(reason))
                    if isinstance(fact := message.get("aux"), dict):
                        facts = [*facts[1 - MOST_FACTS :], fact]
                    told = (message.get("id"), message.get("status"))
                    line = " ".join(str(one)[:LONGEST_WORD] for one in told if one)
                    if line and line not in heard and len(heard) < MOST_LINES:
                        heard.add(line)
                        on_line(line)
        return facts

    async def tag(self, reference: str, new_reference: str) -> None:
        """Give a local image another name. Raises ImageNotFound."""
        new = parse_image_reference(new_reference)
        try:
            await self.call(lambda client: client.tag(reference, new.name, new.tag, force=True))
        except EngineRefusal as refusal:
            raise ImageNotFound(f"There is no image {reference} to tag.", detail=refusal.reason) from refusal

    async def remove_image(self, reference: str) -> bool:
        """Remove a name, and with its last name the image. False when a container uses it; absent is fine."""
        try:
            await self.call(lambda client: client.remove_image(reference))
        except EngineRefusal as refusal:
            if refusal.status == 409:
                return False
            if refusal.status != 404:
                raise
        return True

    async def images_with_prefix(self, name: str) -> list[str]:
        """Every local `name:tag` that starts with `name`, sorted."""
        images = await self.call(lambda client: client.images())
        tags = {tag for image in images for tag in image.get("RepoTags") or () if tag.startswith(name)}
        return sorted(tags - {"<none>:<none>"})

    async def load_image(self, archive: Path) -> list[str]:
        """Load an archive of `docker save` and return the references in it."""

        def load(client: Any) -> list[str]:
            with archive.open("rb") as file:
                messages = list(client.load_image(file))
            lines = [str(message.get("stream", "")).strip() for message in messages]
            return [line.partition(": ")[2] for line in lines if line.startswith("Loaded image")]

        return await self.call(load, extra_seconds=TRANSFER_TIMEOUT_SECONDS)

    async def import_image(self, archive: Path, reference: str, changes: Sequence[str]) -> None:
        """Make an image out of a tar of a file system; `changes` are lines of a Dockerfile."""
        image = parse_image_reference(reference)
        await self.call(
            lambda client: client.import_image(
                str(archive), repository=image.name, tag=image.tag, changes=list(changes)
            ),
            extra_seconds=TRANSFER_TIMEOUT_SECONDS,
        )
