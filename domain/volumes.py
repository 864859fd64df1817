"""Volumes as they are written in one line: `source:target[:mode]`, as in `docker run -v`."""

from __future__ import annotations

import posixpath
import re
from typing import NamedTuple

from domain.configuration import Volume, VolumeKind
from domain.errors import InvalidInput

_WITHOUT_EFFECT = frozenset(["ro", "rw", "cached", "delegated", "consistent"])
_PROPAGATION = frozenset(["rslave", "rprivate", "rshared", "slave", "private", "shared"])
MODES = _WITHOUT_EFFECT | _PROPAGATION | {"z", "Z"}

_VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*(?::?-(?P<default>[^${}]*))?\}")
_DRIVE = re.compile(r"[A-Za-z]:[/\\]")
_INJECTION = re.compile(r"[`$;|&<>\"'\x00-\x1f\x7f]")
_VOLUME_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")


class VolumeParts(NamedTuple):
    """The three parts of a line; `mode` is None where none is written."""

    source: str
    target: str
    mode: str | None


def split_volume(text: str) -> VolumeParts:
    """Split a line, as Compose does.

    `${NAME:-default}` as the source becomes its default; the drive letter of Windows belongs to the
    source; what follows a last colon is the mode only if it is one; a lone word is source and target.
    Raises InvalidInput (field `volumes`) for what a shell would act on.
    """
    text = text.strip(" ")
    prefix = ""
    if variable := _VARIABLE.match(text):
        default = variable["default"]
        prefix = variable[0] if default is None else default
        text = text[variable.end() :]
    _refuse_injection(text if prefix.startswith("${") else prefix + text)
    if drive := (None if prefix else _DRIVE.match(text)):
        prefix, text = drive[0], text[drive.end() :]
    source, colon, rest = text.partition(":")
    source = prefix + source
    if not colon:
        return VolumeParts(source, source, None)
    target, colon, mode = rest.rpartition(":")
    if colon and all(one in MODES for one in mode.split(",")):
        return VolumeParts(source, target, mode)
    return VolumeParts(source, rest, None)


def parse_volume(text: str) -> Volume:
    """Read a line into a volume: a name, or a path of the host that starts with `/` or `./`.

    A path that starts with `./` lies in the application's own folder on the server (see
    `with_absolute_source`). Raises InvalidInput (field `volumes`).
    """
    source, target, mode = split_volume(text)
    if ":" not in _VARIABLE.sub("", text, count=1):
        raise _invalid("A volume needs a source and a target, for example data:/var/lib/data.")
    if source.startswith("${"):
        raise _invalid(f"{source} has no value here; write the path or the name itself.")
    if _DRIVE.match(source):
        raise _invalid("Paths of Windows do not exist on a server; write a path that starts with /.")
    modes = mode.split(",") if mode else []
    if len(_PROPAGATION.intersection(modes)) > 1 or {"ro", "rw"} <= set(modes) or {"z", "Z"} <= set(modes):
        raise _invalid(f"The modes {mode} contradict each other.")
    is_path = source.startswith(("/", "./")) or source == "."
    if not is_path and not _VOLUME_NAME.fullmatch(source):
        raise _invalid(
            f"{source[:80]!r} is neither a path that starts with / or ./ nor a volume name "
            "of letters, digits, '_', '.' and '-'."
        )
    return Volume(
        kind=VolumeKind.BIND if is_path else VolumeKind.NAMED,
        source=_normalised_source(source) if is_path else source,
        target=normalised_target(target),
        read_only="ro" in modes,
        options=tuple(dict.fromkeys(one for one in modes if one not in _WITHOUT_EFFECT)),
    )


def normalised_target(target: str) -> str:
    """A path inside the container, absolute and other than `/`. Raises InvalidInput (field `volumes`)."""
    target = target.strip(" ")
    _refuse_injection(target)
    if not target.startswith("/") or ":" in target or "\\" in target or ".." in target.split("/"):
        raise _invalid(f"{target[:80]!r} cannot be mounted to; write an absolute path without '..' and ':'.")
    path = "/" + posixpath.normpath(target).lstrip("/")
    if path == "/":
        raise _invalid("The root of the container cannot be mounted over; choose a folder.")
    return path


def with_absolute_source(volume: Volume, folder: str) -> Volume:
    """The volume with a relative bind placed in `folder`, an absolute path on the server."""
    if volume.kind is not VolumeKind.BIND or volume.source.startswith("/"):
        return volume
    return volume.model_copy(update={"source": posixpath.normpath(posixpath.join(folder, volume.source))})


def volume_name_for(application_id: str, name: str) -> str:
    """The engine's name of an application's volume: two applications never share one by accident."""
    volume_name = f"{application_id}-{name}"
    if not _VOLUME_NAME.fullmatch(volume_name):
        raise _invalid(f"{name[:80]!r} cannot name a volume: letters, digits, '_', '.' and '-'.")
    return volume_name


def _normalised_source(source: str) -> str:
    """The path of a bind, without `..`, which would make it depend on links; `./` stays relative."""
    if ".." in source.split("/") or ":" in source or "\\" in source:
        raise _invalid(f"{source[:80]!r} must not hold '..', ':' or a backslash.")
    path = posixpath.normpath(source)
    if path.startswith("/"):
        return "/" + path.lstrip("/")
    return "." if path == "." else f"./{path}"


def _refuse_injection(text: str) -> None:
    if found := _INJECTION.search(text):
        raise _invalid(f"A volume must not hold {found[0]!r}.")


def _invalid(message: str) -> InvalidInput:
    return InvalidInput(message, field="volumes")
