"""Only what Seaway made, of applications that it knows, and that nobody needs, is removed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from domain.clean_up import (
    STOPPED_FOR,
    FoundContainer,
    KnownApplication,
    containers_to_remove,
    images_to_remove,
)

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
LONG_AGO = NOW - STOPPED_FOR - timedelta(seconds=1)
APPLICATIONS = ["shop", "blog", "foreign"]

applications = st.builds(
    KnownApplication,
    kept_images=st.frozensets(
        st.sampled_from([f"seaway/{one}:{tag}" for one in APPLICATIONS for tag in "abc"])
    ),
    serving_release_ids=st.frozensets(st.sampled_from(["r1", "r2"])),
    is_busy=st.booleans(),
)
known = st.dictionaries(st.sampled_from(["shop", "blog"]), applications)
containers = st.builds(
    FoundContainer,
    name=st.sampled_from(
        ["shop-r1-1", "shop-r2-1", "blog-r1-1", "shop-d-release", "database", "foreign-r1-1"]
    ),
    application_id=st.sampled_from(["", *APPLICATIONS]),
    role=st.sampled_from(["", "replica", "release-command", "one-off-command", "proxy"]),
    release_id=st.sampled_from(["", "r1", "r2"]),
    ended_at=st.sampled_from([None, NOW, NOW - timedelta(minutes=1), LONG_AGO]),
)
names = st.sampled_from(
    [f"seaway/{one}:{tag}" for one in APPLICATIONS for tag in "abcd"]
    + ["debian:bookworm", "shop:a", "registry.example.com/seaway/shop:a", "seaway/shop", "seaway/shop/x:a"]
)


@given(st.lists(containers), known)
def test_a_container_that_goes_has_ended_is_ours_and_of_no_current_release(found, known):
    for name in containers_to_remove(found, known, NOW):
        reasons = [one for one in found if one.name == name]
        assert any(
            one.application_id in known
            and not known[one.application_id].is_busy
            and one.name.startswith(f"{one.application_id}-")
            and one.ended_at is not None
            and NOW - one.ended_at >= STOPPED_FOR
            and (
                one.role == "release-command"
                or (
                    one.role == "replica"
                    and one.release_id not in known[one.application_id].serving_release_ids
                )
            )
            for one in reasons
        )


@given(st.lists(names), known)
def test_an_image_that_goes_is_of_a_known_idle_application_that_does_not_keep_it(present, known):
    going = images_to_remove(present, known)
    assert set(going) <= set(present)
    for name in going:
        application = known[name.removeprefix("seaway/").partition(":")[0]]
        assert not application.is_busy
        assert name not in application.kept_images
        assert name.startswith("seaway/")


def test_what_nobody_needs_goes():
    idle = {"shop": KnownApplication(frozenset(["seaway/shop:new"]), frozenset(["r2"]), is_busy=False)}
    old = FoundContainer("shop-r1-1", "shop", "replica", "r1", LONG_AGO)
    current = FoundContainer("shop-r2-1", "shop", "replica", "r2", LONG_AGO)
    command = FoundContainer("shop-d-release", "shop", "release-command", "", LONG_AGO)
    assert containers_to_remove([old, current, command], idle, NOW) == ("shop-r1-1", "shop-d-release")
    assert images_to_remove(["seaway/shop:new", "seaway/shop:old"], idle) == ("seaway/shop:old",)


def test_while_something_is_done_to_an_application_all_of_it_stays():
    busy = {"shop": KnownApplication(frozenset(), frozenset(["r2"]), is_busy=True)}
    old = FoundContainer("shop-r1-1", "shop", "replica", "r1", LONG_AGO)
    assert containers_to_remove([old], busy, NOW) == ()
    assert images_to_remove(["seaway/shop:old"], busy) == ()


def test_the_older_release_of_a_server_that_is_behind_stays():
    behind = {
        "shop": KnownApplication(frozenset(["seaway/shop:old"]), frozenset(["r1", "r2"]), is_busy=False)
    }
    old = FoundContainer("shop-r1-1", "shop", "replica", "r1", LONG_AGO)
    assert containers_to_remove([old], behind, NOW) == ()
    assert images_to_remove(["seaway/shop:old"], behind) == ()
