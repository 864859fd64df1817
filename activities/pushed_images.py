"""An image that a deployment pushed, taken from its registry instead of being built or sent again."""

from __future__ import annotations

from collections.abc import Iterable

from temporalio import activity

from activities.errors import TRANSIENT_ATTEMPTS
from activities.step_log import Write
from adapters.docker.engine import DockerEngine
from domain.errors import ImageNotFound, RegistryUnavailable
from domain.registries import RegistryLogin, login_for, registry_of


async def pull_pushed(
    engine: DockerEngine, pushed: str, image: str, write: Write, logins: Iterable[RegistryLogin]
) -> bool:
    """The engine has the image by its own name afterwards; False when its registry has it no more.

    `pushed` has the digest, so nothing else can come. A registry out of reach is asked again by the next
    attempts, and then done without. Raises RegistryRefused, and RegistryUnavailable until then.
    """
    write(f"The image comes from the registry {registry_of(pushed)}.")
    try:
        await engine.pull(pushed, write, login_for(pushed, logins))
    except ImageNotFound as error:
        write(error.message)
        return False
    except RegistryUnavailable as error:
        if activity.info().attempt < TRANSIENT_ATTEMPTS:
            raise
        write(f"{error.message} It is done without.")
        return False
    await engine.tag(pushed, image)
    # Else it would stay when its own name is removed.
    await engine.remove_image(pushed)
    return True
