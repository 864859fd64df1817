"""Images that tests run, built here because no registry may be reachable. Built once, tagged and reused."""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

import docker
import docker.errors

from tests.harness.engine import SEARCH_PATH, EngineMissing
from tests.harness.locks import exclusive

DEBIAN = "seaway-test/debian:bookworm"
# The tag changes with the recipe, so that an image of an older recipe is never taken for this one.
PYTHON = "seaway-test/python:1"
SAMPLE_APPLICATION = "seaway-test/sample-application"
SAMPLE_APPLICATION_FOLDER = Path(__file__).parent / "sample_application"
SAMPLE_APPLICATION_FILES = ("Dockerfile", "app.py")
SOURCE_LABEL = "seaway-test.source"

# python3-minimal alone has no asyncio; libpython3-stdlib brings the standard library.
PYTHON_DOCKERFILE = f"""\
FROM {DEBIAN}
RUN apt-get update -qq \\
 && apt-get install -y -qq --no-install-recommends python3-minimal libpython3-stdlib busybox >/dev/null \\
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb
"""


@dataclass(frozen=True)
class BaseImages:
    """Tags of the images that others build upon."""

    debian: str = DEBIAN
    python: str = PYTHON


def ensure_base_images(client: docker.DockerClient) -> BaseImages:
    """Makes what is missing: Debian takes about half a minute, Python some seconds."""
    with exclusive("images", timeout_seconds=900):
        if not exists(client, DEBIAN):
            import_debian(client, "bookworm", DEBIAN)
        if not exists(client, PYTHON):
            build(client, {"Dockerfile": PYTHON_DOCKERFILE.encode()}, PYTHON)
    return BaseImages()


def ensure_sample_application_image(client: docker.DockerClient, version: str = "v1") -> str:
    """The tag of the sample application that answers with `version`; rebuilt when its sources changed."""
    ensure_base_images(client)
    tag = f"{SAMPLE_APPLICATION}:{version}"
    files = {name: (SAMPLE_APPLICATION_FOLDER / name).read_bytes() for name in SAMPLE_APPLICATION_FILES}
    files["VERSION"] = f"{version}\n".encode()
    digest = hashlib.sha256(b"\0".join(files[name] for name in sorted(files))).hexdigest()
    with exclusive("images", timeout_seconds=900):
        if not exists(client, tag, {SOURCE_LABEL: digest}):
            build(client, files, tag, {SOURCE_LABEL: digest})
    return tag


def exists(client: docker.DockerClient, tag: str, labels: dict[str, str] | None = None) -> bool:
    """Whether the engine has an image of this tag that carries these labels."""
    try:
        found: dict[str, str] = client.images.get(tag).labels
    except docker.errors.ImageNotFound:
        return False
    return (labels or {}).items() <= found.items()


def build(
    client: docker.DockerClient, files: dict[str, bytes], tag: str, labels: dict[str, str] | None = None
) -> None:
    """Builds an image of a context that holds just these files (text, mode 0644)."""
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        for name, content in sorted(files.items()):
            # No times, so that the build cache sees the same file in every run.
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    context.seek(0)
    client.images.build(fileobj=context, custom_context=True, tag=tag, labels=labels, rm=True, forcerm=True)


def import_debian(client: docker.DockerClient, suite: str, tag: str) -> None:
    """Makes a minimal Debian by debootstrap, from its default mirror, and imports it under this tag."""
    debootstrap = shutil.which("debootstrap", path=SEARCH_PATH)
    if debootstrap is None:
        raise EngineMissing(
            "the base image needs debootstrap (Debian, Ubuntu: apt-get install -y debootstrap)"
        )
    folder = Path(tempfile.mkdtemp(prefix="seaway-test-debian-"))
    try:
        root = folder / "root"
        _run([debootstrap, "--variant=minbase", suite, str(root)], folder)
        archive = folder / "root.tar"
        packages = "./var/cache/apt/archives/*.deb"
        _run(
            ["tar", "--create", f"--file={archive}", f"--directory={root}", f"--exclude={packages}", "."],
            folder,
        )
        repository, _, name = tag.partition(":")
        client.api.import_image_from_file(str(archive), repository=repository, tag=name)
        client.images.get(tag)
    finally:
        _unmount_below(folder)
        shutil.rmtree(folder)


def _run(argv: list[str], folder: Path) -> None:
    log_path = folder / "log"
    with log_path.open("wb") as log:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=600, check=False
        )
    if done.returncode != 0:
        tail = "\n".join(log_path.read_text(errors="replace").splitlines()[-20:])
        raise EngineMissing(f"{argv[0]} ended with {done.returncode}:\n{tail}")


def _unmount_below(folder: Path) -> None:
    # A failed debootstrap may leave /proc and /sys mounted; removing the tree must not reach into them.
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in sorted((m for m in mounts if m.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", mount], check=True, timeout=30)
