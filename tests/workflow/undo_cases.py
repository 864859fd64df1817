"""For every step of a deployment before the point of no return: what has to be undone after it."""

from __future__ import annotations

from dataclasses import dataclass

DISCARD = "undo discard-image"
REMOVE_COMMAND = "undo remove-release-command"
REMOVE_NEW = "undo retire-replicas"
RESUME_OLD = "undo resume-replicas"
SWITCH_BACK = ["undo apply-routes", "undo drain-replicas"]
BEFORE_SWITCH = [REMOVE_NEW, REMOVE_COMMAND, DISCARD]


@dataclass(frozen=True)
class UndoCase:
    """A step by the name of its activity, and the undo activities that follow, newest first."""

    label: str
    undos: list[str]
    host_ports: bool = False

    def __str__(self) -> str:
        return f"{self.label}, host ports" if self.host_ports else self.label


UNDO_CASES = [
    UndoCase("begin-deployment", []),
    UndoCase("resolve-source", []),
    UndoCase("build-image", [DISCARD]),
    UndoCase("run-pre-deploy-command", [DISCARD]),
    UndoCase("run-release-command", [REMOVE_COMMAND, DISCARD]),
    UndoCase("start-replicas", BEFORE_SWITCH),
    UndoCase("check-health", BEFORE_SWITCH),
    UndoCase("apply-routes", [*SWITCH_BACK, *BEFORE_SWITCH]),
    UndoCase("run-post-deploy-command", [*SWITCH_BACK, *BEFORE_SWITCH]),
    UndoCase("drain-replicas", [*SWITCH_BACK, *BEFORE_SWITCH]),
    UndoCase("pause-replicas", [RESUME_OLD, REMOVE_COMMAND, DISCARD], host_ports=True),
    UndoCase("start-replicas", [REMOVE_NEW, RESUME_OLD, REMOVE_COMMAND, DISCARD], host_ports=True),
    # The old version is down meanwhile, so nobody waits for visitors of the new one.
    UndoCase(
        "run-post-deploy-command",
        ["undo apply-routes", REMOVE_NEW, RESUME_OLD, REMOVE_COMMAND, DISCARD],
        host_ports=True,
    ),
]
AFTER_THE_POINT_OF_NO_RETURN = ["record-release", "retire-replicas", "clean-up", "finish-deployment"]
