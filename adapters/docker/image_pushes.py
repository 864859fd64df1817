"""Images pushed to a registry by an engine."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from adapters.docker.connection import EngineRefusal
from adapters.docker.images import Images
from adapters.docker.refusals import push_refusal
from adapters.docker.registry_logins import HEADER, NO_LOGIN
from domain.errors import EngineUnavailable, ImageNotFound, RegistryUnavailable
from domain.image_references import parse_image_reference
from domain.registries import RegistryLogin


class ImagePushes(Images):
    """What an engine gives to registries."""

    async def push(
        self,
        image: str,
        reference: str,
        on_line: Callable[[str], None],
        login: RegistryLogin | None = None,
    ) -> str:
        """Pushes a local image as `reference` and returns that pinned: `name@sha256:…`.

        The engine has that name only meanwhile; one that it gave to another image means that again. `on_line`
        hears what changes. A repeated push sends only what is missing. Without a login, this machine's engine
        gets that of its Docker configuration. Raises ImageNotFound when the engine has no such image,
        RegistryRefused when the registry does not want it from us, RegistryUnavailable when it is out of
        reach or failing.
        """
        wanted = parse_image_reference(reference)
        before = await self.image_id(wanted.canonical)
        if before is not None and before == await self.image_id(image):
            before = None  # a push that was killed has left it
        await self.tag(image, wanted.canonical)
        try:
            headers = {HEADER: NO_LOGIN, **await self.login_headers(wanted.canonical, login)}
            path = f"/images/{wanted.name}/push"
            facts = await self.transfer(path, {"tag": wanted.tag}, headers, on_line)
        except TimeoutError as error:
            raise RegistryUnavailable(f"Pushing {reference} stalled: no progress for two minutes.") from error
        except EngineRefusal as refusal:
            raise push_refusal(reference, refusal.status, refusal.reason, login) from refusal
        finally:
            # Else the image would stay when its own name is removed; what cannot be removed does no harm.
            with suppress(EngineUnavailable, ImageNotFound):
                await self._give_back(wanted.canonical, before)
        digests = [str(fact["Digest"]) for fact in facts if fact.get("Digest")]
        if not digests:
            raise RegistryUnavailable(f"The engine did not say under which digest {reference} was pushed.")
        return f"{wanted.name}@{digests[-1]}"

    async def _give_back(self, name: str, before: str | None) -> None:
        """The name means what it meant before: somebody may run an image that they have pulled by it."""
        if before is None:
            await self.remove_image(name)
        else:
            await self.tag(before, name)
