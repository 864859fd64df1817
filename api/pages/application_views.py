"""Applications as the pages show them, read from the store."""

from __future__ import annotations

from api.context import ApiContext
from api.pages.deployment_views import deployment_row
from api.pages.views import (
    ActionLink,
    ApplicationHead,
    ApplicationRow,
    DeploymentPage,
    LinkView,
    PlacedLink,
    ReleaseView,
    StatusView,
)
from api.pages.visitors import Visitor
from api.pages.wording import application_status, summary_of, version_of
from api.routes.operations import ROLLBACK_KINDS
from api.shown_applications import public_urls_of
from api.shown_servers import shown_servers
from domain.configuration import ApplicationConfiguration, GitSource
from domain.deployments import DeploymentStatus, OperationKind
from domain.errors import SeawayError
from domain.git_references import HEAD
from domain.repository_addresses import parse_repository
from store.tables import Application, Deployment, Environment, Project
from store.tables.applications import DesiredState

DEPLOYMENTS_PER_PAGE = 20
BEHIND = StatusView("behind", "unknown", "It lacks what serves elsewhere until a release gets there.")


class ApplicationReader:
    """Reads one team's applications. It remembers what seldom changes, for as long as one stream lives."""

    def __init__(self, context: ApiContext, visitor: Visitor) -> None:
        self._context = context
        self._visitor = visitor
        self._places: dict[str, str] = {}
        self._configurations: dict[str, ApplicationConfiguration] = {}
        self._server_names: dict[str, str] = {}
        self._local_ids: frozenset[str] | None = None

    async def rows(self) -> tuple[ApplicationRow, ...]:
        """All applications, by name."""
        store = self._context.store
        applications = await store.applications.list(team_id=self._visitor.team_id)
        latest = await store.deployments.list_latest(team_id=self._visitor.team_id)
        statuses = await self._context.runtime.statuses(team_id=self._visitor.team_id)
        rows = [
            await self._row(application, latest.get(application.id), statuses.get(application.id, "exited"))
            for application in applications
        ]
        return tuple(sorted(rows, key=lambda row: (row.name.lower(), row.id)))

    async def _row(
        self, application: Application, latest: Deployment | None, runtime_status: str
    ) -> ApplicationRow:
        configuration = self.configuration(application)
        return ApplicationRow(
            id=application.id,
            url=application_url(application.id),
            name=application.name,
            place=await self.place(application),
            source=source_of(configuration),
            status=application_status(application, runtime_status, latest),
            links=await self._links(configuration),
            last=deployment_row(latest) if latest is not None else None,
        )

    async def head(self, application: Application) -> ApplicationHead:
        """What each page of the application begins with."""
        configuration = self.configuration(application)
        _, found = await self._context.store.deployments.list_of_application(application.id, take=1)
        newest = found[0] if found else None
        runtime_status = await self._context.runtime.status(application.id)
        is_git = isinstance(configuration.source, GitSource)
        return ApplicationHead(
            id=application.id,
            url=application_url(application.id),
            name=application.name,
            status=application_status(application, runtime_status, newest),
            source=source_of(configuration),
            source_url=_source_url(configuration),
            source_icon="branch" if is_git else "box",
            branch=_branch_of(configuration),
            place=await self.place(application),
            servers=await self._servers(application, configuration),
            links=await self._links(configuration),
            actions=_actions(application, newest) if self._visitor.may_deploy else (),
        )

    async def _servers(
        self, application: Application, configuration: ApplicationConfiguration
    ) -> tuple[PlacedLink, ...]:
        """Where it lives; nothing where there is only one place to live."""
        if not self._server_names:
            servers = await self._context.store.servers.list(team_id=self._visitor.team_id)
            self._server_names = {server.id: server.name for server in servers}
        if len(self._server_names) < 2:
            return ()
        releases = await self._context.store.releases.of(application.id)
        return tuple(
            PlacedLink(server.name, f"/servers/{server.uuid}", BEHIND if server.is_behind else None)
            for server in shown_servers(application, configuration.server_ids, releases, self._server_names)
        )

    async def deployments(self, application: Application, page_number: int = 1) -> DeploymentPage:
        """One page of its deployments, with what may be done about each."""
        store = self._context.store.deployments
        skip = (page_number - 1) * DEPLOYMENTS_PER_PAGE
        total, found = await store.list_of_application(application.id, skip=skip, take=DEPLOYMENTS_PER_PAGE)
        kept = await kept_deployments(self._context, application, self.configuration(application))
        rows = tuple(
            deployment_row(
                deployment,
                current_id=application.current_deployment_id,
                kept=kept,
                may_deploy=self._visitor.may_deploy,
            )
            for deployment in found
        )
        url = application_url(application.id)
        return DeploymentPage(
            rows=rows,
            total=total,
            first=skip + 1,
            last=skip + len(rows),
            newer_url=f"{url}?page={page_number - 1}" if page_number > 1 else "",
            older_url=f"{url}?page={page_number + 1}" if skip + len(rows) < total else "",
        )

    async def release(self, application: Application) -> ReleaseView | None:
        """What serves now, if anything was ever released."""
        if application.current_deployment_id is None:
            return None
        deployment = await self._context.store.deployments.find(application.current_deployment_id)
        if deployment is None:
            return None
        return ReleaseView(
            url=f"/deployments/{deployment.id}",
            version_label="Commit" if deployment.commit else "Version",
            version=version_of(deployment),
            summary=summary_of(deployment),
            since=deployment.serving_at or deployment.finished_at or deployment.requested_at,
            replicas=self.configuration(application).runtime.replicas,
            image=deployment.image,
            image_id=deployment.image_id,
        )

    def configuration(self, application: Application) -> ApplicationConfiguration:
        """What is configured, without variables."""
        known = self._configurations.get(application.configuration_sealed)
        if known is None:
            known, _ = self._context.store.applications.configured(application)
            self._configurations[application.configuration_sealed] = known
        return known

    async def place(self, application: Application) -> str:
        """Its project and environment."""
        if application.environment_id not in self._places:
            places = await self._context.store.projects.places(team_id=self._visitor.team_id)
            self._places = {key: place_label(*place) for key, place in places.items()}
        return self._places.get(application.environment_id, "")

    async def _links(self, configuration: ApplicationConfiguration) -> tuple[LinkView, ...]:
        """Its addresses as visitors open them."""
        if self._local_ids is None:
            self._local_ids = await self._context.store.servers.local_ids()
        urls = public_urls_of(self._context, configuration, self._local_ids)
        return tuple(LinkView(url.partition("://")[2], url) for url in urls)


