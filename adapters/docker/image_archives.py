"""Archives of `docker save`, thinned out as they pass: layers that the receiving engine has are left out.

`docker load` takes a layer from its own store, and looks for its file only where it is not there.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator, Sequence
from typing import Final

from domain.image_distribution import chain_ids

BLOCK: Final = 512
END_MARK: Final = bytes(BLOCK)
LONGEST_DESCRIPTION: Final = 1 << 20
UNDERSTOOD: Final = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE)
ADDED_LATER: Final = ("id", "os")


class LayerFilter:
    """Takes an archive in chunks cut anywhere, and gives on what has to be sent.

    From the first entry on that it does not understand, everything is given on.
    """

    def __init__(self, layers: Sequence[str], known: int) -> None:
        """`layers` are the image's diff ids, lowest first; the lowest `known` of them are left out."""
        # A layer that comes again further up may have to be there, because others lie below it.
        leaving = [
            (layer, chain)
            for layer, chain in zip(layers[:known], chain_ids(layers), strict=False)
            if layer not in layers[known:]
        ]
        self._chains = [chain for _, chain in leaving]
        self._files = {f"blobs/{layer.replace(':', '/')}" for layer, _ in leaving}
        self._header = bytearray()
        self._name = ""
        self._left = 0
        self._drops = False
        self._description: bytearray | None = None
        self._verbatim = False
        self.ended = False
        """Whether the archive is complete, so that the engine begins to load it."""
        self.given_bytes = 0
        self.dropped_bytes = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """What goes on of this chunk."""
        rest = memoryview(chunk)
        while rest:
            if self._verbatim:
                taken, given = len(rest), bytes(rest)
            elif self._left:
                taken = min(self._left, len(rest))
                given = self._body(bytes(rest[:taken]))
            else:
                taken = min(BLOCK - len(self._header), len(rest))
                given = self._head(bytes(rest[:taken]))
            rest = rest[taken:]
            self.given_bytes += len(given)
            if given:
                yield given

    def _head(self, piece: bytes) -> bytes:
        self._header += piece
        if len(self._header) < BLOCK:
            return b""
        header = bytes(self._header)
        self._header.clear()
        if header == END_MARK:
            self._verbatim = self.ended = True
            return header
        try:
            entry = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            entry = tarfile.TarInfo()
            entry.type = b"?"
        if entry.type not in UNDERSTOOD:
            self._verbatim = True
            return header
        self._name = entry.name
        self._left = -(-entry.size // BLOCK) * BLOCK
        self._drops = self._name in self._files
        describes = self._name.endswith("/json") and entry.size <= LONGEST_DESCRIPTION
        self._description = bytearray() if describes else None
        return self._unless_dropped(header)

    def _body(self, piece: bytes) -> bytes:
        self._left -= len(piece)
        if self._description is not None:
            self._description += piece
            if not self._left:
                self._learn(bytes(self._description).rstrip(b"\0"))
        return self._unless_dropped(piece)

    def _learn(self, description: bytes) -> None:
        folder = self._name.removesuffix("/json")
        if any(folder == folder_of_layer(description, chain) for chain in self._chains):
            self._files.add(f"{folder}/layer.tar")

    def _unless_dropped(self, piece: bytes) -> bytes:
        if not self._drops:
            return piece
        self.dropped_bytes += len(piece)
        return b""


def folder_of_layer(description: bytes, chain_id: str) -> str:
    """The folder in which engines before 25 put the layer that has this description (its file `json`).

    The name is a digest of the description with the layer's chain id in it, in the order of Go's maps and
    without what the engine adds afterwards. "" for what is no description.
    """
    try:
        fields = json.loads(description)
        kept = {key: value for key, value in fields.items() if key not in ADDED_LATER}
    except (ValueError, AttributeError):
        return ""
    if "parent" in kept:
        kept["parent"] = f"sha256:{kept['parent']}"
    kept["layer_id"] = chain_id
    text = json.dumps(dict(sorted(kept.items())), separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
