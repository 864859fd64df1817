"""What sending an image does when one side fails; engines that work are in the integration tests."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import json
import tarfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest

from adapters.docker import image_transfer
from adapters.docker.connection import EngineRefusal
from adapters.docker.image_transfer import Transfer, send_image
from adapters.docker.images import Images, LocalImage
from domain.errors import DeploymentError, DiskFull, EngineUnavailable, ImageNotFound

LAYERS = ("sha256:" + "a" * 64, "sha256:" + "b" * 64)
IMAGE = LocalImage("sha256:image", LAYERS, 4000, "amd64")


def archive() -> bytes:
    """Two layers and what names the image; without the padding that a recording on tape has."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for layer in LAYERS:
            entry = tarfile.TarInfo(f"blobs/{layer.replace(':', '/')}")
            entry.size = 2000
            tar.addfile(entry, io.BytesIO(bytes(2000)))
        manifest = {"Config": f"{'c' * 64}.json", "RepoTags": ["shop:1"], "Layers": []}
        content_of = json.dumps([manifest], separators=(",", ":")).encode()
        entry = tarfile.TarInfo("manifest.json")
        entry.size = len(content_of)
        tar.addfile(entry, io.BytesIO(content_of))
    return content.getvalue()[: 2 * 2560 + 1024 + 1024]


class Sender:
    """Has the image, and breaks off after some bytes if told to."""

    def __init__(self, *, image: LocalImage | None = IMAGE, breaks_after: int | None = None) -> None:
        self._image = image
        self._breaks_after = breaks_after
        self.error: EngineUnavailable | None = EngineUnavailable("gone", detail="connection reset")
        self.is_open = False

    async def inspect_image(self, reference: str) -> LocalImage | None:
        return self._image

    async def has_containerd_store(self) -> bool:
        return False

    @asynccontextmanager
    async def saved(self, reference: str) -> AsyncIterator[AsyncIterator[bytes]]:
        self.is_open = True
        try:
            yield self._chunks()
        finally:
            self.is_open = False

    async def _chunks(self) -> AsyncIterator[bytes]:
        content = archive()
        for at in range(0, len(content), 512):
            if self._breaks_after is not None and at >= self._breaks_after:
                if self.error is not None:
                    raise self.error
                return
            yield content[at : at + 512]


class Receiver:
    """Takes what comes, and then does what it is told to."""

    def __init__(
        self, then: Callable[[int], None] | None = None, *, known: int = 0, makes: LocalImage = IMAGE
    ) -> None:
        self._then = then
        self._makes = makes
        self.image: LocalImage | None = None
        self._known = known
        self.received: list[bytes] = []
        self.loading = asyncio.Event()
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.loaded = False

    async def inspect_image(self, reference: str) -> LocalImage | None:
        return self.image

    async def has_containerd_store(self) -> bool:
        return False

    async def remove_image(self, reference: str) -> None:
        self.image = None

    async def tag(self, image_id: str, reference: str) -> None:
        self.image = dataclasses.replace(IMAGE, id=image_id)

    async def layer_stacks(self) -> list[tuple[str, ...]]:
        return [LAYERS[: self._known]]

    async def load_stream(self, content: AsyncIterator[bytes], on_message: Callable[[str], None]) -> None:
        self.received.append(b"")
        async for piece in content:
            self.received[-1] += piece
        if self._then is not None:
            self._then(len(self.received))
        self.loading.set()
        await self.may_end.wait()
        self.loaded = True
        self.image = self._makes


async def send(sender: Sender, receiver: Receiver, lines: list[str] | None = None) -> Transfer:
    heard = (lines if lines is not None else []).append
    return await send_image(cast(Images, sender), cast(Images, receiver), "shop:1", heard)


def refuse(reason: str, *, times: int) -> Callable[[int], None]:
    def act(attempt: int) -> None:
        if attempt <= times:
            raise EngineRefusal(500, reason)

    return act


async def test_only_layers_that_are_not_there_are_sent() -> None:
    receiver = Receiver(known=1)
    transfer = await send(Sender(), receiver)
    assert transfer.sent_bytes == len(receiver.received[0]) == len(archive()) - 2560
    assert (transfer.archive_bytes, transfer.shared_layers) == (len(archive()), 1)