async def kept_deployments(
    context: ApiContext, application: Application, configuration: ApplicationConfiguration
) -> frozenset[str]:
    """The ids of the deployments that can be gone back to: their images are kept."""
    finished = await context.store.deployments.list_finished(application.id)
    releases = [deployment for deployment in finished if deployment.kind in ROLLBACK_KINDS]
    return frozenset(deployment.id for deployment in releases[: max(configuration.images_to_keep, 1)])


def application_url(application_id: str) -> str:
    """The page of an application."""
    return f"/applications/{application_id}"


def place_label(environment: Environment, project: Project) -> str:
    """Where an application belongs."""
    return f"{project.name} / {environment.name}"


def source_of(configuration: ApplicationConfiguration) -> str:
    """Where it comes from, without credentials and ceremony."""
    source = configuration.source
    if not isinstance(source, GitSource):
        return source.reference
    return _display(source.repository).removeprefix("https://").removesuffix(".git")


def _source_url(configuration: ApplicationConfiguration) -> str:
    source = configuration.source
    shown = _display(source.repository) if isinstance(source, GitSource) else ""
    return shown.removesuffix(".git") if shown.startswith(("https://", "http://")) else ""


def _display(repository: str) -> str:
    try:
        return parse_repository(repository).display
    except SeawayError:
        # Showing it as it is might show a password.
        return "repository"


def _branch_of(configuration: ApplicationConfiguration) -> str:
    source = configuration.source
    if not isinstance(source, GitSource):
        return ""
    return source.branch if source.commit == HEAD else f"{source.branch} at {source.commit[:12]}"


def _actions(application: Application, newest: Deployment | None) -> tuple[ActionLink, ...]:
    """What may be done to it: nothing once it is being deleted."""
    is_open = newest is not None and not DeploymentStatus(newest.status).is_final
    if newest is not None and newest.kind == OperationKind.DELETE and is_open:
        return ()
    deploy = ActionLink("deploy", "Deploy", is_primary=True, shortcut="d")
    match application.desired_state:
        case DesiredState.NEVER_DEPLOYED:
            return (deploy,)
        case DesiredState.STOPPED:
            return (ActionLink("start", "Start"), deploy)
    return (
        ActionLink("restart", "Restart"),
        ActionLink("stop", "Stop"),
        ActionLink("scale", "Scale"),
        deploy,
    )
