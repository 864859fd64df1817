from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from domain.errors import StartUpError
from seaway.cli.exit_codes import MEANINGS, ExitCode
from tests.unit.cli.conftest import Run

HEAVY = ("httpx", "pydantic", "rich", "fastapi", "sqlmodel", "temporalio", "docker")


def test_help_loads_nothing_heavy() -> None:
    code = f"import sys, seaway.cli.main; print([one for one in {HEAVY!r} if one in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"


def test_every_exit_code_is_explained() -> None:
    assert set(MEANINGS) == set(ExitCode)


def test_the_page_of_commands_is_the_one_that_the_program_describes() -> None:
    from seaway.cli.reference import reference_page

    page = Path(__file__).parents[3] / "docs" / "cli.md"
    assert page.read_text() == reference_page(), "run `python -m seaway.cli.reference > docs/cli.md`"


def test_up_passes_on_only_the_settings_that_were_given(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    monkeypatch.setattr("seaway.up.run_up", started.append)
    monkeypatch.setenv("SEAWAY_HTTP_PORT", "8081")
    assert run("up", "--port", "9000").exit_code == 0
    settings = started[0]
    assert (getattr(settings, "port", None), getattr(settings, "http_port", None)) == (9000, 8081)


def test_a_start_that_fails_says_why_in_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_settings: object) -> None:
        raise StartUpError("Port 8000 is in use. Choose another with --port.")

    monkeypatch.setattr("seaway.up.run_up", refuse)
    result = run("up")
    assert result.exit_code == 1
    assert result.stderr == "Error: Port 8000 is in use. Choose another with --port.\n"


def test_a_wrong_setting_is_wrong_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEAWAY_PORT", "many")
    result = run("up")
    assert result.exit_code == 2
    assert "setting port" in result.stderr
