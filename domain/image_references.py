"""Docker image references: `[registry[:port]/]name[:tag][@digest]`.

The grammar is that of the distribution project's package `reference`
(https://pkg.go.dev/github.com/distribution/reference). It leaves no room for anything that a shell
or a command line could take for something else.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from domain.errors import InvalidInput

DEFAULT_TAG = "latest"
MAXIMUM_NAME_LENGTH = 255
MAXIMUM_TAG_LENGTH = 128

_HOST_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST = rf"(?:{_HOST_LABEL}(?:\.{_HOST_LABEL})*|\[[0-9a-fA-F:]+\])"
_REGISTRY = re.compile(rf"{_HOST}(?::(?P<port>[0-9]{{1,5}}))?")
_PATH = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_SHA256_HEX = re.compile(r"[0-9a-f]{64}")
# Docker takes both for its own registry, whose images an engine names without it.
_OWN = re.compile(r"(?:(?:index\.)?docker\.io/)?seaway/.*")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


@dataclass(frozen=True)
class ImageReference:
    """One image. Either `tag` or `digest` is set, or both; a digest decides alone what is pulled."""

    name: str
    tag: str = ""
    digest: str = ""

    @property
    def is_pinned(self) -> bool:
        """Whether the reference can only ever mean one image."""
        return bool(self.digest)

    @property
    def canonical(self) -> str:
        """The text to give to the engine: `name@digest` if there is a digest, else `name:tag`."""
        return f"{self.name}@{self.digest}" if self.digest else f"{self.name}:{self.tag or DEFAULT_TAG}"


def parse_image_reference(text: str) -> ImageReference:
    """Read a reference; without tag and digest it means `latest`.

    A tag of 64 hexadecimal digits is read as a SHA-256 digest: no tag looks like that, and people
    paste digests without their prefix. Raises InvalidInput (field `image`).
    """
    text = text.strip(" ")
    if not text:
        raise _invalid("An image is needed, for example nginx:1.27.")
    remainder, at, digest = text.partition("@")
    name, tag = _split_tag(remainder)
    _check_name(name)
    if at:
        digest = digest.lower() if digest[:6].lower() in ("sha256", "sha512") else digest
        if not _DIGEST.fullmatch(digest):
            raise _invalid(f"{_shown(digest)} is not an image digest; it looks like sha256: and 64 digits.")
    if _SHA256_HEX.fullmatch(tag) and not digest:
        return ImageReference(name, "", f"sha256:{tag}")
    if tag and not _TAG.fullmatch(tag):
        raise _invalid(
            f"{_shown(tag)} is not an image tag: letters, digits, '_', '.' and '-', at most 128, "
            "not starting with '.' or '-'."
        )
    if remainder.endswith(":"):
        raise _invalid("The image has a ':' with no tag after it.")
    return ImageReference(name, tag or ("" if digest else DEFAULT_TAG), digest)


def combine_image_reference(name: str, tag: str) -> ImageReference:
    """The reference of a name and a tag that were given apart, as two fields of a form.

    The name may carry `@sha256` and the tag `sha256:` or just the digits of the digest; the name
    may not carry a tag. Raises InvalidInput (field `image`).
    """
    name, tag = name.strip(" "), tag.strip(" ")
    bare = name.removesuffix("@sha256")
    _check_name(bare)
    digits = tag.removeprefix("sha256:").removeprefix("sha256-")
    if bare != name or digits != tag:
        return parse_image_reference(f"{bare}@sha256:{digits}")
    return parse_image_reference(f"{bare}:{tag}" if tag else bare)


def image_tag_for(application_id: str, build_key: str) -> str:
    """The tag under which Seaway keeps an image that it built: `seaway/{application_id}:{build_key}`.

    A key longer than the 128 characters that a tag may have keeps its start and ends with a hash of
    the whole, so that two long keys never share an image. Raises InvalidInput (field `image`).
    """
    if len(build_key) > MAXIMUM_TAG_LENGTH:
        digest = hashlib.sha256(build_key.encode()).hexdigest()[:16]
        build_key = f"{build_key[: MAXIMUM_TAG_LENGTH - 17]}-{digest}"
    name = f"seaway/{application_id}"
    _check_name(name)
    if not _TAG.fullmatch(build_key):
        raise _invalid(f"{_shown(build_key)} cannot be part of an image tag.")
    return f"{name}:{build_key}"


def refuse_own_name(name: str) -> str:
    """The name, unless it is one that Seaway gives to images on servers. Raises InvalidInput (field `image`).

    An engine has a name once. Whoever could push by another application's, or by that of the proxy, would put
    an image of theirs into its place there.
    """
    if _OWN.fullmatch(name):
        raise _invalid(f"Names like {_shown(name)} are those of Seaway's own images on a server.")
    return name


def _split_tag(text: str) -> tuple[str, str]:
    """A colon after the last slash starts the tag; one before it belongs to the registry's port."""
    head, slash, last = text.rpartition("/")
    last, _, tag = last.partition(":")
    return f"{head}{slash}{last}", tag


def _check_name(name: str) -> None:
    """Raise InvalidInput unless this is a name by the grammar, with or without a registry."""
    if len(name) > MAXIMUM_NAME_LENGTH:
        raise _invalid(f"The image name is longer than {MAXIMUM_NAME_LENGTH} characters.")
    first, slash, rest = name.partition("/")
    if slash and (any(character in first for character in ".:[") or first.lower() == "localhost"):
        registry = _REGISTRY.fullmatch(first)
        port = int((registry and registry["port"]) or 1)
        if registry is None or not 1 <= port <= 65535:
            raise _invalid(f"{_shown(first)} is not the address of a registry.")
        name = rest
    if _PATH.fullmatch(name):
        if _SHA256_HEX.fullmatch(name):
            raise _invalid("That is an image id; give the image's name and its tag or digest.")
        return
    if _PATH.fullmatch(name.lower()):
        raise _invalid(f"Image names are lower case: {_shown(name.lower())}, not {_shown(name)}.")
    raise _invalid(f"{_shown(name)} is not an image name: lower-case letters, digits, '.', '_', '-' and '/'.")


def _shown(text: str) -> str:
    """The text for a message: quoted, printable and short."""
    return repr(text if len(text) <= 80 else f"{text[:80]}…")


def _invalid(message: str) -> InvalidInput:
    return InvalidInput(message, field="image")
