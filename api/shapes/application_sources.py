"""Fields that say where an application comes from: a repository or a Docker image."""

from __future__ import annotations

from typing import Any

from api.shapes.configuration_paths import replace_path
from domain.configuration import ApplicationConfiguration, BuildPack, GitSource, ImageSource
from domain.errors import InvalidInput
from domain.git_references import parse_repository
from domain.image_references import combine_image_reference, parse_image_reference

FROM_REPOSITORY = (BuildPack.DOCKERFILE, BuildPack.STATIC)
LATER = "Seaway builds with 'dockerfile' and 'static' now, and runs prebuilt images with 'dockerimage'"


def apply_repository(configuration: ApplicationConfiguration, given: Any) -> ApplicationConfiguration:
    """Another repository, as Git is given it."""
    if isinstance(configuration.source, ImageSource) and not given:
        return configuration
    return replace_path(configuration, "source.repository", parse_repository(given or "").url)


def show_repository(configuration: ApplicationConfiguration) -> str | None:
    """The address without credentials."""
    source = configuration.source
    return parse_repository(source.repository).display if isinstance(source, GitSource) else None


def apply_private_key(configuration: ApplicationConfiguration, given: Any) -> ApplicationConfiguration:
    """Another deploy key; that it exists is for the store to say."""
    return replace_path(configuration, "source.private_key_id", given or None)


def apply_image_name(configuration: ApplicationConfiguration, given: Any) -> ApplicationConfiguration:
    """Another image. A tag or digest in the name replaces the earlier one."""
    if isinstance(configuration.source, GitSource):
        return _without_image(configuration, given)
    name = (given or "").strip()
    last = name.rpartition("/")[2]
    if ":" in last or "@sha256:" in last:
        return _with_image(configuration, parse_image_reference(name).canonical)
    tag = show_image_tag(configuration) if configuration.source.reference else ""
    return _with_image(configuration, combine_image_reference(name, tag or "").canonical)


def apply_image_tag(configuration: ApplicationConfiguration, given: Any) -> ApplicationConfiguration:
    """Another tag or digest of the same image; nothing leaves it as it is."""
    if isinstance(configuration.source, GitSource) or not given:
        return _without_image(configuration, given)
    name = parse_image_reference(configuration.source.reference).name
    return _with_image(configuration, combine_image_reference(name, given).canonical)


def show_image_name(configuration: ApplicationConfiguration) -> str | None:
    """The image's name, without tag and digest."""
    source = configuration.source
    return parse_image_reference(source.reference).name if isinstance(source, ImageSource) else None


def show_image_tag(configuration: ApplicationConfiguration) -> str | None:
    """The tag, or the digest if the image is pinned."""
    if isinstance(configuration.source, GitSource):
        return None
    image = parse_image_reference(configuration.source.reference)
    return image.digest or image.tag


def apply_build_pack(configuration: ApplicationConfiguration, given: Any) -> ApplicationConfiguration:
    """Another way to build. A repository cannot become an image, or the other way round."""
    try:
        pack = BuildPack(given)
    except ValueError as error:
        raise InvalidInput(f"{given[:40]!r} is not supported yet. {LATER}.") from error
    if (pack in FROM_REPOSITORY) is not isinstance(configuration.source, GitSource):
        raise InvalidInput("An application from a repository cannot become one from an image, or vice versa.")
    return replace_path(configuration, "build.pack", pack)


def _with_image(configuration: ApplicationConfiguration, reference: str) -> ApplicationConfiguration:
    return replace_path(configuration, "source.reference", reference)


def _without_image(configuration: ApplicationConfiguration, given: Any) -> ApplicationConfiguration:
    if given:
        raise InvalidInput("Pushing a built image to a registry is not supported yet.")
    return configuration
