"""An image that somebody else has made: pulled, kept under our own name, and its other name taken off.

With two names it would stay when ours is removed. A name that was there before is somebody else's and stays.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from activities.servers import ServerParts
from activities.step_log import Write
from adapters.docker.engine import DockerEngine
from domain.errors import ImageNotFound, RegistryUnavailable, TransientError
from domain.registries import RegistryLogin, login_for
from store.store import Store
from store.tables import PulledName

Which = Callable[[PulledName], Awaitable[bool]]
"""Whether a name is to go, asked right before it goes."""


async def pull_image(
    parts: ServerParts,
    store: Store,
    name: PulledName,
    image: str,
    write: Write,
    logins: Iterable[RegistryLogin],
) -> str:
    """The engine has the image by our own name, and by `name` only if it had it before; the image's id.

    One that only the server has is good as well. A login that is refused is never made good by a copy:
    whoever rotates a password has to hear of it.
    """
    engine, reference = parts.engine, name.reference
    noted = {one.reference for one in await store.pulled_names.on_server(name.server_id)}
    if reference in noted or await engine.image_id(reference) is None:
        # Before the pull: who repeats it after a death in between would take the name for somebody else's.
        await store.pulled_names.note(name.server_id, reference, name.application_id)
    try:
        await engine.pull(reference, write, login_for(reference, logins))
    except (ImageNotFound, RegistryUnavailable) as error:
        if await engine.image_id(reference) is None:
            raise
        write(f"{error.message} The copy on the server is used.")
    try:
        await engine.tag(reference, image)
    except ImageNotFound as error:
        # Another application's deployment has taken the name off after its own pull.
        raise TransientError(f"The image {reference} went while it was given its own name.") from error
    await take_off(engine, store, name.server_id, pulled_for(name.application_id))
    return await engine.image_id(image) or ""


def pulled_for(application_id: str) -> Which:
    """The names that were pulled for this application."""

    async def is_one(name: PulledName) -> bool:
        return name.application_id == application_id

    return is_one


async def take_off(engine: DockerEngine, store: Store, server_id: str, which: Which) -> tuple[str, ...]:
    """The server has these pulled names no more, unless a container was started by one; those that went."""
    gone = []
    for name in await store.pulled_names.on_server(server_id):
        if not await which(name):
            continue
        was_there = await engine.image_id(name.reference) is not None
        if await engine.remove_image(name.reference):
            await store.pulled_names.forget(name)
            gone += [name.reference] if was_there else []
    return tuple(gone)
