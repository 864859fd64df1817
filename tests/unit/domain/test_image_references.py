"""Image references: what Docker accepts is accepted, everything else is refused with a reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidInput
from domain.image_references import (
    ImageReference,
    combine_image_reference,
    image_tag_for,
    parse_image_reference,
    refuse_own_name,
)

DIGITS = "0123456789abcdef" * 4
DIGEST = f"sha256:{DIGITS}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nginx:latest", ImageReference("nginx", "latest")),
        ("nginx", ImageReference("nginx", "latest")),
        ("  nginx:1.27  ", ImageReference("nginx", "1.27")),
        ("library/nginx", ImageReference("library/nginx", "latest")),
        ("ghcr.io/acme/my--service:v1", ImageReference("ghcr.io/acme/my--service", "v1")),
        ("ghcr.io/acme/a__b", ImageReference("ghcr.io/acme/a__b", "latest")),
        (
            "registry.example.com:5000/team/app",
            ImageReference("registry.example.com:5000/team/app", "latest"),
        ),
        ("localhost:5000/app:latest", ImageReference("localhost:5000/app", "latest")),
        ("localhost/app", ImageReference("localhost/app", "latest")),
        ("[2001:db8::1]:5000/app:1", ImageReference("[2001:db8::1]:5000/app", "1")),
        (f"app@{DIGEST}", ImageReference("app", "", DIGEST)),
        (f"app:v1@{DIGEST}", ImageReference("app", "v1", DIGEST)),
        (
            f"registry.example.com:5000/myapp:{DIGITS}",
            ImageReference("registry.example.com:5000/myapp", "", DIGEST),
        ),
        (f"docker.io/library/nginx:{DIGITS}", ImageReference("docker.io/library/nginx", "", DIGEST)),
        (f"app@sha512:{DIGITS * 2}", ImageReference("app", "", f"sha512:{DIGITS * 2}")),
        ("seaway-test/debian:bookworm", ImageReference("seaway-test/debian", "bookworm")),
    ],
)
def test_a_reference_by_the_grammar_is_read(text: str, expected: ImageReference) -> None:
    assert parse_image_reference(text) == expected


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("nginx", "nginx:latest"),
        (f"ghcr.io/acme/rail:{DIGITS}", f"ghcr.io/acme/rail@{DIGEST}"),
        (f"app:v1@{DIGEST}", f"app@{DIGEST}"),
        ("registry.example.com:5000/team/app:2", "registry.example.com:5000/team/app:2"),
    ],
)
def test_the_canonical_text_pins_what_is_pulled(text: str, canonical: str) -> None:
    reference = parse_image_reference(text)
    assert reference.canonical == canonical
    assert reference.is_pinned == ("@" in canonical)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "coolify/poc$(id)",
        "nginx;id",
        "nginx`id`",
        "nginx|id",
        "nginx&&id",
        "nginx\nid",
        "nginx\n",
        "nginx id",
        "-nginx",
        "--privileged",
        "Nginx",
        "Acme/app",
        "nginx:",
        "nginx:-tag",
        "nginx:.tag",
        f"nginx:{'a' * 129}",
        "nginx@sha256",
        "nginx@sha256:abc",
        f"nginx@md5:{DIGITS}",
        f"nginx@{DIGEST}x",
        "/nginx",
        "nginx/",
        "a//b",
        "a___b",
        "registry.example.com:99999/app",
        "registry.example.com:/app",
        "https://registry.example.com/app",
        "a" * 256,
        DIGITS,
        "nginx:täg",
        "ngi٣nx",
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_image_reference(text)
    assert caught.value.field == "image"


def test_an_upper_case_name_is_refused_with_the_name_to_use() -> None:
    with pytest.raises(InvalidInput, match="'acme/app'"):
        parse_image_reference("Acme/App:1")


@pytest.mark.parametrize(
    ("name", "tag", "canonical"),
    [
        ("nginx", "", "nginx:latest"),
        ("nginx", "1.27", "nginx:1.27"),
        ("nginx@sha256", DIGITS, f"nginx@{DIGEST}"),
        ("nginx", DIGEST, f"nginx@{DIGEST}"),
        ("nginx", DIGITS, f"nginx@{DIGEST}"),
        ("registry.example.com:5000/app", f"sha256-{DIGITS}", f"registry.example.com:5000/app@{DIGEST}"),
    ],
)
def test_a_name_and_a_tag_in_two_fields_make_one_reference(name: str, tag: str, canonical: str) -> None:
    assert combine_image_reference(name, tag).canonical == canonical


@pytest.mark.parametrize(
    ("name", "tag"), [("nginx:latest", ""), ("nginx;id", "1"), ("nginx", "1;id"), ("nginx@sha256", "")]
)
def test_two_fields_that_do_not_fit_are_refused(name: str, tag: str) -> None:
    with pytest.raises(InvalidInput):
        combine_image_reference(name, tag)


@pytest.mark.parametrize("registry", ["", "docker.io/", "index.docker.io/"])
@pytest.mark.parametrize("name", ["seaway/traefik", "seaway/caddy", f"seaway/{'k' * 24}", "seaway/a/b"])
def test_names_of_seaways_own_images_are_nobody_elses(registry: str, name: str) -> None:
    with pytest.raises(InvalidInput):
        refuse_own_name(registry + name)


@pytest.mark.parametrize(
    "name", ["seaway", "nginx", "team/seaway", "registry.example.com/seaway/shop", "seaway-test/shop"]
)
def test_other_names_are_free(name: str) -> None:
    assert refuse_own_name(name) == name


def test_a_built_image_is_named_after_its_application_and_build() -> None:
    assert image_tag_for("k" * 24, "abc123def456") == f"seaway/{'k' * 24}:abc123def456"


def test_a_long_build_key_fills_the_tag_exactly_and_stays_unique() -> None:
    first, second = image_tag_for("app", "a" * 200), image_tag_for("app", "a" * 201)
    assert len(first.partition(":")[2]) == 128
    assert first != second
    assert parse_image_reference(first).canonical == first


@pytest.mark.parametrize("build_key", ["", "a b", "a;b", "-a", "ä"])
def test_a_build_key_that_no_tag_can_hold_is_refused(build_key: str) -> None:
    with pytest.raises(InvalidInput):
        image_tag_for("app", build_key)


@given(st.text())
def test_any_text_is_read_or_refused_as_invalid_input(text: str) -> None:
    try:
        reference = parse_image_reference(text)
    except InvalidInput:
        return
    assert parse_image_reference(reference.canonical).canonical == reference.canonical


_part = st.from_regex(r"[a-z0-9]{1,8}(?:[_-][a-z0-9]{1,8}){0,2}", fullmatch=True)


@given(
    st.lists(_part, min_size=1, max_size=3),
    st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True),
)
def test_a_tagged_name_survives_a_round_trip(parts: list[str], tag: str) -> None:
    text = f"registry.example.com:5000/{'/'.join(parts)}:{tag}"
    assert parse_image_reference(text).canonical == text
