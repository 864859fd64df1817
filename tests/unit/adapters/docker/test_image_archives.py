"""Archives of `docker save` as old and new engines write them, without layers that need not be sent."""

from __future__ import annotations

import io
import tarfile

import pytest

from adapters.docker.image_archives import LayerFilter, folder_of_layer
from domain.image_distribution import chain_ids

LAYERS = ["sha256:" + letter * 64 for letter in "abc"]
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
    return archive({**blobs, "blobs/sha256/configuration": b"{}", "manifest.json": b"[]"})


def old_archive() -> bytes:
    files: dict[str, bytes] = {"configuration.json": b"{}"}
    for folder, description in zip(FOLDERS, DESCRIPTIONS, strict=True):
        files |= {
            f"{folder}/VERSION": b"1.0",
            f"{folder}/json": description,
            f"{folder}/layer.tar": folder.encode() * 50,
        }
    return archive({**files, "manifest.json": b"[]"})


def passed(
    content: bytes, layers: list[str], known: int, chunk_bytes: int = 1000
) -> tuple[LayerFilter, bytes]:
    layer_filter = LayerFilter(layers, known)
    chunks = [content[at : at + chunk_bytes] for at in range(0, len(content), chunk_bytes)]
    return layer_filter, b"".join(piece for chunk in chunks for piece in layer_filter.feed(chunk))


def names_in(content: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        return tar.getnames()


@pytest.mark.parametrize("chunk_bytes", [1, 511, 512, 100_000])
def test_layers_that_are_there_are_left_out(chunk_bytes: int) -> None:
    content = new_archive(LAYERS)

    layer_filter, given = passed(content, LAYERS, 2, chunk_bytes)

    left_out = {f"blobs/sha256/{letter * 64}" for letter in "ab"}
    assert names_in(given) == [name for name in names_in(content) if name not in left_out]
    assert layer_filter.ended
    assert layer_filter.given_bytes == len(given)
    assert layer_filter.given_bytes + layer_filter.dropped_bytes == len(content)


def test_with_no_layer_there_the_archive_stays_as_it_is() -> None:
    content = new_archive(LAYERS)
    assert passed(content, LAYERS, 0)[1] == content


def test_a_layer_that_comes_again_further_up_is_sent() -> None:
    layers = [LAYERS[0], LAYERS[1], LAYERS[0]]
    _, given = passed(new_archive(LAYERS[:2]), layers, 2)
    assert [name for name in names_in(given) if name.endswith("a" * 64)]
    assert not [name for name in names_in(given) if name.endswith("b" * 64)]


def test_engines_before_25_name_layers_by_what_describes_them() -> None:
    for folder, description, chain in zip(FOLDERS, DESCRIPTIONS, chain_ids(DIFF_IDS), strict=True):
        assert folder_of_layer(description, chain) == folder
    assert folder_of_layer(DESCRIPTIONS[0], DIFF_IDS[1]) != FOLDERS[0]


@pytest.mark.parametrize("description", [b"", b"[]", b"{", b"\xff", b'"text"'])
def test_what_is_no_description_names_no_layer(description: bytes) -> None:
    assert folder_of_layer(description, DIFF_IDS[0]) == ""


@pytest.mark.parametrize(("known", "missing"), [(0, []), (1, FOLDERS[:1]), (2, FOLDERS)])
def test_layers_in_archives_of_old_engines_are_left_out(known: int, missing: list[str]) -> None:
    content = old_archive()
    _, given = passed(content, DIFF_IDS, known)
    assert set(names_in(content)) - set(names_in(given)) == {f"{folder}/layer.tar" for folder in missing}


def test_what_is_not_understood_goes_on_whole_with_all_that_follows() -> None:
    long_name = archive({"a" * 200: b"content"}, format=tarfile.PAX_FORMAT) + new_archive(LAYERS)
    for content in (long_name, b"no archive at all " * 100):
        layer_filter, given = passed(content, LAYERS, 2)
        assert given == content
        assert not layer_filter.ended


def test_an_archive_that_breaks_off_has_not_ended() -> None:
    layer_filter, _ = passed(new_archive(LAYERS)[:3000], LAYERS, 1)
    assert not layer_filter.ended
