"""The output of steps that an earlier try of a build finished."""

from __future__ import annotations

from domain.build_resumption import PERHAPS_UNHEARD, ResumedLog

EARLIER = [
    "#1 [internal] load build definition from Dockerfile",
    "#1 DONE 0.0s",
    "#5 [2/4] RUN make first",
    "#5 sha256:0123",
    "#5 0.101 first begins",
    "#5 0.202",
    "#5 0.303 first ends",
    "#5 DONE 0.4s",
    "#6 [3/4] RUN make second",
    "#6 0.100 second begins",
]


def completed(earlier: list[str], lines: list[str]) -> list[str]:
    log = ResumedLog(earlier)
    return [whole for line in lines for whole in log.complete(line)]


def test_a_cached_step_shows_what_it_printed_when_it_ran() -> None:
    lines = ["#7 [2/4] RUN make first", "#7 CACHED", "#8 [3/4] RUN make second", "#8 0.1 second begins"]
    assert completed(EARLIER, lines) == [
        "#7 [2/4] RUN make first",
        "#7 0.101 first begins",
        "#7 0.202",
        "#7 0.303 first ends",
        "#7 CACHED",
        "#8 [3/4] RUN make second",
        "#8 0.1 second begins",
    ]


def test_a_step_that_runs_again_shows_only_its_new_output() -> None:
    lines = ["#5 [2/4] RUN make first", "#5 0.2 first begins", "#5 DONE 0.3s"]
    assert completed(EARLIER, lines) == lines


def test_a_step_that_is_another_one_takes_no_output() -> None:
    lines = ["#5 [2/4] RUN make other", "#5 CACHED"]
    assert completed(EARLIER, lines) == [lines[0], f"#5 {PERHAPS_UNHEARD}", lines[1]]


def test_a_step_whose_end_nobody_heard_says_so_also_after_another_cut() -> None:
    lines = ["#7 [3/4] RUN make second", "#7 CACHED", "#8 [4/4] COPY a b", "#8 CACHED", "#9 DONE 0.0s"]
    heard = [*lines[:1], "#7 0.100 second begins", f"#7 {PERHAPS_UNHEARD}", *lines[1:]]
    assert completed(EARLIER, lines) == heard
    assert completed(heard, lines) == heard


def test_a_step_is_completed_once() -> None:
    lines = ["#5 [2/4] RUN make first", "#5 CACHED", "#5 CACHED"]
    assert completed(EARLIER, lines).count("#5 0.101 first begins") == 1


def test_the_log_of_a_first_try_is_left_as_it_is() -> None:
    assert completed([], EARLIER) == EARLIER


def test_lines_that_are_no_progress_are_left_as_they_are() -> None:
    lines = ["", "CACHED", "#x CACHED", "#9 CACHED", "Fetching the repository"]
    assert completed(EARLIER, lines) == lines
