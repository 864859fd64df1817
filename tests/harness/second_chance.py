"""Whether a failed run may be repeated: a few tests failed beside others, each in its own body.

What fails in setting up or taking down concerns all tests of a session, such as a secret that leaked into a
log, and many failures have one cause. Neither is repeated.
"""

from __future__ import annotations

import pytest

FEW_FAILED = 75
"""The exit status, "temporary failure" in sysexits.h; scripts/tests knows it."""
MOST_FAILURES = 3


class SecondChance:
    """Counts what fails, as a plugin of the process that reports."""

    def __init__(self) -> None:
        self._bodies = 0
        self._others = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Counts one phase of one test."""
        if report.failed:
            if report.when == "call":
                self._bodies += 1
            else:
                self._others += 1

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Changes the exit status where a repetition makes sense."""
        if exitstatus == pytest.ExitCode.TESTS_FAILED and self.deserved:
            session.exitstatus = FEW_FAILED

    @property
    def deserved(self) -> bool:
        """Whether these failures may be a matter of a busy machine."""
        return not self._others and 0 < self._bodies <= MOST_FAILURES
