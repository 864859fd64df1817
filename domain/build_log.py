"""What went wrong in a build, read from BuildKit's plain progress.

Two shapes of it are known: that of Docker 20.10, whose errors start with `failed to solve with frontend`,
and that of buildx, which shows the lines of the Dockerfile as well.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

EXCERPT_LINES = 30
"""How much of the failing step's output is shown."""

MAXIMUM_SHOWN = 300

UNHEARD = "The connection broke off here. The build came to its end; what it printed meanwhile is lost."

_STEP_LINE = re.compile(r"#(?P<step>\d+) (?P<text>.*)")
_STEP_OUTPUT = re.compile(r"\d+\.\d+(?: (?P<text>.*))?")
_STEP_ERROR = re.compile(r"ERROR:? (?P<text>.*)")
_STEP_STATUS = re.compile(r"(?:sha256:[0-9a-f]{64}\b.*|DONE \S+|CACHED|CANCELED|\.\.\.)")
_STEP_NAME = re.compile(r"\[(?:(?P<stage>\S+) )?(?:\d+/\d+)\] (?P<instruction>.+)", re.DOTALL)
_IMAGE_STEP = re.compile(r"(?:\[internal\] load metadata for|(?:\[[^\]]*\] )?FROM) (?P<image>\S+)")

_NOISE = re.compile(
    r"(?:ERROR: |failed to build: |failed to solve with frontend \S+: |failed to solve: "
    r"|rpc error: code = \w+ desc = |failed to create LLB definition: |failed to (?:compute|load) cache key: "
    r"|failed to calculate checksum of ref \S+: )+"
)
_FINAL = re.compile(
    r"(?:ERROR: |error: )?(?:failed to (?:build|solve|compute|load|read)\b|executor failed|process \").*"
)
_SNIPPET_HEAD = re.compile(r"\S+:(?P<line>\d+)")
_SNIPPET_LINE = re.compile(r"\s*\d+ \|(?: .*)?")
_SNIPPET_MARKED = re.compile(r"\s*(?P<line>\d+) \| >>> ?(?P<text>.*)")
_DIGEST_ALONE = re.compile(r"#\d+ sha256:[0-9a-f]{64}")
_RULE = re.compile(r"-{6,}")

_PARSE_ERROR = re.compile(r"dockerfile parse error (?:on )?line (?P<line>\d+): (?P<text>.*)", re.IGNORECASE)
_EXIT_CODE = re.compile(r"exit code: (?P<code>\d+)")
_MISSING = re.compile(
    # The path is bounded, because the time for one without end grows with the square of the message.
    r"\"?(?P<path>/[^\"]{0,400}?)\"?: not found|\"(?P<old>[^\"]+)\" not found"
    r"|lstat (?P<lstat>\S+): no such file"
)
_STAGE = re.compile(r"target stage \"?(?P<stage>[^\"\s]+)\"? could not be found")
_NO_DOCKERFILE = re.compile(
    r"failed to read dockerfile|the Dockerfile cannot be empty|no build stage in current context"
)
_UNREACHABLE = re.compile(
    r"failed to do request|dial tcp|i/o timeout|TLS handshake|connection re(?:set|fused)|unexpected EOF"
    r"|too ?many ?requests|status:? 5\d\d|deadline exceeded",
    re.IGNORECASE,
)
_NO_SPACE = "no space left on device"


class BuildFailureKind(StrEnum):
    """What has to be mended, and by whom."""

    COMMAND = "command"
    MISSING_FILE = "missing_file"
    DOCKERFILE = "dockerfile"
    TARGET_STAGE = "target_stage"
    IMAGE = "image"
    REGISTRY = "registry"
    NO_SPACE = "no_space"
    OTHER = "other"


@dataclass(frozen=True)
class BuildFailure:
    """The failure for a person: one sentence, and the lines that show it.

    `dockerfile_line` is known only where the builder tells. A REGISTRY failure may pass by itself.
    """

    summary: str
    excerpt: str
    dockerfile_line: int | None = None
    kind: BuildFailureKind = BuildFailureKind.OTHER


@dataclass
class _Step:
    """What was seen of one step of the build."""

    name: str = ""
    output: list[str] = field(default_factory=list)
    error: str = ""

    @property
    def instruction(self) -> str:
        match = _STEP_NAME.fullmatch(self.name)
        return match["instruction"] if match else ""


def failing_excerpt(lines: Sequence[str]) -> BuildFailure:
    """Find the failing step, its last lines and the builder's own message in the log of a failed build.

    It never raises: of a log in a shape that it does not know, it gives the last lines.
    """
    lines = [line.rstrip("\r\n") for line in lines]
    step = _failed_step(lines)
    snippet, line_number = _snippet(lines)
    message = _final_message(lines) or (step.error if step else "")
    kind, summary = _explain(message, step)
    if parse_error := _PARSE_ERROR.search(message):
        line_number = int(parse_error["line"])
    shown = _excerpt(lines, step, snippet, message)
    return BuildFailure(summary, "\n".join(shown), line_number, kind)


