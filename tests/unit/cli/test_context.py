from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from domain.errors import InvalidInput, Unauthenticated
from seaway.cli.context import (
    Connection,
    ConnectionFlags,
    Contexts,
    configuration_file,
    normalised_url,
    resolve_connection,
)

NO_FLAGS = ConnectionFlags()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "SEAWAY_DATA_DIR": str(tmp_path / "data")}


def save_credentials(environment: dict[str, str], url: str = "http://127.0.0.1:8000") -> None:
    folder = Path(environment["SEAWAY_DATA_DIR"])
    folder.mkdir()
    credentials = {"url": url, "token": "local-token", "email": "a@example.com", "password": "x"}
    (folder / "credentials.json").write_text(json.dumps(credentials))


def save_context(environment: dict[str, str], name: str, url: str) -> None:
    connection = Connection(url, f"{name}-token", "test")
    Contexts(configuration_file(environment)).put(name, connection)


def test_flags_beat_the_environment_which_beats_what_is_saved(environment: dict[str, str]) -> None:
    save_credentials(environment)
    environment |= {"SEAWAY_URL": "https://env.example.com", "SEAWAY_TOKEN": "env-token"}
    flags = ConnectionFlags(url="https://flag.example.com/", token="flag-token")
    assert resolve_connection(flags, environment).url == "https://flag.example.com"
    assert resolve_connection(flags, environment).token == "flag-token"
    assert resolve_connection(NO_FLAGS, environment).url == "https://env.example.com"


def test_the_credentials_of_an_explicit_data_folder_beat_the_current_context(
    environment: dict[str, str],
) -> None:
    save_context(environment, "production", "https://seaway.example.com")
    assert resolve_connection(NO_FLAGS, environment).token == "production-token"
    save_credentials(environment)
    assert resolve_connection(NO_FLAGS, environment).token == "local-token"


def test_a_named_context_beats_an_address_in_the_environment(environment: dict[str, str]) -> None:
    save_context(environment, "one", "https://one.example.com")
    environment |= {"SEAWAY_URL": "https://env.example.com", "SEAWAY_TOKEN": "env-token"}
    assert resolve_connection(ConnectionFlags(context="one"), environment).token == "one-token"
    assert resolve_connection(NO_FLAGS, {**environment, "SEAWAY_CONTEXT": "one"}).token == "env-token"


def test_a_context_is_chosen_by_name(environment: dict[str, str]) -> None:
    save_context(environment, "one", "https://one.example.com")
    save_context(environment, "two", "https://two.example.com")
    assert resolve_connection(NO_FLAGS, environment).token == "two-token"
    assert resolve_connection(ConnectionFlags(context="one"), environment).token == "one-token"
    assert resolve_connection(NO_FLAGS, {**environment, "SEAWAY_CONTEXT": "one"}).token == "one-token"
    with pytest.raises(InvalidInput, match="Known: one, two"):
        resolve_connection(ConnectionFlags(context="three"), environment)


def test_a_saved_token_is_never_sent_to_another_address(environment: dict[str, str]) -> None:
    save_context(environment, "production", "https://seaway.example.com")
    with pytest.raises(Unauthenticated, match="no token for https://other"):
        resolve_connection(ConnectionFlags(url="https://other.example.com"), environment)
    known = ConnectionFlags(url="https://seaway.example.com/api/v1/")
    assert resolve_connection(known, environment).token == "production-token"


def test_without_any_log_in_the_message_says_how_to_get_one(environment: dict[str, str]) -> None:
    with pytest.raises(Unauthenticated, match="seaway login URL"):
        resolve_connection(NO_FLAGS, environment)


def test_a_removed_context_is_not_replaced_by_some_other(environment: dict[str, str]) -> None:
    save_context(environment, "one", "https://one.example.com")
    save_context(environment, "two", "https://two.example.com")
    Contexts(configuration_file(environment)).remove("two")
    with pytest.raises(Unauthenticated):
        resolve_connection(NO_FLAGS, environment)


def test_saved_tokens_are_for_their_owner_only(environment: dict[str, str]) -> None:
    save_context(environment, "one", "https://one.example.com")
    file = configuration_file(environment)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [found.name for found in file.parent.iterdir()] == ["config.json"]


@pytest.mark.parametrize(
    "text", ["seaway.example.com", "ftp://a", "http://", "https://u:p@a", "http://a?b=c"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        normalised_url(text)


def test_a_damaged_file_is_named(environment: dict[str, str]) -> None:
    file = configuration_file(environment)
    file.parent.mkdir(parents=True)
    file.write_text("{")
    with pytest.raises(InvalidInput, match=r"config\.json cannot be read"):
        resolve_connection(NO_FLAGS, environment)


def test_a_token_is_not_shown_by_accident() -> None:
    assert "hidden" not in repr(Connection("http://a", "hidden", "test"))
    assert "hidden" not in repr(ConnectionFlags(token="hidden"))
