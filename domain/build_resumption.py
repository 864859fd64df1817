"""The log of a build that goes on where an earlier try was cut off.

What that try had finished comes from the layer cache now: BuildKit says `CACHED` and prints none of its
output. So the output is taken from the earlier try's log, and the log of the build is whole. What a step
printed while the server could not be heard is lost, and the log says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# BuildKit's plain progress: `#5 [2/4] RUN make`, `#5 0.123 output`, `#5 CACHED`.
_NAME = re.compile(r"#(?P<step>\d+) (?P<name>\[.+)")
_CACHED = re.compile(r"#(?P<step>\d+) CACHED")
_ENDED = re.compile(r"#(?P<step>\d+) (?:CACHED|DONE .*)")
_PRINTS = re.compile(r"\[[^\]]*\] RUN ")

PERHAPS_UNHEARD = "If this ran while nobody could hear it, what it printed is lost."
_OUTPUT = re.compile(rf"#(?P<step>\d+) (?P<output>\d+\.\d+(?: .*)?|{re.escape(PERHAPS_UNHEARD)})")


class ResumedLog:
    """Completes the lines of a new try by those of the earlier one."""

    def __init__(self, earlier: Iterable[str]) -> None:
        """`earlier` is all that the earlier try wrote, in order; nothing for a first try."""
        self._names: dict[str, str] = {}
        self._outputs: dict[str, list[str]] = {}
        self._ended: set[str] = set()
        self._is_first = True
        names: dict[str, str] = {}
        for line in earlier:
            self._is_first = False
            if name := _NAME.fullmatch(line):
                names.setdefault(name["step"], name["name"])
            elif (output := _OUTPUT.fullmatch(line)) and output["step"] in names:
                self._outputs.setdefault(names[output["step"]], []).append(output["output"])
            elif (ended := _ENDED.fullmatch(line)) and ended["step"] in names:
                self._ended.add(names[ended["step"]])

    def complete(self, line: str) -> list[str]:
        """The line itself, after the output that belongs before it."""
        if name := _NAME.fullmatch(line):
            self._names.setdefault(name["step"], name["name"])
        cached = _CACHED.fullmatch(line)
        if cached is None:
            return [line]
        step = self._names.get(cached["step"], "")
        outputs = self._outputs.pop(step, [])
        if self._may_be_unheard(step):
            outputs.append(PERHAPS_UNHEARD)
            self._ended.add(step)
        return [*(f"#{cached['step']} {output}" for output in outputs), line]

    def _may_be_unheard(self, step: str) -> bool:
        return not self._is_first and step not in self._ended and _PRINTS.match(step) is not None
