"""Retention: what a rollback needs stays, and nothing else does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from domain.retention import KeptDeployment, images_to_remove

START = datetime(2026, 1, 1, tzinfo=UTC)


def deployment(day: int | None, image: str, *, is_current: bool = False) -> KeptDeployment:
    finished_at = None if day is None else START + timedelta(days=day)
    return KeptDeployment(f"deployment-{day}", image, finished_at, is_current)


HISTORY = [deployment(day, f"app:{day}", is_current=day == 6) for day in range(7)]
PRESENT = [f"app:{day}" for day in range(7)]


def test_the_images_of_the_last_successes_stay() -> None:
    assert images_to_remove(HISTORY, PRESENT, keep=5) == ("app:0", "app:1")


def test_the_order_of_the_history_does_not_matter() -> None:
    assert images_to_remove(HISTORY[::-1], PRESENT, keep=5) == ("app:0", "app:1")


def test_the_current_image_stays_after_a_rollback_to_an_old_one_and_with_nothing_kept() -> None:
    history = [deployment(day, f"app:{day}", is_current=day == 0) for day in range(7)]
    assert images_to_remove(history, PRESENT, keep=2) == ("app:1", "app:2", "app:3", "app:4")
    assert images_to_remove(history, PRESENT, keep=0) == tuple(PRESENT[1:])


def test_an_image_that_a_kept_deployment_shares_stays() -> None:
    history = [deployment(1, "app:a"), deployment(2, "app:b"), deployment(3, "app:a", is_current=True)]
    assert images_to_remove(history, ["app:a", "app:b"], keep=1) == ("app:b",)


def test_the_image_of_a_deployment_under_way_stays() -> None:
    assert images_to_remove([*HISTORY, deployment(None, "app:new")], ["app:new"], keep=1) == ()


def test_an_image_without_a_deployment_goes_and_an_absent_one_is_not_named() -> None:
    assert images_to_remove(HISTORY, ["app:stray", "app:6", "app:stray"], keep=5) == ("app:stray",)


_deployments = st.lists(
    st.builds(deployment, st.none() | st.integers(0, 20), st.sampled_from(PRESENT), is_current=st.booleans())
)


@given(_deployments, st.lists(st.sampled_from(PRESENT)), st.integers(0, 6))
def test_only_present_images_go_and_never_a_current_one(
    deployments: list[KeptDeployment], present: list[str], keep: int
) -> None:
    removed = images_to_remove(deployments, present, keep)
    assert set(removed) <= set(present)
    assert len(set(removed)) == len(removed)
    assert not set(removed) & {one.image for one in deployments if one.is_current or not one.finished_at}
    assert set(images_to_remove(deployments, present, keep + 1)) <= set(removed)
