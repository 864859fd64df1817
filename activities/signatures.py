"""The activities by name, as workflows call them: what goes in and what comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from activities import messages as m

Input = TypeVar("Input", bound=m.Message)
Output = TypeVar("Output", bound=m.Message)


@dataclass(frozen=True)
class Signature(Generic[Input, Output]):
    """An activity's name on the wire with its input and output types."""

    name: str
    takes: type[Input]
    answers: type[Output]


BEGIN_DEPLOYMENT = Signature("begin-deployment", m.BeginDeployment, m.ReleasePlan)
LEAVE_OUT_SERVER = Signature("leave-out-server", m.LeaveOutServer, m.Nothing)
RECORD_RELEASE = Signature("record-release", m.RecordRelease, m.Nothing)
FINISH_DEPLOYMENT = Signature("finish-deployment", m.FinishDeployment, m.Nothing)
FORGET_APPLICATION = Signature("forget-application", m.ForgetApplication, m.Nothing)

RESOLVE_SOURCE = Signature("resolve-source", m.ResolveSource, m.ResolvedSource)
BUILD_IMAGE = Signature("build-image", m.BuildImage, m.BuildOutcome)
PUSH_IMAGE = Signature("push-image", m.PushImage, m.StepOutcome)
WITHDRAW_IMAGE = Signature("withdraw-image", m.PushImage, m.StepOutcome)
PUBLISH_IMAGE = Signature("publish-image", m.PublishImage, m.StepOutcome)
DISTRIBUTE_IMAGE = Signature("distribute-image", m.DistributeImage, m.StepOutcome)
DISCARD_IMAGE = Signature("discard-image", m.DiscardImage, m.StepOutcome)

LEASE_BUILD_SLOT = Signature("lease-build-slot", m.LeaseBuildSlot, m.BuildSlotLease)
FIND_CLOSED_HOLDERS = Signature("find-closed-build-holders", m.BuildHolders, m.ClosedHolders)

RUN_PRE_DEPLOY = Signature("run-pre-deploy-command", m.RunCommand, m.StepOutcome)
RUN_RELEASE_COMMAND = Signature("run-release-command", m.RunCommand, m.StepOutcome)
REMOVE_RELEASE_COMMAND = Signature("remove-release-command", m.RunCommand, m.StepOutcome)
RUN_POST_DEPLOY = Signature("run-post-deploy-command", m.RunCommand, m.StepOutcome)

START_REPLICAS = Signature("start-replicas", m.StartReplicas, m.StepOutcome)
CHECK_HEALTH = Signature("check-health", m.StartReplicas, m.StepOutcome)
PAUSE_REPLICAS = Signature("pause-replicas", m.PauseReplicas, m.StepOutcome)
RESUME_REPLICAS = Signature("resume-replicas", m.PauseReplicas, m.StepOutcome)
RETIRE_REPLICAS = Signature("retire-replicas", m.RetireReplicas, m.StepOutcome)

APPLY_ROUTES = Signature("apply-routes", m.ApplyRoutes, m.StepOutcome)
APPLY_EDGE = Signature("apply-edge", m.ApplyEdge, m.StepOutcome)
DRAIN_REPLICAS = Signature("drain-replicas", m.DrainReplicas, m.StepOutcome)
CLEAN_UP = Signature("clean-up", m.CleanUp, m.StepOutcome)

BEGIN_PROVISIONING = Signature("begin-provisioning", m.ServerTask, m.ServerCondition)
REACH_SERVER = Signature("reach-server", m.ServerTask, m.StepOutcome)
LOOK_AT_SYSTEM = Signature("look-at-system", m.ServerTask, m.StepOutcome)
CHECK_PREREQUISITES = Signature("check-prerequisites", m.ServerTask, m.StepOutcome)
ENSURE_ENGINE = Signature("ensure-engine", m.ServerTask, m.StepOutcome)
CHECK_ENGINE_VERSION = Signature("check-engine-version", m.ServerTask, m.StepOutcome)
ENSURE_FOLDERS = Signature("ensure-folders", m.ServerTask, m.StepOutcome)
ENSURE_PROXY = Signature("ensure-proxy", m.ServerTask, m.StepOutcome)
FINISH_PROVISIONING = Signature("finish-provisioning", m.FinishProvisioning, m.ServerCondition)
CHECK_SERVER = Signature("check-server", m.ServerTask, m.ServerCondition)
SETTLE_SERVER = Signature("settle-server", m.ServerTask, m.StepOutcome)
SERVERS_TO_CLEAN = Signature("servers-to-clean", m.Nothing, m.ServersToClean)
CLEAN_UP_SERVER = Signature("clean-up-server", m.ServerTask, m.StepOutcome)
RECORD_CLEAN_UP = Signature("record-clean-up", m.CleanUpReport, m.Nothing)
REMOVE_SERVER = Signature("remove-server", m.RemoveServer, m.ServerRemoval)
