"""What became of a deployment, in the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from temporalio import activity

from activities import messages as m
from activities import signatures as s
from activities.deployment_rows import row_of
from activities.serving import held, serving
from domain.deployments import DeploymentStatus, OperationKind, StepStatus
from domain.errors import NotFound
from store.columns import now
from store.store import Store


class RecordActivities:
    """Records what a deployment has done, and its end."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def all(self) -> list[Callable[..., Any]]:
        """The activities, for the worker."""
        return [self.leave_out, self.record_release, self.finish, self.forget]

    @activity.defn(name=s.LEAVE_OUT_SERVER.name)
    async def leave_out(self, leave: m.LeaveOutServer) -> m.Nothing:
        """What is left of the deployment does not concern this server any more."""
        await self._store.deployments.leave_out(
            leave.deployment_id, leave.server, leave.instead, leave.failed, leave.message
        )
        return m.Nothing()

    @activity.defn(name=s.RECORD_RELEASE.name)
    async def record_release(self, record: m.RecordRelease) -> m.Nothing:
        """Makes this release the current one; a stop keeps the last one to start from."""
        command = record.command
        if record.serve is None:
            await self._store.releases.record(command.application_id, None, {})
            return m.Nothing()
        await self._store.deployments.update(command.deployment_id, release_id=record.serve.release_id)
        await self._store.releases.record(command.application_id, command.deployment_id, held(record.serve))
        if command.kind is OperationKind.SCALE:
            await self._store.applications.set_replicas(command.application_id, record.serve.replicas)
        return m.Nothing()

    @activity.defn(name=s.FINISH_DEPLOYMENT.name)
    async def finish(self, finish: m.FinishDeployment) -> m.Nothing:
        """Writes the one final state; the first one that was written stays."""
        command = finish.command
        row = await self._store.deployments.record(row_of(command))
        if not DeploymentStatus(row.status).is_final:
            values: dict[str, object] = {
                "status": finish.status,
                "finished_at": now(),
                "superseded_by": finish.superseded_by,
                "note": finish.note,
            }
            if finish.status is DeploymentStatus.FINISHED:
                # What failed on a server that was left out is no failure of the deployment.
                values |= {"error_code": "", "error_message": "", "error_detail": ""}
            if finish.error_code:
                values |= {"error_code": finish.error_code, "error_message": finish.error_message}
            await self._close_steps(finish)
            await self._store.deployments.update(command.deployment_id, **values)
        await self._settle_domains(command.application_id)
        return m.Nothing()

    async def _close_steps(self, finish: m.FinishDeployment) -> None:
        # An activity whose worker died, or that timed out, could not record its own end.
        known = {(step.name, step.server): step for step in finish.steps}
        for step in await self._store.deployments.steps(finish.command.deployment_id):
            truth = known.get((step.name, step.server))
            if step.status is StepStatus.RUNNING and truth and truth.status is not StepStatus.RUNNING:
                await self._store.deployments.set_step(
                    finish.command.deployment_id, step.name, step.server, truth.status, message=truth.message
                )

    async def _settle_domains(self, application_id: str) -> None:
        served = await serving(self._store, application_id)
        releases = (served, *served.elsewhere) if served else ()
        snapshots = [await self._store.deployments.snapshot(one.configuration_of) for one in releases]
        domains = [domain for snapshot in snapshots for domain in snapshot.routing.domains]
        await self._store.applications.settle_released_domains(application_id, domains)

    @activity.defn(name=s.FORGET_APPLICATION.name)
    async def forget(self, forget: m.ForgetApplication) -> m.Nothing:
        """Removes every row of the application; again and again if need be."""
        try:
            await self._store.applications.forget(forget.application_id)
        except NotFound:
            activity.logger.info("the application is forgotten already")
        return m.Nothing()
