"""Which failed runs may be repeated."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.second_chance import FEW_FAILED, MOST_FAILURES

CONFTEST = """
from tests.harness.second_chance import SecondChance
def pytest_configure(config):
    config.pluginmanager.register(SecondChance())
"""
ROOT = Path(__file__).parents[3]
FAILING = "def test_{}():\n    assert False\n"
PASSING = "def test_{}():\n    assert True\n"
BROKEN_END = """
import pytest
@pytest.fixture
def resource():
    yield
    assert False
def test_that_uses_it(resource):
    pass
"""


@pytest.mark.parametrize(
    ("tests", "status"),
    [
        ([PASSING], pytest.ExitCode.OK),
        ([FAILING], FEW_FAILED),
        ([PASSING] + [FAILING] * MOST_FAILURES, FEW_FAILED),
        ([FAILING] * (MOST_FAILURES + 1), pytest.ExitCode.TESTS_FAILED),
        ([BROKEN_END], pytest.ExitCode.TESTS_FAILED),
        ([FAILING, BROKEN_END], pytest.ExitCode.TESTS_FAILED),
    ],
    ids=["all pass", "one fails", "a few fail", "many fail", "an end fails", "one and an end fail"],
)
def test_a_few_failures_in_bodies_of_tests_are_worth_a_second_try(
    tmp_path: Path, tests: list[str], status: int
) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_these.py").write_text("\n".join(one.format(n) for n, one in enumerate(tests)))
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == status, run.stdout
