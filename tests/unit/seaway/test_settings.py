"""Settings and their documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import AliasChoices, SecretStr

from seaway.settings import Settings

DOCUMENT = Path(__file__).parents[3] / "docs" / "settings.md"


def variables() -> set[str]:
    names = set()
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        own = [one for one in alias.choices if str(one).isupper()] if isinstance(alias, AliasChoices) else []
        names |= {str(one) for one in own} or {f"SEAWAY_{name.upper()}"}
    return names


def test_the_document_names_exactly_the_settings_that_there_are() -> None:
    documented = set(re.findall(r"^\| `([A-Z_]+)`", DOCUMENT.read_text(), re.MULTILINE))
    assert documented == variables()


def test_an_option_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEAWAY_PORT", "9001")
    assert Settings().port == 9001
    assert Settings(port=9002).port == 9002


def test_temporal_is_found_by_its_usual_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "temporal:7233")
    settings = Settings()
    assert settings.temporal_address == "temporal:7233"
    assert settings.effective_temporal_ui_url == ""


def test_secrets_do_not_show_in_the_settings() -> None:
    settings = Settings(secret_keys=SecretStr("key-1"), admin_password=SecretStr("password-1"))
    assert "key-1" not in repr(settings)
    assert "password-1" not in repr(settings)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("::1", "http://[::1]:8000"),
        ("::", "http://127.0.0.1:8000"),
        ("seaway.example", "http://seaway.example:8000"),
    ],
)
def test_an_address_of_ipv6_stands_in_brackets(host: str, url: str) -> None:
    assert Settings(host=host, port=8000).effective_public_url == url
