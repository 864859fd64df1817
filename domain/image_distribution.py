"""Where an application's image is built, who sends it to its other servers, and which layers need not go."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence


def building_server(architectures: Mapping[str, str]) -> str | None:
    """Which of an application's servers builds for all of them: the first one.

    `architectures` has each server's, in the order of the configuration; "" is not known. None means that
    each builds for itself: there is only one, or an image of one would not run on another.
    """
    known = {architecture for architecture in architectures.values() if architecture}
    if len(architectures) < 2 or len(known) > 1:
        return None
    return next(iter(architectures))


def sending_server(builder: str, having: Sequence[str]) -> str:
    """Which server gives the image to those that lack it: the one that builds, unless only others have it."""
    return builder if builder in having or not having else having[0]


def chain_ids(layers: Sequence[str]) -> list[str]:
    """What identifies each layer together with those below it (OCI image specification, "Layer ChainID")."""
    chain: list[str] = []
    for layer in layers:
        below = f"{chain[-1]} {layer}" if chain else ""
        chain.append(f"sha256:{hashlib.sha256(below.encode()).hexdigest()}" if below else layer)
    return chain


def shared_layers(layers: Sequence[str], stacks: Sequence[Sequence[str]]) -> int:
    """How many of these layers, from the lowest on, are there already; `stacks` are the images there.

    Engines keep a layer by what is below it too, so only a common beginning counts.
    """
    return max((_common_beginning(layers, stack) for stack in stacks), default=0)


def _common_beginning(first: Sequence[str], second: Sequence[str]) -> int:
    shorter = min(len(first), len(second))
    return next((index for index in range(shorter) if first[index] != second[index]), shorter)


def transferred(sent_bytes: int, total_bytes: int, seconds: float) -> str:
    """What was sent, for people: `sent 3.1 MB of 316 MB in 0.8 s`."""
    return f"sent {readable_size(sent_bytes)} of {readable_size(total_bytes)} in {seconds:.1f} s"


def readable_size(size_bytes: int) -> str:
    """A size in decimal units, with one decimal between 1 and 100 MB: `17 kB`, `3.1 MB`, `316 MB`."""
    if size_bytes < 1_000_000:
        return f"{-(-size_bytes // 1000)} kB"
    millions = size_bytes / 1_000_000
    return f"{millions:.1f} MB" if millions < 100 else f"{millions:.0f} MB"
