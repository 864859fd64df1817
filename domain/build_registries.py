"""Which registries a build asks for images, as far as its Dockerfile and its arguments name them.

The Dockerfile is not run for it: what names too many only shows a server a login that the text itself names.
Forms: https://docs.docker.com/reference/dockerfile/ (FROM, COPY --from, RUN --mount, ARG, syntax).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from domain.registries import DOCKER_HUB, DOCKER_HUB_NAMES, RegistryLogin

# Whoever writes the Dockerfile could let variables double each other without end.
LONGEST_REFERENCE: Final = 512
SYNTAX_ARGUMENT: Final = "BUILDKIT_SYNTAX"
# Nothing here goes over a text more than once, whatever stands in it.
CONTINUATION: Final = re.compile(r"[\\`][ \t]*\r?\n")
FROM: Final = re.compile(
    r"^[ \t]*(?:ONBUILD[ \t]+)?FROM[ \t]+(?:--\S++[ \t]+)*(?P<image>\S++)(?:[ \t]+AS[ \t]+(?P<stage>\S++))?",
    re.IGNORECASE | re.MULTILINE,
)
FROM_OPTION: Final = re.compile(r"(?:--|[=,])from=(?P<image>[^\s,]++)", re.IGNORECASE)
SYNTAX: Final = re.compile(
    r"^[ \t]*(?:#|//)[ \t]*syntax[ \t]*=[ \t]*(?P<image>\S++)", re.IGNORECASE | re.MULTILINE
)
ARGUMENTS: Final = re.compile(r"^[ \t]*ARG[ \t]+(?P<pairs>\S.*)$", re.IGNORECASE | re.MULTILINE)
DEFAULT: Final = re.compile(r"""(?<!\w)(\w++)=("[^"]*+"|'[^']*+'|\S*+)""")
VARIABLE: Final = re.compile(r"\$(?:(?P<bare>\w++)|\{(?P<name>\w++)(?::?[-+](?P<word>[^{}]*+)|[^{}]*+)\})")


def logins_needed(
    logins: Sequence[RegistryLogin], dockerfile: str, arguments: Mapping[str, str]
) -> tuple[RegistryLogin, ...]:
    """Those for hosts that the Dockerfile or an argument names; Docker Hub's, where an image has none."""
    images = {image.lower() for image in _images(CONTINUATION.sub(" ", dockerfile), arguments)}
    texts = [dockerfile.lower(), *(value.lower() for value in arguments.values()), *images]
    hosts = {host for login in logins if _is_named(host := login.host, texts)}
    if any(map(_may_be_of_docker_hub, images)) or any(_is_named(name, texts) for name in DOCKER_HUB_NAMES):
        hosts.add(DOCKER_HUB)
    return tuple(login for login in logins if login.host in hosts)


def _images(dockerfile: str, arguments: Mapping[str, str]) -> Iterator[str]:
    """What is used as an image, its variables filled in; no stages."""
    values = _values(dockerfile, arguments)
    stages = {"scratch"}
    for found in FROM.finditer(dockerfile):
        image = _filled(found["image"], values)
        if image.lower() not in stages:
            yield image
        stages.add((found["stage"] or "").lower())
    for found in FROM_OPTION.finditer(dockerfile):
        image = _filled(found["image"], values)
        if image.lower() not in stages and not image.isdigit():
            yield image
    yield from (found["image"][:LONGEST_REFERENCE] for found in SYNTAX.finditer(dockerfile))
    if SYNTAX_ARGUMENT in arguments:
        yield arguments[SYNTAX_ARGUMENT][:LONGEST_REFERENCE]


def _values(dockerfile: str, arguments: Mapping[str, str]) -> dict[str, str]:
    values = {name: value[:LONGEST_REFERENCE] for name, value in arguments.items()}
    for line in ARGUMENTS.finditer(dockerfile):
        for name, default in DEFAULT.findall(line["pairs"]):
            if name not in arguments:
                values[name] = _filled(default, values)
    return values


def _filled(text: str, values: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        known = values.get(found["bare"] or found["name"]) or found["word"]
        return found[0] if known is None else known

    bare = text[:LONGEST_REFERENCE].replace('"', "").replace("'", "")
    return VARIABLE.sub(value, bare)[:LONGEST_REFERENCE]


def _may_be_of_docker_hub(image: str) -> bool:
    host, slash, _ = image.partition("/")
    return "$" in image or not slash or not (any(sign in host for sign in ".:[") or host == "localhost")


def _is_named(host: str, texts: Sequence[str]) -> bool:
    whole = re.compile(rf"(?<![\w.-]){re.escape(host)}(?![\w:-]|\.\w)")
    return any(whole.search(text) for text in texts)
