"""Archives of `docker save` as old and new engines write them, without layers that need not be sent."""

from __future__ import annotations

import io
import json
import tarfile
from typing import Any

import pytest

from adapters.docker.image_archives import ArchiveFilter, folder_of_layer
from domain.errors import DeploymentError
from domain.image_distribution import chain_ids

REFERENCE = "seaway/shop:1"
LAYERS = ["sha256:" + letter * 64 for letter in "abc"]
CONFIGURATION = "d" * 64
# A layer of Docker 20.10: the name of its folder, and what the file `json` in it says.
DIFF_IDS = [
    "sha256:bce7c2cbfa15cbbf1f1134c05a0a24855766dd52f16237e643ca13ac5190b16a",
    "sha256:42f33c435d85f09361bd03c0131395baea10ed6ed4cbe2d12d561ed6f74dba0d",
]
FOLDERS = [
    "bbeee3d2fd57323d983732c93ba8665df4c1aa6fb8d3232b6d503ff264aeaab0",
    "d6c75bbc85e48472b92ec1014d913efe6ccfd56072abbe16c2f449b1c23ce89a",
]
OF_OLD_ENGINES = (
    '"created":"1970-01-01T00:00:00Z","container_config":{"Hostname":"","Domainname":"","User":"",'
    '"AttachStdin":false,"AttachStdout":false,"AttachStderr":false,"Tty":false,"OpenStdin":false,'
    '"StdinOnce":false,"Env":null,"Cmd":null,"Image":"","Volumes":null,"WorkingDir":"","Entrypoint":null,'
    '"OnBuild":null,"Labels":null},"os":"linux"}'
)
DESCRIPTIONS = [
    f'{{"id":"{FOLDERS[0]}",{OF_OLD_ENGINES}'.encode(),
    f'{{"id":"{FOLDERS[1]}","parent":"{FOLDERS[0]}",{OF_OLD_ENGINES}'.encode(),
]


MANIFEST = {"Config": f"blobs/sha256/{CONFIGURATION}", "RepoTags": [REFERENCE], "Layers": []}
INDEX = {
    "digest": f"sha256:{CONFIGURATION}",
    "annotations": {
        "io.containerd.image.name": f"docker.io/{REFERENCE}",
        "org.opencontainers.image.ref.name": "1",
    },
}


def index(*manifests: dict[str, Any]) -> bytes:
    return json.dumps({"schemaVersion": 2, "manifests": manifests}).encode()


DOCUMENTS = {
    "index.json": index(INDEX),
    "manifest.json": json.dumps([MANIFEST]).encode(),
    "repositories": b'{"victim":{"1":"x"}}',
}


def archive(files: dict[str, bytes], **options: int) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", **options) as tar:  # type: ignore[call-overload]
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return content.getvalue()


def new_archive(layers: list[str]) -> bytes:
    blobs = {f"blobs/sha256/{layer.removeprefix('sha256:')}": layer.encode() * 100 for layer in layers}
    return archive({**blobs, f"blobs/sha256/{CONFIGURATION}": b"{}", **DOCUMENTS})


def old_archive() -> bytes:
    files: dict[str, bytes] = {f"{CONFIGURATION}.json": b"{}"}
    for folder, description in zip(FOLDERS, DESCRIPTIONS, strict=True):
        files |= {
            f"{folder}/VERSION": b"1.0",
            f"{folder}/json": description,
            f"{folder}/layer.tar": folder.encode() * 50,
        }
    return archive({**files, "manifest.json": DOCUMENTS["manifest.json"]})


def passed(
    content: bytes, layers: list[str], known: int, chunk_bytes: int = 1000
) -> tuple[ArchiveFilter, bytes]:
    archive_filter = ArchiveFilter(layers, known, REFERENCE)
    chunks = [content[at : at + chunk_bytes] for at in range(0, len(content), chunk_bytes)]
    return archive_filter, b"".join(piece for chunk in chunks for piece in archive_filter.feed(chunk))


