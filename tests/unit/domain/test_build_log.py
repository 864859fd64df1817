"""Build logs: what Docker 20.10 and buildx wrote for builds that failed in each of the usual ways."""

# ruff: noqa: E501 - a builder's lines are as long as they are

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.build_log import EXCERPT_LINES, BuildFailureKind, ended_unheard, failing_excerpt, is_noise

PREAMBLE = """\
#1 [internal] load build definition from Dockerfile
#1 sha256:ba55acaff81faa5faf18e1acf8b46bc4bd1ceaa38a1bff2d39be19d41f35ea81
#1 transferring dockerfile: 112B done
#1 DONE 0.0s

#2 [internal] load .dockerignore
#2 sha256:32e50a1e7437af115a10d1f085ddf121bce9d00daa6793d57ca3e87596531dad
#2 transferring context: 34B done
#2 DONE 0.0s
"""
OLD_RUN = """\
#5 [2/3] RUN echo one
#5 sha256:864c56d0538a81b7ed0de028e1cd1d9bb31fa6e43fdd5ac0fd892558adcd3c81
#5 0.289 one
#5 DONE 0.4s

#6 [3/3] RUN echo two && echo oops >&2 && exit 3
#6 sha256:ab19e384ed58b5c03e4383d9a7fddb13d98c9348ba35da57f28cbf1f90916390
#6 0.275 two
#6 0.276 oops
#6 ERROR: executor failed running [/bin/sh -c echo two && echo oops >&2 && exit 3]: exit code: 3
------
 > [3/3] RUN echo two && echo oops >&2 && exit 3:
------
executor failed running [/bin/sh -c echo two && echo oops >&2 && exit 3]: exit code: 3
"""
NEW_RUN = """\
#6 [stage-1 3/3] RUN echo two && echo oops >&2 && exit 3
#7 [build 2/2] RUN make
#7 0.100 compiling
#6 0.275 two
#6 0.276 oops
#6 ERROR: process "/bin/sh -c echo two && echo oops >&2 && exit 3" did not complete successfully: exit code: 3

#7 [build 2/2] RUN make
#7 CANCELED
------
 > [stage-1 3/3] RUN echo two && echo oops >&2 && exit 3:
0.275 two
0.276 oops
------
Dockerfile:3
--------------------
   1 |     FROM base
   2 |     RUN echo one
   3 | >>> RUN echo two && echo oops >&2 && exit 3
   4 |     CMD ["true"]
--------------------
ERROR: failed to build: failed to solve: process "/bin/sh -c echo two && echo oops >&2 && exit 3" did not complete successfully: exit code: 3
"""
OLD_PARSE = (
    "failed to solve with frontend dockerfile.v0: failed to create LLB definition: "
    "dockerfile parse error line 2: unknown instruction: RUNN\n"
)
NEW_PARSE = """\
Dockerfile:2
--------------------
   1 |     FROM base
   2 | >>> RUNN echo
   3 |
--------------------
ERROR: failed to solve: dockerfile parse error on line 2: unknown instruction: RUNN (did you mean RUN?)
"""
OLD_COPY = """\
#6 [2/2] COPY missing.txt /x
#6 sha256:34f574b299f3de90a83686e65e35edf3bb2f4a5d793a151398a6b070b24a1284
#6 ERROR: "/missing.txt" not found: not found
------
 > [2/2] COPY missing.txt /x:
------
failed to compute cache key: "/missing.txt" not found: not found
"""
NEW_COPY = """\
#5 [2/2] COPY missing.txt /x
#5 ERROR: failed to calculate checksum of ref 2f8a1c::x9: "/missing.txt": not found
------
 > [2/2] COPY missing.txt /x:
------
Dockerfile:2
--------------------
   1 |     FROM base
   2 | >>> COPY missing.txt /x
--------------------
ERROR: failed to solve: failed to compute cache key: failed to calculate checksum of ref 2f8a1c::x9: "/missing.txt": not found
"""
OLD_IMAGE = """\
#3 [internal] load metadata for docker.io/library/no-such-image-here:1
#3 sha256:e14fa6e3856c76302ffe96408a8f9b87b1c0aa33ccfb7cbb1c2a486b81d8daca
#3 ERROR: failed to do request: Head "https://registry.example/v2/library/no-such-image-here/manifests/1": dial tcp: no such host
------
 > [internal] load metadata for docker.io/library/no-such-image-here:1:
------
failed to solve with frontend dockerfile.v0: failed to create LLB definition: failed to do request: Head "https://registry.example/v2/library/no-such-image-here/manifests/1": dial tcp: no such host
"""
NEW_IMAGE = """\
#3 [internal] load metadata for docker.io/acme/private:1
#3 ERROR: pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed
------
 > [internal] load metadata for docker.io/acme/private:1:
------
Dockerfile:1
--------------------
   1 | >>> FROM acme/private:1
--------------------
ERROR: failed to solve: acme/private:1: failed to resolve source metadata for docker.io/acme/private:1: pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed
"""
OLD_TARGET = (
    "failed to solve with frontend dockerfile.v0: failed to create LLB definition: "
    "target stage nope could not be found\n"
)
NEW_TARGET = 'ERROR: failed to build: failed to solve: target stage "nope" could not be found\n'
OLD_EMPTY = "failed to solve with frontend dockerfile.v0: failed to create LLB definition: the Dockerfile cannot be empty\n"
NEW_ABSENT = "ERROR: failed to solve: failed to read dockerfile: open Dockerfile: no such file or directory\n"
KILLED = """\
#6 [2/2] RUN npm run build
#6 9.1 Creating an optimized production build
#6 ERROR: process "/bin/sh -c npm run build" did not complete successfully: exit code: 137
"""
FULL = """\
#6 [2/2] RUN npm ci
#6 9.1 npm error ENOSPC: no space left on device, write
#6 ERROR: process "/bin/sh -c npm ci" did not complete successfully: exit code: 228
"""
FULL_SAYS_A_COMMAND = """\
#6 [2/2] RUN head -c 6000M /dev/zero > /filler
#6 1.9 head: error writing 'standard output': No space left on device
#6 ERROR: process "/bin/sh -c head -c 6000M /dev/zero > /filler" did not complete successfully: exit code: 1
"""

