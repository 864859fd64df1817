"""Applications: their configuration, variables and domains."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from pydantic import SecretStr
from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.configuration import REVEAL, ApplicationConfiguration, Domain, EnvironmentVariable
from domain.configuration_limits import check_size, check_storages, check_variables
from domain.errors import Conflict, NotFound
from store.columns import now
from store.database import Database
from store.domain_claims import claim_domains, claims_of
from store.encryption import KeyRing
from store.tables import (
    Application,
    ClaimedDomain,
    Deployment,
    DeploymentStep,
    LogLine,
    ServerRelease,
    Variable,
)

Written = Mapping[str, object]
"""Fields of the API as their writer spelled them, where that differs from how we would show them."""

Edit = Callable[[Application, ApplicationConfiguration, Written], tuple[ApplicationConfiguration, Written]]
"""Answers what to write instead; it may also change the row's name and description."""


class ApplicationStore:
    """Reads and writes applications. Methods with `team_id` find only what belongs to that team."""

    def __init__(self, database: Database, keys: KeyRing) -> None:
        self._database = database
        self._keys = keys

    async def create(
        self,
        application: Application,
        configuration: ApplicationConfiguration,
        written: Written | None = None,
    ) -> Application:
        """Writes a new application and claims its domains.

        Raises Conflict when its name is taken in the environment, or a domain by another application, and
        InvalidInput for more than an application may have.
        """
        application.configuration_sealed = self._seal_within_limits(configuration, None)
        application.written_sealed = self._keys.encrypt(json.dumps(dict(written or {})))
        async with self._database.writing() as session:
            await _refuse_taken_name(session, application)
            session.add(application)
            await session.flush()
            await claim_domains(session, application, configuration.routing.domains, configured=True)
        return application

    async def get(self, application_id: str, *, team_id: str | None = None) -> Application:
        """The application. Raises NotFound, also for another team's."""
        async with self._database.reading() as session:
            return await _require(session, application_id, team_id)

    async def list(self, *, team_id: str) -> Sequence[Application]:
        """The team's applications, oldest first."""
        query = select(Application).where(Application.team_id == team_id)
        async with self._database.reading() as session:
            return (await session.exec(query.order_by(col(Application.created_at)))).all()

    async def teams_of(self, application_ids: Collection[str]) -> dict[str, str]:
        """The team of each of these applications; those that there are none of are left out."""
        query = select(Application.id, Application.team_id).where(col(Application.id).in_(application_ids))
        async with self._database.reading() as session:
            return dict((await session.exec(query)).all())

    async def configuration(self, application_id: str) -> ApplicationConfiguration:
        """Everything a release would depend on right now, secrets included."""
        async with self._database.reading() as session:
            application = await _require(session, application_id, None)
            variables = await _variables(session, application_id)
        environment = tuple(self.reveal(variable) for variable in variables if not variable.is_preview)
        return self._unsealed(application).model_copy(update={"environment": environment})

    def configured(self, application: Application) -> tuple[ApplicationConfiguration, Written]:
        """What the row holds, without its variables, and how its writer spelled it."""
        return self._unsealed(application), self._written(application)

    def reveal(self, variable: Variable) -> EnvironmentVariable:
        """The variable with its value."""
        return EnvironmentVariable(
            key=variable.key,
            value=SecretStr(self._keys.decrypt(variable.value_sealed)),
            is_runtime=variable.is_runtime,
            is_buildtime=variable.is_buildtime,
            is_build_secret=variable.is_build_secret,
            is_literal=variable.is_literal,
        )

    async def update(self, application: Application, configuration: ApplicationConfiguration) -> Application:
        """Writes name, description and configuration; claims the new domains and lets go of the old.

        A domain that the running release still serves stays claimed until a later release drops it. Raises
        InvalidInput for more than an application may have.
        """
        async with self._database.writing() as session:
            row = await _require(session, application.id, None)
            row.configuration_sealed = self._seal_within_limits(configuration, self._unsealed(row))
            row.name, row.description = application.name, application.description
            row.updated_at = now()
            await _refuse_taken_name(session, row)
            session.add(row)
            await claim_domains(session, row, configuration.routing.domains, configured=True)
        return row

    async def modify(self, application_id: str, *, team_id: str, edit: Edit) -> Application:
        """Changes name, description and configuration in one transaction, so that no change is lost.

        Domains are claimed and let go of as in `update`. Raises NotFound, Conflict, InvalidInput for more
        than an application may have, and what `edit` does.
        """
        async with self._database.writing() as session:
            row = await _require(session, application_id, team_id, lock=True)
            present = self._unsealed(row)
            configuration, written = edit(row, present, self._written(row))
            row.configuration_sealed = self._seal_within_limits(configuration, present)
            row.written_sealed = self._keys.encrypt(json.dumps(dict(written)))
            row.updated_at = now()
            await _refuse_taken_name(session, row)
            session.add(row)
            await claim_domains(session, row, configuration.routing.domains, configured=True)
        return row

    async def claim_released_domains(self, application_id: str, domains: Sequence[Domain]) -> None:
        """Claims what a release is about to serve. Raises Conflict when another application has it."""
        async with self._database.writing() as session:
            application = await _require(session, application_id, None)
            await claim_domains(session, application, domains, configured=False)

    async def settle_released_domains(self, application_id: str, domains: Sequence[Domain]) -> None:
        """Exactly these domains are served now; lets go of others that are not configured either."""
        served = {(domain.host, domain.path) for domain in domains}
        async with self._database.writing() as session:
            for claim in await claims_of(session, application_id):
                claim.is_released = (claim.host, claim.path) in served
                if claim.is_released or claim.is_configured:
                    session.add(claim)
                else:
                    await session.delete(claim)

    async def variables(self, application_id: str) -> Sequence[Variable]:
        """The application's variables in the order in which they were made."""
        async with self._database.reading() as session:
            return await _variables(session, application_id)

    async def set_variables(
        self, application_id: str, variables: Sequence[tuple[Variable, SecretStr]]
    ) -> Sequence[Variable]:
        """Makes or replaces each variable by its key, all of them or none.

        Raises InvalidInput for more than an application may have.
        """
        written = []
        async with self._database.writing() as session:
            existing = {(v.key, v.is_preview): v for v in await _variables(session, application_id)}
            count, size = len(existing), _size_of(existing.values())
            for given, value in variables:
                row = existing.get((given.key, given.is_preview), given)
                if row is not given:
                    row.sqlmodel_update(
                        given.model_dump(exclude={"id", "application_id", "created_at", "value_sealed"})
                    )
                row.application_id = application_id
                row.value_sealed = self._keys.encrypt(value.get_secret_value())
                row.updated_at = now()
                existing[(row.key, row.is_preview)] = row
                session.add(row)
                written.append(row)
            check_variables(len(existing), _size_of(existing.values()), count_before=count, size_before=size)
        return written

    async def delete_variable(self, application_id: str, *, variable_id: str = "", key: str = "") -> None:
        """Removes one variable by its id or key. Raises NotFound."""
        async with self._database.writing() as session:
            query = select(Variable).where(Variable.application_id == application_id)
            query = (
                query.where(Variable.id == variable_id) if variable_id else query.where(Variable.key == key)
            )
            row = (await session.exec(query)).first()
            if row is None:
                raise NotFound("There is no such environment variable.")
            await session.delete(row)

    async def set_state(
        self, application_id: str, *, desired_state: str, current_deployment_id: str | None = None
    ) -> None:
        """Records what runs. `current_deployment_id=None` leaves that as it is."""
        async with self._database.writing() as session:
            row = await _require(session, application_id, None)
            row.desired_state = desired_state
            if current_deployment_id is not None:
                row.current_deployment_id = current_deployment_id
            session.add(row)

    async def set_replicas(self, application_id: str, replicas: int) -> None:
        """Changes the configured number of replicas, so that later releases keep it."""
        async with self._database.writing() as session:
            row = await _require(session, application_id, None, lock=True)
            configuration = self._unsealed(row)
            runtime = configuration.runtime.model_copy(update={"replicas": replicas})
            row.configuration_sealed = self._seal(configuration.model_copy(update={"runtime": runtime}))
            session.add(row)

    async def forget(self, application_id: str) -> None:
        """Removes the application and everything that is only about it. Doing it twice is harmless."""
        deployments = select(Deployment.id).where(Deployment.application_id == application_id)
        async with self._database.writing() as session:
            for statement in (
                delete(ServerRelease).where(col(ServerRelease.application_id) == application_id),
                delete(LogLine).where(col(LogLine.deployment_id).in_(deployments)),
                delete(DeploymentStep).where(col(DeploymentStep.deployment_id).in_(deployments)),
                delete(Deployment).where(col(Deployment.application_id) == application_id),
                delete(Variable).where(col(Variable.application_id) == application_id),
                delete(ClaimedDomain).where(col(ClaimedDomain.application_id) == application_id),
                delete(Application).where(col(Application.id) == application_id),
            ):
                await session.exec(statement)

    def _seal_within_limits(
        self, configuration: ApplicationConfiguration, present: ApplicationConfiguration | None
    ) -> str:
        """Raises InvalidInput for more than an application may have, unless there is even more at present."""
        count_before = len(present.runtime.volumes) if present is not None else 0
        check_storages(len(configuration.runtime.volumes), before=count_before)
        document = _document(configuration)
        size_before = len(_document(present).encode()) if present is not None else 0
        check_size(len(document.encode()), before=size_before)
        return self._keys.encrypt(document)

    def _seal(self, configuration: ApplicationConfiguration) -> str:
        return self._keys.encrypt(_document(configuration))

    def _unsealed(self, application: Application) -> ApplicationConfiguration:
        document = self._keys.decrypt(application.configuration_sealed)
        configuration = ApplicationConfiguration.model_validate_json(document)
        return configuration.model_copy(update={"name": application.name})

    def _written(self, application: Application) -> Written:
        if not application.written_sealed:
            return {}
        written: dict[str, object] = json.loads(self._keys.decrypt(application.written_sealed))
        return written


def _document(configuration: ApplicationConfiguration) -> str:
    return configuration.model_copy(update={"environment": ()}).model_dump_json(context=REVEAL)


def _size_of(variables: Iterable[Variable]) -> int:
    """How large their values are, roughly: sealed they have a third more."""
    return sum(len(variable.value_sealed) for variable in variables) * 3 // 4


async def _require(
    session: AsyncSession, application_id: str, team_id: str | None, *, lock: bool = False
) -> Application:
    row = await session.get(Application, application_id, with_for_update=lock or None)
    if row is None or (team_id is not None and row.team_id != team_id):
        raise NotFound("There is no such application.")
    return row


async def _variables(session: AsyncSession, application_id: str) -> Sequence[Variable]:
    query = select(Variable).where(Variable.application_id == application_id)
    return (await session.exec(query.order_by(col(Variable.created_at), col(Variable.key)))).all()


async def _refuse_taken_name(session: AsyncSession, application: Application) -> None:
    query = select(Application.id).where(
        Application.environment_id == application.environment_id,
        Application.name == application.name,
        Application.id != application.id,
    )
    if (await session.exec(query)).first() is not None:
        raise Conflict(f"This environment already has an application named '{application.name}'.")
