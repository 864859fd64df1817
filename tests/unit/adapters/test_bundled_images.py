"""The file system of an image that is made of one binary."""

from __future__ import annotations

import tarfile
from pathlib import Path

from adapters.bundled_images import binary_reference, write_root


def test_the_image_holds_the_binary_and_what_programs_look_for(tmp_path: Path):
    binary = tmp_path / "caddy-x"
    binary.write_bytes(b"\x7fELF")
    write_root(tmp_path / "root.tar", binary, "caddy")
    with tarfile.open(tmp_path / "root.tar") as tar:
        entries = {entry.name: (entry.mode, entry.isdir()) for entry in tar}
        file = tar.extractfile("etc/mime.types")
        assert file is not None
        assert b"font/woff2 woff2\n" in file.read()
    assert entries["caddy"] == (0o755, False)
    assert entries["tmp"] == (0o1777, True)
    assert {"etc/passwd", "etc/group", "data", "config"} <= entries.keys()


def test_the_same_binary_gives_the_same_bytes(tmp_path: Path):
    binary = tmp_path / "caddy"
    binary.write_bytes(b"\x7fELF")
    for name in ("a.tar", "b.tar"):
        write_root(tmp_path / name, binary, "caddy")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_the_reference_names_the_version_of_the_binary():
    assert binary_reference("caddy").startswith("seaway/caddy:2.")
    assert binary_reference("traefik").startswith("seaway/traefik:3.")