async def test_an_engine_that_lacks_a_layer_after_all_gets_everything() -> None:
    receiver = Receiver(refuse("no such file", times=1), known=1)
    lines: list[str] = []
    transfer = await send(Sender(), receiver, lines)
    assert receiver.received[1] == archive()
    assert (transfer.sent_bytes, transfer.shared_layers) == (len(archive()), 0)
    assert "no such file" in lines[-1]


async def test_an_engine_that_refuses_all_layers_is_not_asked_for_ever() -> None:
    receiver = Receiver(refuse("corrupt", times=9), known=1)
    with pytest.raises(EngineRefusal, match="corrupt"):
        await send(Sender(), receiver)
    assert len(receiver.received) == 2


async def test_a_full_disk_is_told_and_not_filled_again() -> None:
    receiver = Receiver(refuse("write /tmp/x: no space left on device", times=9), known=1)
    with pytest.raises(DiskFull, match="disk of the receiving server is full"):
        await send(Sender(), receiver)
    assert len(receiver.received) == 1


async def test_the_side_that_broke_is_named() -> None:
    sender = Sender(breaks_after=1024)
    with pytest.raises(EngineUnavailable, match="server that sends the image broke after 2 kB") as caught:
        await send(sender, Receiver())
    assert caught.value.detail == "connection reset"
    assert not sender.is_open

    def lose(_attempt: int) -> None:
        raise EngineUnavailable("gone")

    with pytest.raises(EngineUnavailable, match="server that receives the image broke after"):
        await send(Sender(), Receiver(lose))


async def test_a_refusal_of_the_sending_engine_is_no_refusal_of_the_other() -> None:
    sender = Sender(breaks_after=0)
    sender.error = EngineRefusal(500, "no such file")
    receiver = Receiver(known=1)
    with pytest.raises(EngineUnavailable, match="server that sends"):
        await send(sender, receiver)
    assert len(receiver.received) == 1


async def test_an_archive_that_ends_too_early_is_not_loaded() -> None:
    sender = Sender(breaks_after=1024)
    sender.error = None
    receiver = Receiver()
    with pytest.raises(EngineUnavailable, match="server that sends"):
        await send(sender, receiver)
    assert not receiver.loaded


async def test_a_cancelled_load_that_has_begun_is_waited_for() -> None:
    receiver = Receiver()
    receiver.may_end.clear()
    sending = asyncio.create_task(send(Sender(), receiver))
    await receiver.loading.wait()
    sending.cancel()
    asyncio.get_running_loop().call_soon(receiver.may_end.set)
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert receiver.loaded


async def test_what_makes_no_progress_has_stalled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_transfer, "SILENCE_SECONDS", 0.02)
    monkeypatch.setattr(image_transfer, "LOAD_END_SECONDS", 0.02)
    receiver = Receiver()
    receiver.may_end.clear()
    with pytest.raises(EngineUnavailable, match="stalled after 8 kB"):
        await send(Sender(), receiver)


async def test_another_image_than_the_one_told_of_does_not_stay() -> None:
    before = dataclasses.replace(IMAGE, id="sha256:before")
    for earlier in (None, before):
        receiver = Receiver(makes=dataclasses.replace(IMAGE, id="sha256:evil"))
        receiver.image = earlier
        with pytest.raises(DeploymentError, match="sent another one than it told of"):
            await send(Sender(), receiver)
        assert receiver.image == earlier


async def test_an_image_that_is_gone_is_told() -> None:
    with pytest.raises(ImageNotFound):
        await send(Sender(image=None), Receiver())


def test_an_image_is_known_again_on_an_engine_that_gives_other_ids() -> None:
    made = dataclasses.replace(IMAGE, created="2026-11-23T17:51:55.990385551Z")
    assert dataclasses.replace(made, id="sha256:manifest", size_bytes=4100).is_copy_of(made)
    assert not dataclasses.replace(IMAGE, id="sha256:other").is_copy_of(IMAGE)
    assert not dataclasses.replace(made, id="sha256:other", created="a second later").is_copy_of(made)
    assert not dataclasses.replace(made, id="sha256:other", layers=LAYERS[:1]).is_copy_of(made)