RUN_SUMMARY = "RUN echo two && echo oops >&2 && exit 3 ended with exit code 3."
COPY_SUMMARY = (
    "COPY missing.txt /x: /missing.txt does not exist in the source, or .dockerignore leaves it out."
)
NO_ROOM = "The server's disk is full: it has no room for the build. Free space there, then deploy again."
KIND = BuildFailureKind


@pytest.mark.parametrize(
    ("log", "kind", "summary", "line"),
    [
        (OLD_RUN, KIND.COMMAND, RUN_SUMMARY, None),
        (NEW_RUN, KIND.COMMAND, RUN_SUMMARY, 3),
        (OLD_PARSE, KIND.DOCKERFILE, "Dockerfile line 2: unknown instruction: RUNN.", 2),
        (NEW_PARSE, KIND.DOCKERFILE, "Dockerfile line 2: unknown instruction: RUNN (did you mean RUN?).", 2),
        (OLD_COPY, KIND.MISSING_FILE, COPY_SUMMARY, None),
        (NEW_COPY, KIND.MISSING_FILE, COPY_SUMMARY, 2),
        (
            OLD_IMAGE,
            KIND.REGISTRY,
            "The image no-such-image-here:1 cannot be fetched: its registry cannot be reached.",
            None,
        ),
        (
            NEW_IMAGE,
            KIND.IMAGE,
            "The image acme/private:1 does not exist, or its registry asks for credentials.",
            1,
        ),
        (OLD_TARGET, KIND.TARGET_STAGE, "The Dockerfile has no stage named nope.", None),
        (NEW_TARGET, KIND.TARGET_STAGE, "The Dockerfile has no stage named nope.", None),
        (OLD_EMPTY, KIND.DOCKERFILE, "There is no Dockerfile at the configured path, or it is empty.", None),
        (NEW_ABSENT, KIND.DOCKERFILE, "There is no Dockerfile at the configured path, or it is empty.", None),
        (
            KILLED,
            KIND.COMMAND,
            "RUN npm run build was killed (exit code 137), most likely because the server ran out of memory.",
            None,
        ),
        (FULL, KIND.NO_SPACE, NO_ROOM, None),
        (FULL_SAYS_A_COMMAND, KIND.NO_SPACE, NO_ROOM, None),
    ],
)
def test_the_failure_is_found_and_said_in_one_sentence(
    log: str, kind: BuildFailureKind, summary: str, line: int | None
) -> None:
    failure = failing_excerpt((PREAMBLE + log).splitlines())
    assert (failure.kind, failure.summary, failure.dockerfile_line) == (kind, summary, line)


