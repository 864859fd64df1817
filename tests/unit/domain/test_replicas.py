"""What the labels of a container say."""

from __future__ import annotations

import pytest

from domain.replicas import GRACE_LABEL, stop_grace_seconds


@pytest.mark.parametrize(
    ("labels", "seconds"),
    [
        ({GRACE_LABEL: "75"}, 75),
        ({GRACE_LABEL: "0"}, 0),
        ({}, 30),
        ({GRACE_LABEL: ""}, 30),
        ({GRACE_LABEL: "-1"}, 30),
        ({GRACE_LABEL: "1e9"}, 30),
        ({GRACE_LABEL: "٣"}, 30),
        ({GRACE_LABEL: "²"}, 30),
    ],
)
def test_a_replica_has_the_grace_of_its_label_or_the_usual_one(labels: dict[str, str], seconds: int) -> None:
    assert stop_grace_seconds(labels) == seconds
