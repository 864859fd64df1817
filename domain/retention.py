"""Which images of an application may go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class KeptDeployment:
    """A deployment that one could roll back to, or that is still running: then `finished_at` is None."""

    deployment_id: str
    image: str
    finished_at: datetime | None
    is_current: bool = False


def images_to_remove(
    deployments: Sequence[KeptDeployment], present: Sequence[str], keep: int
) -> tuple[str, ...]:
    """The images, of those present, that no rollback needs, in the order of `present`.

    `deployments` are the successful ones and those under way; `present` are the images on one server
    that Seaway built for this application, and no others. The images of the last `keep` successes stay,
    those of the current deployment and of unfinished ones always.
    """
    finished = [(one.finished_at, one) for one in deployments if one.finished_at is not None]
    finished.sort(key=lambda pair: (pair[0], pair[1].deployment_id), reverse=True)
    staying = {one.image for _, one in finished[: max(keep, 0)]}
    staying |= {one.image for one in deployments if one.is_current or one.finished_at is None}
    return tuple(image for image in dict.fromkeys(present) if image not in staying)
