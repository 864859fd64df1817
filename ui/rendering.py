"""Templates to HTML: everything is escaped, and a missing value is an error and not an empty place."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ui import formats

FOLDER = Path(__file__).parent
TEMPLATES = FOLDER / "templates"
STATIC = FOLDER / "static"
VERSION_LENGTH = 12


@cache
def static_version() -> str:
    """A fingerprint of all static files: part of their addresses, so that browsers may keep them for ever."""
    digest = hashlib.sha256()
    for path in sorted(STATIC.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(STATIC).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:VERSION_LENGTH]


def static_url(name: str) -> str:
    """The address of a static file. The version is a folder, so modules that import each other share it."""
    return f"/static/{static_version()}/{name}"


@cache
def environment() -> Environment:
    """The one template environment."""
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(
        relative=formats.relative,
        exact=formats.exact,
        iso=formats.iso,
        clock=formats.clock,
        duration=formats.duration,
        short_commit=formats.short_commit,
    )
    templates.globals["static_url"] = static_url
    return templates


def render(template: str, **values: object) -> str:
    """The template with these values. Raises UndefinedError for a value that it needs and was not given."""
    return environment().get_template(template).render(**values)
