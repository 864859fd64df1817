"""Images streamed from one engine to another, past this process, which keeps nothing of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from adapters.docker.connection import EngineRefusal
from adapters.docker.image_archives import ArchiveFilter
from adapters.docker.images import Images, LocalImage
from adapters.docker.refusals import DISK_FULL
from domain.errors import DeploymentError, DiskFull, EngineUnavailable, ImageNotFound
from domain.image_distribution import readable_size, shared_layers

# Without any progress for this long, it has stalled.
SILENCE_SECONDS: Final = 120.0
REPORT_SECONDS: Final = 2.0
LOAD_END_SECONDS: Final = 60.0

OnLine = Callable[[str], None]


@dataclass(frozen=True)
class Transfer:
    """What it took: the bytes that were sent, those of the whole archive, and the layers that stayed."""

    sent_bytes: int
    archive_bytes: int
    seconds: float
    shared_layers: int


async def send_image(
    source: Images, target: Images, reference: str, on_line: OnLine, *, room_bytes: int | None = None
) -> Transfer:
    """The target has the source's image afterwards, by name, without the layers that it had already.

    No other name changes its meaning there, whatever the source sends. Cancelling ends both streams; a load
    that the target has begun is waited for, so that what follows finds its image. Raises ImageNotFound,
    EngineUnavailable when either connection breaks or stalls, DeploymentError when what comes is not the
    image that the source told of; the name then means what it meant before.
    DiskFull when the target's disk is full, and for more than `room_bytes`, where the target's room is known:
    before anything is sent, if all of the image has to go, and else as soon as more has come than there is
    room for.
    """
    image = await source.inspect_image(reference)
    if image is None:
        raise ImageNotFound(
            f"The server that should send the image {reference} has it no more. Deploy again."
        )
    before = await target.inspect_image(reference)
    known = shared_layers(image.layers, await target.layer_stacks())
    if room_bytes is not None and not known and image.size_bytes > room_bytes:
        raise no_room(image.size_bytes, room_bytes)
    there = f"{known} of {len(image.layers)} layers are there"
    on_line(f"Sending an image of {readable_size(image.size_bytes)}; {there}.")
    try:
        transfer = await _Sending(source, target, reference, image, known, on_line, room_bytes).run()
    except EngineRefusal as refusal:
        if DISK_FULL.search(refusal.reason):
            raise DiskFull(
                "The disk of the receiving server is full. Free space there, and deploy again.",
                detail=refusal.reason,
            ) from refusal
        if not known:
            raise
        # Somebody may have removed an image with these layers just now.
        on_line(
            f"The server does not take it without these layers ({refusal.reason.strip()}). Sending all of it."
        )
        transfer = await _Sending(source, target, reference, image, 0, on_line, room_bytes).run()
    await _require_same(source, target, reference, image, before)
    return transfer


def no_room(size_bytes: int, room_bytes: int) -> DiskFull:
    """For an image that the receiving server has no room for."""
    return DiskFull(
        f"The disk of the receiving server has room for {readable_size(max(room_bytes, 0))}, and the image "
        f"has {readable_size(size_bytes)} or more. Free space there, and deploy again."
    )


async def _require_same(
    source: Images, target: Images, reference: str, promised: LocalImage, before: LocalImage | None
) -> None:
    """Whether the target has under this name what the source promised; if not, all is as it was before."""
    loaded = await target.inspect_image(reference)
    if loaded is not None and loaded.id == promised.id:
        return
    # One with containerd's store identifies an image by its manifest, others by its configuration.
    is_copy = loaded is not None and loaded.is_copy_of(promised)
    if is_copy and (await source.has_containerd_store() or await target.has_containerd_store()):
        return
    if loaded is not None:
        await target.remove_image(reference)
    if before is not None:
        await target.tag(before.id, reference)
    raise DeploymentError(
        f"The server that sends the image {reference} sent another one than it told of. It was discarded. "
        "Look whether somebody else controls that server.",
        detail=f"{promised.id} was told, {loaded.id if loaded else 'nothing'} came.",
    )


class _Sending:
    """One try."""

    def __init__(
        self,
        source: Images,
        target: Images,
        reference: str,
        image: LocalImage,
        known: int,
        on_line: OnLine,
        room_bytes: int | None,
    ) -> None:
        self._source = source
        self._target = target
        self._reference = reference
        self._size_bytes = image.size_bytes
        self._known = known
        self._room_bytes = room_bytes
        self._filter = ArchiveFilter(image.layers, known, reference)
        self._on_line = on_line
        self._silence = asyncio.timeout(SILENCE_SECONDS)
        self._reported = time.monotonic()
        self._source_failed = False

    async def run(self) -> Transfer:
        begun = time.monotonic()
        try:
            async with self._silence:
                await self._until_loaded()
        except TimeoutError as error:
            message = f"Sending the image stalled after {self._sent}: no progress for two minutes."
            raise EngineUnavailable(message) from error
        except EngineRefusal:
            raise
        except EngineUnavailable as error:
            side = "sends" if self._source_failed else "receives"
            raise EngineUnavailable(
                f"The connection to the server that {side} the image broke after {self._sent}.",
                detail=error.detail,
            ) from error
        passed = self._filter
        return Transfer(
            sent_bytes=passed.given_bytes,
            archive_bytes=passed.given_bytes + passed.dropped_bytes,
            seconds=time.monotonic() - begun,
            shared_layers=self._known,
        )

    async def _until_loaded(self) -> None:
        async with aclosing(self._archive()) as archive:
            loading = asyncio.create_task(self._target.load_stream(archive, self._alive))
            try:
                await asyncio.shield(loading)
            except asyncio.CancelledError:
                if self._filter.ended:
                    # The engine would go on alone, and finish after the image has been discarded.
                    await asyncio.wait([loading], timeout=LOAD_END_SECONDS)
                loading.cancel()
                await asyncio.wait([loading])
                raise

    async def _archive(self) -> AsyncGenerator[bytes, None]:
        try:
            async with self._source.saved(self._reference) as stream:
                async for chunk in stream:
                    self._alive()
                    for piece in self._filter.feed(chunk):
                        yield piece
                        self._alive()
                    if self._room_bytes is not None and self._filter.given_bytes > self._room_bytes:
                        raise no_room(self._filter.given_bytes, self._room_bytes)
                    if self._filter.is_over:
                        break
                    self._report()
            if not self._filter.ended:
                raise EngineUnavailable("The archive ended too early.")
        except EngineUnavailable as error:
            self._source_failed = True
            # Not a refusal of the engine that receives.
            raise EngineUnavailable(error.message, detail=error.detail) from error

    def _alive(self, _message: str = "") -> None:
        if not self._silence.expired():
            self._silence.reschedule(asyncio.get_running_loop().time() + SILENCE_SECONDS)

    def _report(self) -> None:
        if time.monotonic() - self._reported >= REPORT_SECONDS:
            self._reported = time.monotonic()
            passed = readable_size(self._filter.given_bytes + self._filter.dropped_bytes)
            self._on_line(f"{self._sent} sent, {passed} of {readable_size(self._size_bytes)} looked at")

    @property
    def _sent(self) -> str:
        return readable_size(self._filter.given_bytes)