def _failed_step(lines: Sequence[str]) -> _Step | None:
    """The first step that failed by itself; others are cancelled because of it."""
    steps: dict[str, _Step] = {}
    for line in lines:
        match = _STEP_LINE.fullmatch(line)
        if match is None:
            continue
        step, text = steps.setdefault(match["step"], _Step()), match["text"]
        if error := _STEP_ERROR.fullmatch(text):
            step.error = step.error or error["text"]
        elif output := _STEP_OUTPUT.fullmatch(text):
            step.output.append(output["text"] or "")
        elif not step.name and not _STEP_STATUS.fullmatch(text):
            step.name = text
    failed = [step for step in steps.values() if step.error]
    by_themselves = [step for step in failed if "context canceled" not in step.error]
    return next(iter(by_themselves or failed), None)


def _final_message(lines: Sequence[str]) -> str:
    """The builder's last word, without the layers that it passed through."""
    for line in reversed(lines):
        if not line.startswith("#") and _FINAL.match(line):
            return _NOISE.sub("", line, count=1) if _NOISE.match(line) else line
    return ""


def _snippet(lines: Sequence[str]) -> tuple[list[str], int | None]:
    """The part of the Dockerfile that buildx shows, and the line that it points to."""
    for index in range(len(lines) - 1, -1, -1):
        if not _RULE.fullmatch(lines[index]) or index == 0:
            continue
        head = _SNIPPET_HEAD.fullmatch(lines[index - 1])
        if head is None:
            continue
        block: list[str] = []
        for line in lines[index + 1 :]:
            if not _SNIPPET_LINE.fullmatch(line):
                break
            block.append(line)
        marked = next((match for line in block if (match := _SNIPPET_MARKED.fullmatch(line))), None)
        return block, int(marked["line"] if marked else head["line"])
    return [], None


def _explain(message: str, step: _Step | None) -> tuple[BuildFailureKind, str]:
    """The kind of a failure, and a sentence that says what to mend."""
    evidence = f"{message}\n{step.error if step else ''}"
    instruction = _short(step.instruction if step else "")
    # The engine says it in small letters, most commands begin it with a capital one (strerror(3)).
    said_last = "\n".join(step.output[-EXCERPT_LINES:]) if step else ""
    if _NO_SPACE in f"{evidence}\n{said_last}".lower():
        return BuildFailureKind.NO_SPACE, (
            "The server's disk is full: it has no room for the build. Free space there, then deploy again."
        )
    if parse_error := _PARSE_ERROR.search(evidence):
        return (
            BuildFailureKind.DOCKERFILE,
            f"Dockerfile line {parse_error['line']}: {_short(parse_error['text'])}.",
        )
    if stage := _STAGE.search(evidence):
        return BuildFailureKind.TARGET_STAGE, f"The Dockerfile has no stage named {_short(stage['stage'])}."
    if _NO_DOCKERFILE.search(evidence):
        return BuildFailureKind.DOCKERFILE, "There is no Dockerfile at the configured path, or it is empty."
    if code := _EXIT_CODE.search(evidence):
        return BuildFailureKind.COMMAND, _explain_command(instruction, int(code["code"]))
    if step and (image := _IMAGE_STEP.match(step.name)):
        return _explain_image(image["image"], evidence)
    if instruction and (missing := _MISSING.search(evidence)):
        path = missing["path"] or missing["old"] or missing["lstat"]
        return (
            BuildFailureKind.MISSING_FILE,
            f"{instruction}: {_short(path)} does not exist in the source, or .dockerignore leaves it out.",
        )
    said = _short(message or (step.error if step else "")) or "The builder ended without saying why"
    return BuildFailureKind.OTHER, f"{instruction}: {said}." if instruction else f"{said}."


def _explain_command(instruction: str, code: int) -> str:
    """137 is 128 + SIGKILL, which within a build is most often the kernel's answer to too much memory."""
    command = instruction or "A command"
    if code == 137:
        return f"{command} was killed (exit code 137), most likely because the server ran out of memory."
    return f"{command} ended with exit code {code}."


def _explain_image(image: str, evidence: str) -> tuple[BuildFailureKind, str]:
    name = _short(image.removeprefix("docker.io/library/").removeprefix("docker.io/").partition("@")[0])
    if _UNREACHABLE.search(evidence):
        return (
            BuildFailureKind.REGISTRY,
            f"The image {name} cannot be fetched: its registry cannot be reached.",
        )
    return BuildFailureKind.IMAGE, f"The image {name} does not exist, or its registry asks for credentials."


def _excerpt(lines: Sequence[str], step: _Step | None, snippet: Sequence[str], message: str) -> list[str]:
    """The failing step with the end of its output, the Dockerfile's part, the message; else the log's end."""
    shown: list[str] = []
    if step:
        shown += [step.name, *step.output[-EXCERPT_LINES:]]
    shown += snippet
    if message:
        shown.append(message)
    return shown or [line for line in lines if line.strip()][-EXCERPT_LINES:]


def _short(text: str) -> str:
    """The text on one line, at most 300 characters, without a full stop at its end."""
    text = " ".join(text.split()).rstrip(".")
    return text if len(text) <= MAXIMUM_SHOWN else f"{text[:MAXIMUM_SHOWN]}…"


def is_noise(line: str) -> bool:
    """Whether a line of BuildKit's progress tells a person nothing: the digest of a step, all alone."""
    return _DIGEST_ALONE.fullmatch(line) is not None


def ended_unheard(log: Sequence[str], image: str) -> bool:
    """Whether this is the log of a build by BuildKit that has no word of its end, the naming of the image."""
    named = re.compile(rf"#\d+ naming to \S*{re.escape(image)}\b.* done")
    is_build = any(_STEP_LINE.fullmatch(line) for line in log)
    return is_build and not any(named.match(line) for line in log)
