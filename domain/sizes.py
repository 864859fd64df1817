"""Memory and processor limits as people write them, in the units that the Docker Engine takes."""

from __future__ import annotations

import re
from decimal import Decimal

from domain.errors import InvalidInput

MINIMUM_MEMORY_BYTES = 6 * 1024**2
"""Below this the Docker Engine refuses a container."""

MAXIMUM_MEMORY_BYTES = 2**63 - 1
MINIMUM_NANO_CPUS = 10_000_000
MAXIMUM_CPUS = 4096

_UNITS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_MEMORY = re.compile(r"([0-9]{1,19}(?:\.[0-9]{1,9})?) ?([kmgtp]?)(?:i?b)?", re.IGNORECASE)
_CPUS = re.compile(r"[0-9]{0,5}(?:\.[0-9]{1,9})?")
_CPU_SET = re.compile(r"[0-9]{1,4}(?:-[0-9]{1,4})?(?:,[0-9]{1,4}(?:-[0-9]{1,4})?)*")


def parse_memory(text: str, *, field: str = "memory") -> int:
    """Bytes from `512m`, `1.5g`, `1GiB` or a plain number; 0 or nothing means no limit.

    Units are powers of 1024, as in `docker run --memory`. Raises InvalidInput below Docker's minimum.
    """
    text = text.strip()
    match = _MEMORY.fullmatch(text or "0")
    if match is None:
        raise InvalidInput(f"{text[:40]!r} is not a memory size; write 512m or 1.5g.", field=field)
    size = int(Decimal(match[1]) * 1024 ** _UNITS[match[2].lower()])
    if size and size < MINIMUM_MEMORY_BYTES:
        raise InvalidInput(f"{text} is too little memory: Docker needs at least 6m.", field=field)
    if size > MAXIMUM_MEMORY_BYTES:
        raise InvalidInput(f"{text} is more memory than any server has.", field=field)
    return size


def parse_memory_swap(text: str, *, field: str = "memory_swap") -> int:
    """Like `parse_memory`, for memory and swap together; -1 means unlimited swap."""
    return -1 if text.strip() == "-1" else parse_memory(text, field=field)


def format_memory(size_bytes: int) -> str:
    """The shortest text that `parse_memory` reads as exactly this many bytes."""
    for unit in ("p", "t", "g", "m", "k"):
        if size_bytes > 0 and size_bytes % 1024 ** _UNITS[unit] == 0:
            return f"{size_bytes // 1024 ** _UNITS[unit]}{unit}"
    return str(size_bytes)


def parse_cpus(text: str, *, field: str = "cpus") -> int:
    """Billionths of a processor from `0.5` or `2`; 0 or nothing means no limit. Raises InvalidInput."""
    text = text.strip() or "0"
    if not _CPUS.fullmatch(text):
        raise InvalidInput(f"{text[:40]!r} is not a number of processors; write 0.5 or 2.", field=field)
    nano_cpus = int(Decimal(text) * 1_000_000_000)
    if nano_cpus and nano_cpus < MINIMUM_NANO_CPUS:
        raise InvalidInput(f"{text} is too little: Docker needs at least 0.01 processors.", field=field)
    if nano_cpus > MAXIMUM_CPUS * 1_000_000_000:
        raise InvalidInput(f"{text} is more processors than any server has.", field=field)
    return nano_cpus


def validate_cpu_set(text: str, *, field: str = "cpu_set") -> str:
    """The processors to run on, as `0-3,5`, without spaces; empty means all. Raises InvalidInput."""
    text = text.replace(" ", "")
    ranges = [part.split("-") for part in text.split(",")] if _CPU_SET.fullmatch(text) else []
    if text and (not ranges or any(int(bounds[0]) > int(bounds[-1]) for bounds in ranges)):
        raise InvalidInput(f"{text[:40]!r} is not a set of processors; write 0-3,5.", field=field)
    return text


def in_words(size_bytes: int) -> str:
    """A size for people, in powers of 1000: `950 MB`, `1.5 GB`."""
    if size_bytes < 10**9:
        return f"{size_bytes // 10**6} MB"
    return f"{size_bytes / 10**9:.1f} GB"
