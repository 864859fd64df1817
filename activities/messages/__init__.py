"""What workflows and activities say to each other: ids and facts, never secrets.

These are wire formats that histories keep: they grow by fields with defaults, and nothing else.
"""

from __future__ import annotations

from activities.messages.build_slots import (
    BuildHolders,
    BuildSlotAnswer,
    BuildSlotGrant,
    BuildSlotLease,
    BuildSlotRelease,
    BuildSlotRequest,
    ClosedHolders,
    LeaseBuildSlot,
)
from activities.messages.commands import CancelReceipt, CancelRequest, Command, CommandReceipt
from activities.messages.images import (
    BuildImage,
    BuildOutcome,
    DiscardImage,
    DistributeImage,
    PublishImage,
    PushImage,
)
from activities.messages.message import Message, Nothing
from activities.messages.plans import PlannedServer, ReleasePlan, Served
from activities.messages.records import (
    BeginDeployment,
    DeploymentResult,
    FinishDeployment,
    ForgetApplication,
    LeaveOutServer,
    Progress,
    RecordRelease,
)
from activities.messages.releases import (
    ApplyEdge,
    ApplyRoutes,
    CleanUp,
    DrainReplicas,
    PauseReplicas,
    RetireReplicas,
    RunCommand,
    StartReplicas,
)
from activities.messages.servers import (
    CleanUpReport,
    FinishProvisioning,
    RemoveServer,
    ServerCondition,
    ServerProgress,
    ServerReceipt,
    ServerRemoval,
    ServerRequest,
    ServerStepState,
    ServersToClean,
    ServerTask,
)
from activities.messages.sources import ResolvedSource, ResolveSource, Unreached
from activities.messages.steps import StepInput, StepOutcome, StepReference

__all__ = [
    "ApplyEdge",
    "ApplyRoutes",
    "BeginDeployment",
    "BuildHolders",
    "BuildImage",
    "BuildOutcome",
    "BuildSlotAnswer",
    "BuildSlotGrant",
    "BuildSlotLease",
    "BuildSlotRelease",
    "BuildSlotRequest",
    "CancelReceipt",
    "CancelRequest",
    "CleanUp",
    "CleanUpReport",
    "ClosedHolders",
    "Command",
    "CommandReceipt",
    "DeploymentResult",
    "DiscardImage",
    "DistributeImage",
    "DrainReplicas",
    "FinishDeployment",
    "FinishProvisioning",
    "ForgetApplication",
    "LeaseBuildSlot",
    "LeaveOutServer",
    "Message",
    "Nothing",
    "PauseReplicas",
    "PlannedServer",
    "Progress",
    "PublishImage",
    "PushImage",
    "RecordRelease",
    "ReleasePlan",
    "RemoveServer",
    "ResolveSource",
    "ResolvedSource",
    "RetireReplicas",
    "RunCommand",
    "Served",
    "ServerCondition",
    "ServerProgress",
    "ServerReceipt",
    "ServerRemoval",
    "ServerRequest",
    "ServerStepState",
    "ServerTask",
    "ServersToClean",
    "StartReplicas",
    "StepInput",
    "StepOutcome",
    "StepReference",
    "Unreached",
]
