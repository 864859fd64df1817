"""What may be removed from a server: what Seaway made, of applications that it knows, and nobody needs.

Never volumes, which hold data, and never networks. What carries the labels of an application that this
installation does not know belongs to another one, or to somebody who copied a label: it stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.identifiers import derived_identifier
from domain.replicas import RELEASE_COMMAND_ROLE, REPLICA_ROLE

STOPPED_FOR = timedelta(hours=1)
"""A container that ended later than this may still be looked at."""


def clean_up_event_id(run_id: str, server_id: str) -> str:
    """The id of the event that tells how a run of the clean-up ended on a server."""
    return derived_identifier("clean-up", run_id, server_id)


@dataclass(frozen=True)
class FoundContainer:
    """A container on a server; `ended_at` is None while it runs, and before it was ever started."""

    name: str
    application_id: str
    role: str
    release_id: str
    ended_at: datetime | None


@dataclass(frozen=True)
class KnownApplication:
    """What of an application stays. While an operation on it is open, everything does."""

    kept_images: frozenset[str]
    serving_release_ids: frozenset[str]
    """Of its servers: one that a release went on without has another one."""

    is_busy: bool


def containers_to_remove(
    found: Sequence[FoundContainer], known: Mapping[str, KnownApplication], now: datetime
) -> tuple[str, ...]:
    """The names of containers that ended a while ago: replicas of former releases, and release commands."""
    return tuple(one.name for one in found if _is_left_over(one, known.get(one.application_id), now))


def _is_left_over(one: FoundContainer, application: KnownApplication | None, now: datetime) -> bool:
    if application is None or application.is_busy:
        return False
    if not one.name.startswith(f"{one.application_id}-"):
        return False  # ours are named so; labels alone may be those of an image
    if one.ended_at is None or now - one.ended_at < STOPPED_FOR:
        return False
    if one.role == RELEASE_COMMAND_ROLE:
        return True
    return one.role == REPLICA_ROLE and one.release_id not in {"", *application.serving_release_ids}


def images_to_remove(names: Sequence[str], known: Mapping[str, KnownApplication]) -> tuple[str, ...]:
    """The names (`seaway/APPLICATION:…`) of images that no rollback needs.

    Only such names are given by Seaway alone. Labels do not count here: an image inherits them from the one
    that it is built upon.
    """
    return tuple(dict.fromkeys(name for name in names if _is_surplus(name, known)))


def _is_surplus(name: str, known: Mapping[str, KnownApplication]) -> bool:
    repository, _, tag = name.rpartition(":")
    owner, _, application_id = repository.partition("/")
    application = known.get(application_id)
    return (
        owner == "seaway"
        and bool(tag)
        and application is not None
        and not application.is_busy
        and name not in application.kept_images
    )
