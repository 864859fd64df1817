"""What an archive of `docker save` may say when it holds one image under one name.

Whoever sends it may have been taken over, and an engine gives every name in an archive to what is in it. So
its documents are read here, and written anew with nothing but the one image in them.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from domain.errors import DeploymentError

MANIFEST: Final = "manifest.json"
INDEX: Final = "index.json"
# Only engines older than any of ours read it.
OLD_NAMES: Final = "repositories"
DOCUMENTS: Final = (MANIFEST, INDEX, OLD_NAMES)
LARGEST_DOCUMENT_BYTES: Final = 4 << 20

_DIGEST: Final = r"[0-9a-f]{64}"
FOLDER: Final = re.compile(rf"{_DIGEST}|blobs|blobs/sha256")
FILE: Final = re.compile(
    rf"{_DIGEST}/(?:VERSION|json|layer\.tar)|{_DIGEST}\.json|blobs/sha256/{_DIGEST}|oci-layout"
    r"|manifest\.json|index\.json|repositories"
)
# Engines before 25 keep a layer once that comes several times.
LINK: Final = re.compile(rf"{_DIGEST}/layer\.tar")
LINK_TARGET: Final = re.compile(rf"\.\./{_DIGEST}/layer\.tar")

_DESCRIBED: Final = ("mediaType", "digest", "size", "platform")
_FULL_NAME: Final = "io.containerd.image.name"
_TAG: Final = "org.opencontainers.image.ref.name"


def unexpected(reason: str) -> DeploymentError:
    """The error for an archive that is not the image that was asked for, and nothing else."""
    return DeploymentError(
        "The server that sends the image does not send that image alone, as its Docker Engine would: "
        f"{reason}. Nothing was loaded. Look whether somebody else controls that server.",
        detail=reason,
    )


def rewritten(name: str, content: bytes, reference: str) -> bytes:
    """The document with this name in the archive, of the image `reference` and nothing else; b"" for none.

    Raises DeploymentError where it says anything about another image.
    """
    if name == OLD_NAMES:
        return b""
    try:
        said = json.loads(content)
        answer = _manifest(said, reference) if name == MANIFEST else _index(said, reference)
    except DeploymentError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise unexpected(f"its {name} cannot be read") from error
    return json.dumps(answer, separators=(",", ":")).encode()


def _manifest(said: Any, reference: str) -> list[dict[str, Any]]:
    """Docker Image Specification v1.2, "Combined Image JSON + Filesystem Changeset Format"."""
    entry = _only(said, MANIFEST)
    _require_name(entry["RepoTags"], reference)
    files = [entry["Config"], *entry["Layers"]]
    if not all(FILE.fullmatch(file) for file in files):
        raise unexpected(f"its {MANIFEST} names files that belong to no image")
    return [{"Config": entry["Config"], "RepoTags": [reference], "Layers": entry["Layers"]}]


def _index(said: Any, reference: str) -> dict[str, Any]:
    """OCI Image Layout Specification, "index.json file"; containerd takes names from its annotations."""
    entry = _only(said["manifests"], INDEX)
    annotations = entry.get("annotations") or {}
    kept = {}
    if name := annotations.get(_FULL_NAME):
        _require_name([name], reference)
        kept[_FULL_NAME] = name
    if tag := annotations.get(_TAG):
        if tag != reference.rpartition(":")[2]:
            _require_name([tag], reference)
        kept[_TAG] = tag
    described = {key: entry[key] for key in _DESCRIBED if key in entry}
    return {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{**described, **({"annotations": kept} if kept else {})}],
    }


def _only(entries: Any, document: str) -> dict[str, Any]:
    if not isinstance(entries, list) or len(entries) != 1 or not isinstance(entries[0], dict):
        raise unexpected(f"its {document} does not describe one image")
    entry: dict[str, Any] = entries[0]
    return entry


def _require_name(names: Any, reference: str) -> None:
    wanted = _short(reference)
    others = [str(name)[:200] for name in names or () if _short(str(name)) != wanted]
    if others:
        raise unexpected(f"it would also name an image {', '.join(others[:5])}")
    if not names:
        raise unexpected(f"it does not name the image {reference}")


def _short(name: str) -> str:
    """The form without what means Docker Hub."""
    return name.removeprefix("docker.io/").removeprefix("library/")