def files_in(content: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        return {name: file.read() for name in tar.getnames() if (file := tar.extractfile(name)) is not None}


def names_in(content: bytes) -> list[str]:
    return list(files_in(content))


@pytest.mark.parametrize("chunk_bytes", [1, 511, 512, 100_000])
def test_layers_that_are_there_are_left_out(chunk_bytes: int) -> None:
    content = new_archive(LAYERS)

    archive_filter, given = passed(content, LAYERS, 2, chunk_bytes)

    left_out = {*(f"blobs/sha256/{letter * 64}" for letter in "ab"), "repositories"}
    assert names_in(given) == [name for name in names_in(content) if name not in left_out]
    assert archive_filter.ended
    assert archive_filter.given_bytes == len(given)
    assert archive_filter.dropped_bytes == 2 * (512 + 7168)


def test_with_no_layer_there_every_file_goes_on_as_it_is() -> None:
    content = new_archive(LAYERS)
    given = files_in(passed(content, LAYERS, 0)[1])
    blobs = {name: data for name, data in files_in(content).items() if name.startswith("blobs/")}
    assert {name: data for name, data in given.items() if name.startswith("blobs/")} == blobs
    assert json.loads(given["manifest.json"]) == [MANIFEST]
    assert json.loads(given["index.json"])["manifests"] == [INDEX]


def test_a_layer_that_comes_again_further_up_is_sent() -> None:
    layers = [LAYERS[0], LAYERS[1], LAYERS[0]]
    _, given = passed(new_archive(LAYERS[:2]), layers, 2)
    assert [name for name in names_in(given) if name.endswith("a" * 64)]
    assert not [name for name in names_in(given) if name.endswith("b" * 64)]


def test_engines_before_25_name_layers_by_what_describes_them() -> None:
    for folder, description, chain in zip(FOLDERS, DESCRIPTIONS, chain_ids(DIFF_IDS), strict=True):
        assert folder_of_layer(description, chain) == folder
    assert folder_of_layer(DESCRIPTIONS[0], DIFF_IDS[1]) != FOLDERS[0]


@pytest.mark.parametrize("description", [b"", b"[]", b"{", b"\xff", b'"text"', b"[" * 100_000])
def test_what_is_no_description_names_no_layer(description: bytes) -> None:
    assert folder_of_layer(description, DIFF_IDS[0]) == ""


@pytest.mark.parametrize(("known", "missing"), [(0, []), (1, FOLDERS[:1]), (2, FOLDERS)])
def test_layers_in_archives_of_old_engines_are_left_out(known: int, missing: list[str]) -> None:
    content = old_archive()
    _, given = passed(content, DIFF_IDS, known)
    assert set(names_in(content)) - set(names_in(given)) == {f"{folder}/layer.tar" for folder in missing}


def test_an_archive_that_breaks_off_has_not_ended() -> None:
    archive_filter, _ = passed(new_archive(LAYERS)[:3000], LAYERS, 1)
    assert not archive_filter.ended


def test_sizes_and_times_in_extended_headers_are_understood() -> None:
    content = io.BytesIO()
    blob = f"blobs/sha256/{'a' * 64}"
    with tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT) as tar:
        entry = tarfile.TarInfo(blob)
        entry.size, entry.pax_headers = 700, {"mtime": "1.5", "size": "700"}
        tar.addfile(entry, io.BytesIO(b"x" * 700))
        entry = tarfile.TarInfo("manifest.json")
        entry.size = len(DOCUMENTS["manifest.json"])
        tar.addfile(entry, io.BytesIO(DOCUMENTS["manifest.json"]))
    _, given = passed(content.getvalue(), LAYERS, 0)
    assert files_in(given)[blob] == b"x" * 700


def test_what_comes_after_the_end_goes_nowhere_and_is_not_waited_for() -> None:
    content = new_archive(LAYERS)
    second = archive({"manifest.json": b"[]"})
    archive_filter, given = passed(content + second, LAYERS, 0)
    assert given == passed(content, LAYERS, 0)[1]
    assert not archive_filter.is_over
    list(archive_filter.feed(bytes(100_000)))
    assert archive_filter.is_over


def manifest(**changes: Any) -> dict[str, bytes]:
    return {"manifest.json": json.dumps([MANIFEST | changes]).encode()}


def annotated(name: str, tag: str) -> dict[str, bytes]:
    annotations = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": tag}
    return {**manifest(), "index.json": index(INDEX | {"annotations": annotations})}


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (manifest(RepoTags=[REFERENCE, "postgres:16"]), "name an image postgres:16"),
        (manifest(RepoTags=["postgres:16"]), "name an image postgres:16"),
        (manifest(RepoTags=[]), "does not name the image"),
        (manifest(RepoTags=None), "does not name the image"),
        (manifest(Layers=["../../etc/passwd"]), "belong to no image"),
        ({"manifest.json": json.dumps([MANIFEST, MANIFEST]).encode()}, "does not describe one image"),
        ({"manifest.json": b"[]"}, "does not describe one image"),
        ({"manifest.json": b"[" * 10_000}, "cannot be read"),
        ({"manifest.json": b"\xff"}, "cannot be read"),
        ({"manifest.json": b"[{}]"}, "cannot be read"),
        ({"manifest.json": b" " * (5 << 20)}, "too large"),
        (annotated("docker.io/library/postgres:16", "1"), "postgres:16"),
        (annotated(f"docker.io/{REFERENCE}", "postgres:16"), "postgres:16"),
        ({**manifest(), "index.json": index(INDEX, INDEX)}, "does not describe one image"),
        ({"index.json": index(INDEX)}, "it has no manifest.json"),
        ({}, "it has no manifest.json"),
        ({**manifest(), "./manifest.json": b"[]"}, "it has an entry './manifest.json'"),
        ({**manifest(), "blobs/../manifest.json": b"[]"}, "it has an entry"),
        ({"a" * 200: b"", **manifest()}, "what no engine writes"),
    ],
)
def test_an_archive_with_another_name_or_file_in_it_does_not_come_to_its_end(
    files: dict[str, bytes], reason: str
) -> None:
    with pytest.raises(DeploymentError, match=reason):
        passed(archive(files), LAYERS, 0, 4096)


def test_a_second_file_of_the_same_name_does_not_pass() -> None:
    first, second = archive(manifest()), archive(manifest(RepoTags=["postgres:16"]))
    with pytest.raises(DeploymentError, match="twice"):
        passed(first[:1024] + second, LAYERS, 0)


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.GNUTYPE_LONGNAME]
)
def test_links_and_devices_do_not_pass(kind: bytes) -> None:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        entry = tarfile.TarInfo("manifest.json")
        entry.type, entry.linkname = kind, f"blobs/sha256/{CONFIGURATION}"
        tar.addfile(entry)
    with pytest.raises(DeploymentError, match="it has an entry"):
        passed(content.getvalue(), LAYERS, 0)


@pytest.mark.parametrize("records", [{"path": "manifest.json"}, {"GNU.sparse.size": "1"}, {"linkpath": "x"}])
def test_extended_headers_cannot_rename_a_file(records: dict[str, str]) -> None:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT) as tar:
        entry = tarfile.TarInfo("oci-layout")
        entry.pax_headers = records
        tar.addfile(entry)
    with pytest.raises(DeploymentError, match="what no engine writes"):
        passed(content.getvalue(), LAYERS, 0)


def test_what_is_no_archive_does_not_pass() -> None:
    with pytest.raises(DeploymentError, match="no archive"):
        passed(b"no archive at all " * 100, LAYERS, 2)
