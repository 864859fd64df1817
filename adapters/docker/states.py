"""What an engine says about itself and its containers, as typed values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, Literal, TypeVar

from domain.errors import EngineUnavailable

LONGEST_FACT = 200
# What is kept of each container and image: an engine in other hands may name any number of them, and say
# whatever it likes of each.
MOST_LISTED = 5000
MOST_NETWORKS = 100
LONGEST_NAME = 1024
LONGEST_LABEL = 4096
OWN_PREFIX = "seaway."
# An engine in other hands may say as much of each container as an answer holds. Honest ones: 2,000 each.
MOST_KEPT_CHARACTERS = 16 * 1024 * 1024

Answer = TypeVar("Answer")

EXIT_CODES: dict[int, str] = {
    # The codes of a POSIX shell (2.8.2 Exit Status for Commands) and of signals (128 + number).
    126: "its command is not executable",
    127: "its command was not found in the image",
    134: "it aborted (SIGABRT)",
    137: "it was killed (SIGKILL)",
    139: "it crashed (SIGSEGV)",
    143: "it was told to stop (SIGTERM)",
}


@dataclass(frozen=True)
class EngineFacts:
    """What `ping` learns: versions as the engine writes them, `cgroup` as `1` or `2`.

    `processors` and `memory_bytes` are those of its machine, 0 where it does not say.
    """

    version: str
    architecture: str
    operating_system: str
    cgroup: str
    cgroup_driver: str = ""
    is_rootless: bool = False
    processors: int = 0
    memory_bytes: int = 0


@dataclass(frozen=True)
class ContainerState:
    """How one container stands. `pid` is 0 and `addresses` may be empty when it does not run."""

    id: str
    name: str
    image: str
    status: str
    running: bool
    exit_code: int
    pid: int
    restart_count: int
    oom_killed: bool
    started_at: datetime | None
    addresses: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def exit_reason(self) -> str:
        """Why it ended, in words: `ended with exit code 127: its command was not found in the image`."""
        reason = "it ran out of memory" if self.oom_killed else EXIT_CODES.get(self.exit_code, "")
        return f"ended with exit code {self.exit_code}" + (f": {reason}" if reason else "")


@dataclass(frozen=True)
class LogEntry:
    """One line of a container's output, without its line end; `at` is the engine's clock, in UTC.

    Of a service it names the task that wrote it, and `at` is the clock of that task's node.
    """

    stream: Literal["stdout", "stderr"]
    at: datetime
    text: str
    task: str = ""


def engine_facts(version: Mapping[str, Any], info: Mapping[str, Any]) -> EngineFacts:
    """From the answers of `/version` and `/info`; engines before 20.10 name no cgroup version and mean 1."""
    return EngineFacts(
        version=str(version.get("Version", ""))[:LONGEST_FACT],
        architecture=str(version.get("Arch", ""))[:LONGEST_FACT],
        operating_system=str(info.get("OperatingSystem", ""))[:LONGEST_FACT],
        cgroup=str(info.get("CgroupVersion") or "1"),
        cgroup_driver=str(info.get("CgroupDriver") or "")[:LONGEST_FACT],
        is_rootless="name=rootless" in (info.get("SecurityOptions") or ()),
        processors=_number(info.get("NCPU")),
        memory_bytes=_number(info.get("MemTotal")),
    )


def _number(answer: object) -> int:
    return answer if isinstance(answer, int) and 0 < answer < 2**63 else 0


def own_labels(labels: Mapping[str, Any] | None) -> dict[str, str]:
    """Those labels of a container that are Seaway's, of a length that Seaway gives them."""
    return {
        key: value
        for key, value in (labels or {}).items()
        if key.startswith(OWN_PREFIX) and len(key) <= LONGEST_FACT and len(value) <= LONGEST_LABEL
    }


def listed(answers: Sequence[Answer]) -> Sequence[Answer]:
    """The list of an engine. Raises EngineUnavailable where it is longer than that of any engine."""
    if len(answers) > MOST_LISTED:
        raise EngineUnavailable(
            f"The Docker Engine lists more than {MOST_LISTED} containers, images or tasks, as none does. "
            "Look whether somebody else controls that server."
        )
    return answers


class Kept:
    """Counts what is kept of several answers of one engine."""

    def __init__(self) -> None:
        self._states = self._characters = 0

    def add(self, state: object) -> None:
        """Raises EngineUnavailable where all together is more than any engine says."""
        self._states += 1
        self._characters += len(repr(state))
        if self._states > MOST_LISTED or self._characters > MOST_KEPT_CHARACTERS:
            raise EngineUnavailable(
                "What the Docker Engine says of its containers is more than any engine says. Look "
                "whether somebody else controls that server."
            )


def container_state(answer: Mapping[str, Any]) -> ContainerState:
    """From the answer of `/containers/{name}/json`; of its labels only Seaway's are kept."""
    state = answer["State"]
    networks = (answer.get("NetworkSettings") or {}).get("Networks") or {}
    return ContainerState(
        id=answer["Id"][:LONGEST_FACT],
        name=answer["Name"].removeprefix("/")[:LONGEST_NAME],
        image=answer["Config"]["Image"][:LONGEST_NAME],
        status=state["Status"][:LONGEST_FACT],
        # A container that is restarting counts as running in the engine's flag, yet nothing runs in it.
        running=bool(state["Running"]) and not state.get("Restarting", False),
        exit_code=int(state.get("ExitCode", 0)),
        pid=int(state.get("Pid", 0)),
        restart_count=int(answer.get("RestartCount", 0)),
        oom_killed=bool(state.get("OOMKilled", False)),
        started_at=engine_time(state.get("StartedAt", "")),
        addresses={
            name[:LONGEST_NAME]: link["IPAddress"][:LONGEST_FACT]
            for name, link in islice(networks.items(), MOST_NETWORKS)
            if link.get("IPAddress")
        },
        labels=own_labels(answer["Config"].get("Labels")),
    )


def engine_time(text: str) -> datetime | None:
    """An RFC 3339 time with up to nine digits of a second; the engine's year 1 means never."""
    if not text or text.startswith("0001-"):
        return None
    whole, _, fraction = text.removesuffix("Z").partition(".")
    # Python keeps six digits of the nine.
    return datetime.fromisoformat(f"{whole}.{(fraction or '0')[:6]:0<6}+00:00")
