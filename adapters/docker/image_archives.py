"""Archives of `docker save`, checked as they pass, and thinned out: layers that are there are left out.

`docker load` takes a layer from its own store, and looks for its file only where it is not there. Nothing
goes on that is not understood, and every header is written anew: what the receiving engine reads in an
archive is then what was looked at here, although its reader is another one.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator, Sequence
from typing import Final

from adapters.docker.image_documents import (
    DOCUMENTS,
    FILE,
    FOLDER,
    LARGEST_DOCUMENT_BYTES,
    LINK,
    LINK_TARGET,
    MANIFEST,
    rewritten,
    unexpected,
)
from domain.image_distribution import chain_ids

BLOCK: Final = 512
END_MARK: Final = bytes(BLOCK)
LONGEST_DESCRIPTION: Final = 1 << 20
LONGEST_RECORDS: Final = 64 * 1024
# An image has at most 127 layers, of three files and a folder each.
MOST_ENTRIES: Final = 5000
# What engines write behind the end of an archive is padding; more than that is not waited for.
LONGEST_PADDING: Final = 64 * 1024
ADDED_LATER: Final = ("id", "os")


class ArchiveFilter:
    """Takes an archive in chunks cut anywhere, and gives on what has to be sent.

    Raises DeploymentError, before the archive is complete for its reader, where it is not of the one image.
    """

    def __init__(self, layers: Sequence[str], known: int, reference: str) -> None:
        """`layers` are the image's diff ids, lowest first; the lowest `known` of them are left out."""
        # A layer that comes again further up may have to be there, because others lie below it.
        leaving = [
            (layer, chain)
            for layer, chain in zip(layers[:known], chain_ids(layers), strict=False)
            if layer not in layers[known:]
        ]
        self._chains = [chain for _, chain in leaving]
        self._files = {f"blobs/{layer.replace(':', '/')}" for layer, _ in leaving}
        self._reference = reference
        self._seen: set[str] = set()
        self._header = bytearray()
        self._entry = tarfile.TarInfo()
        self._left = 0
        self._drops = False
        self._held: bytearray | None = None
        self._size: int | None = None
        self._padding = 0
        self.ended = False
        """Whether the archive is complete, so that the engine begins to load it."""
        self.given_bytes = 0
        self.dropped_bytes = 0
        """The layers that were left out."""

    @property
    def is_over(self) -> bool:
        """Whether more has come after the end than an engine adds."""
        return self._padding > LONGEST_PADDING

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """What goes on of this chunk."""
        rest = memoryview(chunk)
        while rest:
            if self.ended:
                self._padding += len(rest)
                return
            if self._left:
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
            if MANIFEST not in self._seen:
                raise unexpected(f"it has no {MANIFEST}")
            self.ended = True
            return END_MARK * 2
        try:
            entry = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise unexpected("it is no archive of an image") from error
        if self._size is not None and entry.type != tarfile.XHDTYPE:
            entry.size, self._size = self._size, None
        return self._begin(entry)

    def _begin(self, entry: tarfile.TarInfo) -> bytes:
        self._entry = entry
        self._drops = False
        self._held = None
        if entry.type == tarfile.XHDTYPE:
            self._left = self._padded(LONGEST_RECORDS)
            self._held = bytearray()
            return b""
        self._admit(entry)
        if entry.isdir() or entry.issym():
            entry.size = 0
            return self._header_of(entry)
        self._drops = entry.name in self._files
        if entry.name in DOCUMENTS:
            self._left = self._padded(LARGEST_DOCUMENT_BYTES)
            self._held = bytearray()
            return b"" if self._left else self._document(b"")
        self._left = self._padded(None)
        if entry.name.endswith("/json") and entry.size <= LONGEST_DESCRIPTION:
            self._held = bytearray()
        return self._unless_dropped(self._header_of(entry))

    def _admit(self, entry: tarfile.TarInfo) -> None:
        """Only what engines put there, each once: a second file of a name would replace the first."""
        if entry.isdir():
            is_known = FOLDER.fullmatch(entry.name)
        elif entry.issym():
            is_known = LINK.fullmatch(entry.name) and LINK_TARGET.fullmatch(entry.linkname)
        else:
            is_known = FILE.fullmatch(entry.name) if entry.type in tarfile.REGULAR_TYPES[:2] else None
        if not is_known or entry.size < 0:
            raise unexpected(f"it has an entry {entry.name[:200]!r}")
        if entry.name in self._seen or len(self._seen) >= MOST_ENTRIES:
            raise unexpected(f"it has too many entries, or {entry.name!r} twice")
        self._seen.add(entry.name)

    def _padded(self, most: int | None) -> int:
        if most is not None and not 0 <= self._entry.size <= most:
            raise unexpected(f"its entry {self._entry.name[:200]!r} is too large")
        return -(-self._entry.size // BLOCK) * BLOCK

    def _body(self, piece: bytes) -> bytes:
        self._left -= len(piece)
        if self._held is None:
            return self._unless_dropped(piece)
        self._held += piece
        content = b"" if self._left else bytes(self._held[: self._entry.size])
        if self._entry.type == tarfile.XHDTYPE:
            if not self._left:
                self._size = size_in_records(content)
            return b""
        if self._entry.name in DOCUMENTS:
            return b"" if self._left else self._document(content)
        if not self._left:
            self._learn(content)
        return piece

    def _document(self, content: bytes) -> bytes:
        written = rewritten(self._entry.name, content, self._reference)
        if not written:
            return b""
        self._entry.size = len(written)
        padding = bytes(-len(written) % BLOCK)
        return self._header_of(self._entry) + written + padding

    @staticmethod
    def _header_of(entry: tarfile.TarInfo) -> bytes:
        fresh = tarfile.TarInfo(entry.name)
        fresh.type = entry.type if entry.isdir() or entry.issym() else tarfile.REGTYPE
        fresh.linkname = entry.linkname if entry.issym() else ""
        fresh.size = entry.size
        fresh.mode = 0o755 if entry.isdir() else 0o644
        return fresh.tobuf(tarfile.GNU_FORMAT)

    def _learn(self, description: bytes) -> None:
        folder = self._entry.name.removesuffix("/json")
        if any(folder == folder_of_layer(description, chain) for chain in self._chains):
            self._files.add(f"{folder}/layer.tar")

    def _unless_dropped(self, piece: bytes) -> bytes:
        if not self._drops:
            return piece
        self.dropped_bytes += len(piece)
        return b""


def size_in_records(content: bytes) -> int | None:
    """The size that extended header records give to the next entry (POSIX pax, "Extended Header").

    Files of 8 GiB and more have it there. Raises DeploymentError where they change more than times and
    owners.
    """
    size = None
    while content:
        length, _, _ = content.partition(b" ")
        if not length.isdigit() or not len(length) < int(length) <= len(content):
            raise unexpected("its headers cannot be read")
        record = content[len(length) + 1 : int(length)]
        content = content[int(length) :]
        key, _, value = record.removesuffix(b"\n").partition(b"=")
        if key == b"size" and value.isdigit() and len(value) < 20:
            size = int(value)
        elif key not in (b"mtime", b"atime", b"ctime", b"uid", b"gid", b"uname", b"gname"):
            raise unexpected("its headers say what no engine writes")
    return size


def folder_of_layer(description: bytes, chain_id: str) -> str:
    """The folder in which engines before 25 put the layer that has this description (its file `json`).

    The name is a digest of the description with the layer's chain id in it, in the order of Go's maps and
    without what the engine adds afterwards. "" for what is no description.
    """
    try:
        fields = json.loads(description)
        kept = {key: value for key, value in fields.items() if key not in ADDED_LATER}
    except (ValueError, AttributeError, RecursionError):
        return ""
    if "parent" in kept:
        kept["parent"] = f"sha256:{kept['parent']}"
    kept["layer_id"] = chain_id
    text = json.dumps(dict(sorted(kept.items())), separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
