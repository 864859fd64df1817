"""Volumes in one line: split as Compose does, refused where a shell or the engine would stumble."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.configuration import Volume, VolumeKind
from domain.errors import InvalidInput
from domain.volumes import (
    MODES,
    parse_volume,
    split_volume,
    volume_name_for,
    with_absolute_source,
)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("./data:/app/data", ("./data", "/app/data", None)),
        ("gitea-localtime:/etc/localtime:ro", ("gitea-localtime", "/etc/localtime", "ro")),
        ("config:/etc/config:z", ("config", "/etc/config", "z")),
        ("${VOLUME_PATH}:/data", ("${VOLUME_PATH}", "/data", None)),
        ("${DATA_PATH:-./data}:/app/data:ro", ("./data", "/app/data", "ro")),
        ("${DATA_PATH-./data}/sub:/app/data", ("./data/sub", "/app/data", None)),
        ("D:/projects/app:/app:rw", ("D:/projects/app", "/app", "rw")),
        ("C:\\Users\\me:/app", ("C:\\Users\\me", "/app", None)),
        ("myvolume", ("myvolume", "myvolume", None)),
        ("data:/var/lib/docker:data:backup", ("data", "/var/lib/docker:data:backup", None)),
        ("data:/data:ro,z", ("data", "/data", "ro,z")),
        *[(f"volume:/data:{mode}", ("volume", "/data", mode)) for mode in sorted(MODES)],
    ],
)
def test_a_line_is_split_into_source_target_and_mode(text: str, parts: tuple[str, str, str | None]) -> None:
    assert split_volume(text) == parts


@pytest.mark.parametrize(
    "text",
    [
        "`whoami`:/data",
        "$(whoami):/data",
        "a;b:/data",
        "a|b:/data",
        "a&b:/data",
        "C:\\Users\\$(whoami):/app/data",
        "/data > /dev/null:/data",
        "/data < in:/data",
        "/data >> out:/data",
        "/da\nta:/data",
        "/da\tta:/data",
        "$(echo $(whoami)):/data",
        "data:/data$(id)",
        "data:/data\n",
        "${A:-$(id)}:/data",
        "${A:-`id`}:/data",
        "${A:-;}:/data",
    ],
)
def test_what_a_shell_would_act_on_is_refused(text: str) -> None:
    for read in (split_volume, parse_volume):
        with pytest.raises(InvalidInput) as caught:
            read(text)
        assert caught.value.field == "volumes"


@pytest.mark.parametrize(
    ("text", "volume"),
    [
        ("data:/var/lib/data", Volume(kind=VolumeKind.NAMED, source="data", target="/var/lib/data")),
        ("data:/data/:ro", Volume(kind=VolumeKind.NAMED, source="data", target="/data", read_only=True)),
        ("/srv//data/:/data", Volume(kind=VolumeKind.BIND, source="/srv/data", target="/data")),
        ("./data:/app", Volume(kind=VolumeKind.BIND, source="./data", target="/app")),
        ("data:/app:Z", Volume(kind=VolumeKind.NAMED, source="data", target="/app", options=("Z",))),
        (
            "/srv:/app:ro,rslave",
            Volume(kind=VolumeKind.BIND, source="/srv", target="/app", read_only=True, options=("rslave",)),
        ),
        ("data:/app:cached", Volume(kind=VolumeKind.NAMED, source="data", target="/app")),
        (
            "/var/run/docker.sock:/var/run/docker.sock",
            Volume(kind=VolumeKind.BIND, source="/var/run/docker.sock", target="/var/run/docker.sock"),
        ),
        ("/srv/my files:/data", Volume(kind=VolumeKind.BIND, source="/srv/my files", target="/data")),
    ],
)
def test_a_line_becomes_a_volume(text: str, volume: Volume) -> None:
    assert parse_volume(text) == volume


@pytest.mark.parametrize(
    "text",
    [
        "",
        "myvolume",
        "/data",
        ":/data",
        "data:",
        "data:relative",
        "data:/",
        "data://",
        "data:/a/../b",
        "/srv/../etc:/data",
        "../data:/data",
        "~/data:/data",
        "-data:/data",
        "${VOLUME_PATH}:/data",
        "${VOLUME_PATH:-/data}",
        "D:/projects/app:/app:rw",
        "data:/var/lib/docker:data:backup",
        "data:/data:rx",
        "data:/data:ro,rw",
        "data:/data:z,Z",
        "my data:/data",
        "data:/da\\ta",
    ],
)
def test_a_line_that_no_engine_could_mount_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_volume(text)
    assert caught.value.field == "volumes"


def test_a_relative_bind_lies_in_the_folder_of_its_application() -> None:
    assert with_absolute_source(parse_volume("./data:/app"), "/srv/app").source == "/srv/app/data"
    assert with_absolute_source(parse_volume("/data:/app"), "/srv/app").source == "/data"
    assert with_absolute_source(parse_volume("data:/app"), "/srv/app").source == "data"


def test_volumes_of_two_applications_have_different_names() -> None:
    assert volume_name_for("a" * 24, "data") == f"{'a' * 24}-data"
    with pytest.raises(InvalidInput):
        volume_name_for("a" * 24, "da/ta")


def test_every_mode_of_the_engine_is_known() -> None:
    assert len(MODES) == 13


@given(st.text() | st.text(alphabet="ab/.:~-${}rozZ,\\ "))
def test_any_text_is_a_volume_or_invalid_input(text: str) -> None:
    try:
        volume = parse_volume(text)
    except InvalidInput:
        return
    assert volume.target.startswith("/")
