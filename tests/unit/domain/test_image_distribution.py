"""Who builds, who sends, and which layers stay where they are."""

from __future__ import annotations

import pytest

from domain.image_distribution import (
    building_server,
    chain_ids,
    readable_size,
    sending_server,
    shared_layers,
    transferred,
)


@pytest.mark.parametrize(
    ("architectures", "builder"),
    [
        ({"east": "amd64"}, None),
        ({"east": "amd64", "west": "amd64"}, "east"),
        ({"west": "", "east": "amd64"}, "west"),
        ({"east": "", "west": ""}, "east"),
        ({"east": "amd64", "west": "arm64"}, None),
        ({"east": "", "west": "arm64", "north": "amd64"}, None),
    ],
)
def test_the_first_server_builds_for_all_unless_they_need_different_images(
    architectures: dict[str, str], builder: str | None
) -> None:
    assert building_server(architectures) == builder


@pytest.mark.parametrize(
    ("having", "sender"),
    [((), "east"), (("east", "west"), "east"), (("west", "north"), "west"), (("west", "east"), "east")],
)
def test_the_builder_sends_unless_only_others_have_the_image(having: tuple[str, ...], sender: str) -> None:
    assert sending_server("east", having) == sender


def test_a_layer_is_identified_with_those_below_it() -> None:
    # printf 'sha256:a sha256:b' | sha256sum
    second = "sha256:970a948bffa8de94d6e22d747ba8c95030e6e546909f98f54e99a13005e173a8"
    assert chain_ids(["sha256:a", "sha256:b", "sha256:c"])[:2] == ["sha256:a", second]
    assert chain_ids([]) == []


@pytest.mark.parametrize(
    ("stacks", "shared"),
    [
        ([], 0),
        ([()], 0),
        ([("b", "c")], 0),
        ([("a", "x", "c")], 1),
        ([("a",), ("a", "b", "x"), ("x", "b", "c")], 2),
        ([("a", "b", "c", "d")], 3),
    ],
)
def test_only_a_common_beginning_of_an_image_is_there_already(
    stacks: list[tuple[str, ...]], shared: int
) -> None:
    assert shared_layers(("a", "b", "c"), stacks) == shared


def test_what_was_sent_is_told_in_words() -> None:
    assert transferred(3_141_592, 316_000_000, 0.84) == "sent 3.1 MB of 316 MB in 0.8 s"
    assert readable_size(16_896) == "17 kB"
    assert readable_size(0) == "0 kB"
