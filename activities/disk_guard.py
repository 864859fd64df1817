"""No build begins on a disk that is nearly full: it would fail late, and take what runs there along."""

from __future__ import annotations

from activities.servers import ServerParts
from adapters.disk_space import free_bytes
from domain.errors import DiskFull
from domain.sizes import in_words

ADVICE = (
    "Remove what is not needed there, keep fewer images of its applications or less of the cache of builds "
    "(SEAWAY_BUILD_CACHE_GB), or lower SEAWAY_MINIMUM_FREE_DISK_MB."
)


async def room_for_image(parts: ServerParts, minimum_bytes: int, where: str) -> int | None:
    """How many bytes of an image the server may take, so that as much stays free; None: nobody can tell.

    Raises DiskFull where it may take none.
    """
    free = await free_bytes(parts.commands, await parts.engine.data_folder() or "/")
    if free is not None and free <= minimum_bytes:
        raise DiskFull(
            f"The disk of {where} has {in_words(free)} left, of which {in_words(minimum_bytes)} have to stay "
            f"free, so it takes no image. {ADVICE}"
        )
    return None if free is None else free - minimum_bytes


async def require_free_disk(parts: ServerParts, minimum_bytes: int, where: str) -> None:
    """Raises DiskFull where less is free on the disk of the server's engine.

    Where nobody can tell (Seaway in a container does not see its host's disk), the build may begin.
    """
    if not minimum_bytes:
        return
    free = await free_bytes(parts.commands, await parts.engine.data_folder() or "/")
    if free is not None and free < minimum_bytes:
        raise DiskFull(
            f"The disk of {where} has {in_words(free)} left; a build needs {in_words(minimum_bytes)}. "
            f"{ADVICE}"
        )
