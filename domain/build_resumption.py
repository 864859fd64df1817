"""The log of a build that goes on where an earlier try was cut off.

What that try had finished comes from the layer cache now: BuildKit says `CACHED` and prints none of its
output. So the output is taken from the earlier try's log, and the log of the build is whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# BuildKit's plain progress: `#5 [2/4] RUN make`, `#5 0.123 output`, `#5 CACHED`.
_NAME = re.compile(r"#(?P<step>\d+) (?P<name>\[.+)")
_OUTPUT = re.compile(r"#(?P<step>\d+) (?P<output>\d+\.\d+(?: .*)?)")
_CACHED = re.compile(r"#(?P<step>\d+) CACHED")


class ResumedLog:
    """Completes the lines of a new try by those of the earlier one."""

    def __init__(self, earlier: Iterable[str]) -> None:
        """`earlier` is all that the earlier try wrote, in order; nothing for a first try."""
        self._names: dict[str, str] = {}
        self._outputs: dict[str, list[str]] = {}
        names: dict[str, str] = {}
        for line in earlier:
            if name := _NAME.fullmatch(line):
                names.setdefault(name["step"], name["name"])
            elif (output := _OUTPUT.fullmatch(line)) and output["step"] in names:
                self._outputs.setdefault(names[output["step"]], []).append(output["output"])

    def complete(self, line: str) -> list[str]:
        """The line itself, after the output that belongs before it."""
        if name := _NAME.fullmatch(line):
            self._names.setdefault(name["step"], name["name"])
        cached = _CACHED.fullmatch(line)
        if cached is None:
            return [line]
        outputs = self._outputs.pop(self._names.get(cached["step"], ""), [])
        return [*(f"#{cached['step']} {output}" for output in outputs), line]
