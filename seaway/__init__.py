"""The program: settings, what is wired to what, the `seaway` command, the embedded Temporal, the worker."""

from __future__ import annotations


def __getattr__(name: str) -> str:
    """`__version__`, looked up when it is asked for: the look-up is slow, and `seaway --help` needs none."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import metadata

    try:
        return metadata.version("seaway")
    except metadata.PackageNotFoundError:  # a checkout that was never installed
        return "0"
