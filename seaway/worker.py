"""The worker: every workflow and activity of Seaway on one task queue."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Protocol

from temporalio.client import Client
from temporalio.worker import Worker

from activities.build_slots import BuildSlotActivities
from activities.builds import BuildActivities
from activities.clean_up import CleanUpActivities
from activities.commands import CommandActivities
from activities.edges import EdgeActivities
from activities.image_distribution import DistributionActivities
from activities.image_pushes import PushActivities
from activities.planning import PlanningActivities
from activities.provisioning import ProvisioningActivities
from activities.records import RecordActivities
from activities.replicas import ReplicaActivities
from activities.routes import RouteActivities
from activities.server_checks import ServerCheckActivities
from activities.server_clean_up import ServerCleanUpActivities
from activities.server_removal import ServerRemovalActivities
from activities.servers import Servers, Surroundings
from activities.settling import SettlingActivities
from activities.sources import SourceActivities
from activities.step_recording import StepRecording
from adapters.buildkit import BuildKit
from adapters.git import GitMirrors
from domain.build_limits import BuildShares
from domain.errors import SeawayError
from seaway.build_slots import WorkflowSlotKeepers
from seaway.settings import Settings
from store.store import Store
from workflows.application import ApplicationWorkflow
from workflows.deployment import DeploymentWorkflow
from workflows.names import TASK_QUEUE
from workflows.server import ServerWorkflow
from workflows.server_clean_up import CleanUpWorkflow

CACHED_WORKFLOWS = 2000
CONCURRENT_ACTIVITIES = 500
"""Most of them only wait, some for an hour: for a drain, a grace, a health check, a build elsewhere. They are
tasks of one event loop and cost next to nothing, but without a free place no undo begins, and nobody looks at
servers. What works has limits of its own: builds their slots, Git `COMMANDS_AT_ONCE`, engines their threads,
each server its SSH channels; and connections to the database are held for single short transactions only."""
MEGABYTE = 10**6


class ActivityGroup(Protocol):
    """A class of activities."""

    def all(self) -> list[Callable[..., Any]]:
        """Its activities."""
        ...


def surroundings_of(settings: Settings) -> Surroundings:
    """What activities need to know of the settings."""
    return Surroundings(
        work_folder=settings.data_dir,
        http_port=settings.http_port,
        https_port=settings.https_port,
        minimum_free_disk_bytes=settings.minimum_free_disk_mb * MEGABYTE,
        edge_port=settings.edge_port,
        instance=settings.instance,
        build_shares=BuildShares(settings.build_cpu_percent, settings.build_memory_percent),
    )


def build_worker(
    client: Client, store: Store, servers: Servers, settings: Settings, *, task_queue: str = TASK_QUEUE
) -> Worker:
    """A worker with all its parts put together; run it with `async with` or `run()`."""
    surroundings = surroundings_of(settings)
    mirrors, buildkit = GitMirrors(settings.mirrors_folder), BuildKit()
    # A killed worker's logins must not wait for the next build.
    buildkit.remove_abandoned()
    slots = BuildSlotActivities(store, WorkflowSlotKeepers(client, store, task_queue))
    look_again = timedelta(seconds=settings.server_check_seconds)
    groups: list[ActivityGroup] = [
        PlanningActivities(store),
        RecordActivities(store),
        SourceActivities(store, servers, mirrors, surroundings),
        slots,
        BuildActivities(store, servers, mirrors, buildkit, surroundings, slots),
        PushActivities(store, servers),
        DistributionActivities(store, servers, minimum_free_disk_bytes=surroundings.minimum_free_disk_bytes),
        CommandActivities(store, servers, surroundings),
        ReplicaActivities(store, servers, surroundings),
        RouteActivities(store, servers),
        EdgeActivities(store, servers, surroundings),
        CleanUpActivities(store, servers, surroundings.file_times_folder),
        ProvisioningActivities(store, servers, instance=settings.instance, again_after=look_again),
        ServerCleanUpActivities(store, servers, build_cache_bytes=settings.build_cache_gb * 1000 * MEGABYTE),
        SettlingActivities(store, servers, edge_port=settings.edge_port),
        ServerCheckActivities(store, servers, again_after=look_again),
        ServerRemovalActivities(store, servers, instance=settings.instance),
    ]
    return Worker(
        client,
        task_queue=task_queue,
        workflows=[ApplicationWorkflow, DeploymentWorkflow, ServerWorkflow, CleanUpWorkflow],
        activities=[activity for group in groups for activity in group.all()],
        interceptors=[StepRecording(store, patience=timedelta(seconds=settings.lost_server_seconds))],
        workflow_failure_exception_types=[SeawayError],
        max_cached_workflows=CACHED_WORKFLOWS,
        max_concurrent_activities=CONCURRENT_ACTIVITIES,
        max_heartbeat_throttle_interval=timedelta(seconds=1),
        default_heartbeat_throttle_interval=timedelta(seconds=1),
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=2),
        graceful_shutdown_timeout=timedelta(seconds=settings.shutdown_seconds),
    )