def test_the_excerpt_shows_the_failing_step_and_only_its_output() -> None:
    assert failing_excerpt(OLD_RUN.splitlines()).excerpt.splitlines() == [
        "[3/3] RUN echo two && echo oops >&2 && exit 3",
        "two",
        "oops",
        "executor failed running [/bin/sh -c echo two && echo oops >&2 && exit 3]: exit code: 3",
    ]
    excerpt = failing_excerpt(NEW_RUN.splitlines()).excerpt
    assert "compiling" not in excerpt
    assert "3 | >>> RUN echo two" in excerpt


def test_the_excerpt_ends_a_long_output() -> None:
    output = [f"#6 {number}.5 line {number}" for number in range(1000)]
    log = ["#6 [2/2] RUN make", *output, "#6 ERROR: exit code: 2", "ERROR: failed to solve: exit code: 2"]
    lines = failing_excerpt(log).excerpt.splitlines()
    assert lines[1] == f"line {1000 - EXCERPT_LINES}"
    assert lines[EXCERPT_LINES] == "line 999"


@pytest.mark.parametrize(
    "log", [[], [""], ["something else entirely"], ["#6 ERROR: "], ["Dockerfile:1", "------"]]
)
def test_a_log_of_another_shape_still_gives_a_failure(log: list[str]) -> None:
    failure = failing_excerpt(log)
    assert failure.summary
    assert failure.kind is BuildFailureKind.OTHER


def test_a_log_of_another_shape_is_shown_from_its_end() -> None:
    assert failing_excerpt([str(number) for number in range(100)]).excerpt.splitlines()[-1] == "99"


_fragments = st.sampled_from((OLD_RUN + NEW_RUN + NEW_COPY + NEW_IMAGE + OLD_PARSE).splitlines())


@given(st.lists(_fragments | st.text(max_size=40)))
def test_no_log_makes_it_fail(lines: list[str]) -> None:
    assert failing_excerpt(lines).summary


@pytest.mark.parametrize("seconds", ["", "0.1s "])
def test_a_build_was_heard_to_its_end_when_its_image_was_named(seconds: str) -> None:
    image = "seaway/app:03078d1ca752-3d2bb00f9207"
    log = ["#1 [internal] load build definition from Dockerfile", "#4 0.417 line 01"]
    assert ended_unheard(log, image)
    assert ended_unheard([*log, f"#10 naming to docker.io/{image}"], image)
    assert not ended_unheard([*log, f"#10 naming to docker.io/{image} {seconds}done"], image)
    assert not ended_unheard(["The image comes from a registry."], image)


def test_only_digests_that_stand_alone_are_noise() -> None:
    digest = "sha256:" + "0" * 64
    assert is_noise(f"#1 {digest}")
    assert not is_noise(f"#6 writing image {digest} done")
    assert not is_noise("#5 0.123 hello")
