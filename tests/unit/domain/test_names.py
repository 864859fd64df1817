"""Names, keys, labels, paths and commands: what is refused, and what comes back normalised."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidInput
from domain.names import (
    slug,
    split_command,
    validate_base_path,
    validate_command,
    validate_label,
    validate_name,
    validate_network_alias,
    validate_variable_key,
)


@pytest.mark.parametrize("text", ["My Shop", "größe", "日本語", "a", "x" * 255, "O'Brien & Co <3"])
def test_a_name_may_be_in_any_script(text: str) -> None:
    assert validate_name(f"  {text} ") == text


@pytest.mark.parametrize("text", ["", "  ", "x" * 256, "a\nb", "a\x00b", "a\u202eb", "a\u200bb"])
def test_a_name_that_cannot_be_read_is_refused_in_its_field(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        validate_name(text, "project_name")
    assert caught.value.field == "project_name"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("My Shop!", "my-shop"),
        ("Käse  2", "kase-2"),
        ("日本", "app"),
        ("--", "app"),
        ("a" * 39 + " b", "a" * 39),
    ],
)
def test_a_slug_is_a_label_of_dns(text: str, expected: str) -> None:
    assert slug(text) == expected


@pytest.mark.parametrize("key", ["A", "_x", "NODE_ENV", "spring.profiles.active", " TRIMMED\n"])
def test_a_variable_key_is_accepted(key: str) -> None:
    assert validate_variable_key(key) == key.strip()


@pytest.mark.parametrize("key", ["", "1A", ".a", "A-B", "A B", "A=B", "A\nB", "ä", "A$B", "A" * 256])
def test_a_variable_key_that_no_program_can_read_is_refused(key: str) -> None:
    with pytest.raises(InvalidInput):
        validate_variable_key(key)


@pytest.mark.parametrize(
    ("alias", "expected"), [("DB", "db"), ("my_db", "my_db"), ("db.internal", "db.internal")]
)
def test_a_network_alias_is_lower_case(alias: str, expected: str) -> None:
    assert validate_network_alias(alias) == expected


@pytest.mark.parametrize("alias", ["", "-db", "db-", "a..b", ".a", "a b", "a;b", "a" * 64, "ä"])
def test_a_network_alias_that_no_resolver_takes_is_refused(alias: str) -> None:
    with pytest.raises(InvalidInput):
        validate_network_alias(alias)


def test_a_label_is_kept_as_written() -> None:
    value = "Host(`a.com`) && Path(`/`)"
    assert validate_label(" traefik.http.routers.a.rule ", value) == ("traefik.http.routers.a.rule", value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("", ""),
        ("a b", ""),
        ("a=b", ""),
        ("a\n", "\0"),
        ("seaway.application", "x"),
        ("Seaway.x", ""),
        ("-a", ""),
    ],
)
def test_a_label_that_is_ours_or_malformed_is_refused(key: str, value: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        validate_label(key, value)
    assert caught.value.field == "labels"


def test_a_command_keeps_its_shell_syntax() -> None:
    assert validate_command(" a && b | c > d; $(e) ") == "a && b | c > d; $(e)"


@pytest.mark.parametrize("text", ["a\nb", "a\rb", "a\0b", "a" * 4097])
def test_a_command_of_several_lines_or_without_end_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        validate_command(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("python -m http.server", ("python", "-m", "http.server")),
        ("sh -c 'echo \"a b\"'", ("sh", "-c", 'echo "a b"')),
        ("python -c \"print('hi')\"", ("python", "-c", "print('hi')")),
        ("a # b", ("a", "#", "b")),
    ],
)
def test_a_command_is_split_as_a_shell_would(text: str, expected: tuple[str, ...]) -> None:
    assert split_command(text) == expected


@pytest.mark.parametrize("text", ["'", '"a', "a\\"])
def test_a_quote_that_is_never_closed_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        split_command(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "/"),
        ("/", "/"),
        ("//", "/"),
        (".", "/"),
        ("apps/web", "/apps/web"),
        ("/apps//web/", "/apps/web"),
        ("./Dockerfile", "/Dockerfile"),
        ("/docker/Dockerfile.prod", "/docker/Dockerfile.prod"),
        ("/apps/[slug]/(group)/@x", "/apps/[slug]/(group)/@x"),
    ],
)
def test_a_path_in_the_repository_is_normalised(text: str, expected: str) -> None:
    assert validate_base_path(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "..",
        "/..",
        "/a/../b",
        "/a;id",
        "/$(id)",
        "/`id`",
        "/a\nb",
        "/a\\b",
        "/-f",
        "/a|b",
        "/.git",
        "/a/.git/x",
    ],
)
def test_a_path_that_leads_out_of_the_repository_is_refused_in_its_field(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        validate_base_path(text, "publish_directory")
    assert caught.value.field == "publish_directory"


@given(
    st.text(), st.sampled_from([validate_name, validate_base_path, validate_command, validate_network_alias])
)
def test_what_is_accepted_once_is_accepted_unchanged_again(text: str, rule: Callable[[str], str]) -> None:
    try:
        accepted = rule(text)
    except InvalidInput:
        return
    assert rule(accepted) == accepted


@given(st.text())
def test_a_slug_always_fits_into_a_host_name(text: str) -> None:
    result = slug(text)
    assert validate_network_alias(result) == result
    assert len(result) <= 40
