"""Fields that say where an application comes from: a repository or a Docker image."""

from __future__ import annotations

from typing import Any

from api.shapes.configuration_paths import replace_path
from domain.configuration import ApplicationConfiguration, BuildPack, GitSource, ImageSource, PushOptions
from domain.errors import InvalidInput
from domain.git_references import parse_repository
from domain.image_references import (
    combine_image_reference,
    parse_image_reference,
    refuse_own_name,
)

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
    """Another image. A tag or digest in the name replaces the earlier one.

    Of a repository it is where the built image is pushed; nothing means nowhere.
    """
    name = (given or "").strip()
    if isinstance(configuration.source, GitSource):
        return _pushed_to(configuration, name)
    last = name.rpartition("/")[2]
    if ":" in last or "@sha256:" in last:
        return _with_image(configuration, parse_image_reference(name).canonical)
    tag = show_image_tag(configuration) if configuration.source.reference else ""
    return _with_image(configuration, combine_image_reference(name, tag or "").canonical)


def apply_image_tag(configuration: ApplicationConfiguration, given: Any) -> ApplicationConfiguration:
    """Another tag or digest of the same image; nothing leaves it as it is.

    Of a repository it is the tag that follows what serves.
    """
    if isinstance(configuration.source, GitSource):
        return _pushed_as(configuration, (given or "").strip())
    if not given:
        return configuration
    name = parse_image_reference(configuration.source.reference).name
    return _with_image(configuration, combine_image_reference(name, given).canonical)


def show_image_name(configuration: ApplicationConfiguration) -> str | None:
    """The image's name, without tag and digest."""
    source = configuration.source
    if isinstance(source, GitSource):
        return configuration.push.name or None
    return parse_image_reference(source.reference).name


def show_image_tag(configuration: ApplicationConfiguration) -> str | None:
    """The tag, or the digest if the image is pinned."""
    if isinstance(configuration.source, GitSource):
        return configuration.push.tag or None
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
    refuse_own_name(parse_image_reference(reference).name)
    return replace_path(configuration, "source.reference", reference)


def _pushed_to(configuration: ApplicationConfiguration, name: str) -> ApplicationConfiguration:
    if not name:
        return replace_path(configuration, "push", PushOptions())
    last = name.rpartition("/")[2]
    if ":" in last or "@" in last:
        raise InvalidInput("Give the name alone. The tag that follows what serves has a field of its own.")
    return replace_path(configuration, "push.name", refuse_own_name(parse_image_reference(name).name))


def _pushed_as(configuration: ApplicationConfiguration, tag: str) -> ApplicationConfiguration:
    if not tag:
        return replace_path(configuration, "push.tag", "")
    if not configuration.push.name:
        raise InvalidInput("Say in docker_registry_image_name where the image is pushed, too.")
    reference = combine_image_reference(configuration.push.name, tag)
    if reference.is_pinned:
        raise InvalidInput("What is built has no digest yet: give a tag, for example latest.")
    return replace_path(configuration, "push.tag", reference.tag)
