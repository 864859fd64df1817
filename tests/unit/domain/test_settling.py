from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from domain.settling import ReleaseFacts, leftovers

RELEASES = st.sampled_from(["a", "b", "c", "d"])


@given(found=st.sets(RELEASES), ended=st.frozensets(RELEASES), serving=st.none() | RELEASES)
def test_only_releases_that_have_ended_and_do_not_serve_are_left_over(
    found: set[str], ended: frozenset[str], serving: str | None
) -> None:
    over = leftovers(found, ReleaseFacts(serving=serving, ended=ended))
    assert over <= found & ended
    assert serving not in over
    assert found & ended - {serving} <= over


@given(found=st.sets(RELEASES), ended=st.frozensets(RELEASES), serving=st.none() | RELEASES)
def test_while_an_operation_runs_nothing_is_left_over(
    found: set[str], ended: frozenset[str], serving: str | None
) -> None:
    assert not leftovers(found, ReleaseFacts(serving=serving, ended=ended, is_changing=True))


def test_what_is_not_known_is_never_left_over() -> None:
    assert not leftovers({"", "of another Seaway"}, ReleaseFacts(serving=None, ended=frozenset({"a"})))
