"""`seaway app`: create, list, show, change and delete applications."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated

import typer

from domain.errors import Conflict, InvalidInput, SeawayError
from seaway.cli.application_fields import long_name, parse_changes
from seaway.cli.application_options import (
    BaseDirectory,
    Branch,
    BuildPack,
    Commit,
    Cpus,
    DeployKey,
    Dockerfile,
    Domains,
    Edge,
    EnvironmentName,
    HealthPath,
    Image,
    Memory,
    MinAvailable,
    Name,
    OnBuildServer,
    Pack,
    Port,
    PostDeploy,
    PreDeploy,
    ProjectName,
    PublishDirectory,
    PushTag,
    PushTo,
    ReleaseCommand,
    Replicas,
    Repo,
    Servers,
    SinglePage,
    TargetStage,
    Variables,
)
from seaway.cli.commands.deployments import ApplicationName
from seaway.cli.commands.environment import parse_assignments
from seaway.cli.commands.operations import remove
from seaway.cli.naming import find_application, find_key, find_project, find_server
from seaway.cli.session import Session, command

if TYPE_CHECKING:
    from seaway.cli.answers import Application
    from seaway.cli.client import SeawayClient

DEFAULT_PROJECT = "default"
DEFAULT_ENVIRONMENT = "production"


def register(root: typer.Typer) -> None:
    """Adds the commands."""
    group = typer.Typer(help="Applications.", no_args_is_help=True)
    command(group, "create")(create)
    command(group, "list")(list_applications)
    command(group, "show")(show)
    command(group, "set")(change)
    command(group, "delete")(remove)
    root.add_typer(group, name="app")


def create(
    session: Session,
    name: Name,
    repo: Repo = None,
    branch: Branch = None,
    commit: Commit = None,
    deploy_key: DeployKey = None,
    image: Image = None,
    build_pack: BuildPack = None,
    dockerfile: Dockerfile = None,
    base_directory: BaseDirectory = None,
    publish_directory: PublishDirectory = None,
    target_stage: TargetStage = None,
    spa: SinglePage = False,
    build_server: OnBuildServer = False,
    push_to: PushTo = None,
    push_tag: PushTag = None,
    domain: Domains = None,
    port: Port = None,
    health_path: HealthPath = None,
    replicas: Replicas = None,
    memory: Memory = None,
    cpus: Cpus = None,
    env: Variables = None,
    release_command: ReleaseCommand = None,
    pre_deploy: PreDeploy = None,
    post_deploy: PostDeploy = None,
    project: ProjectName = DEFAULT_PROJECT,
    environment: EnvironmentName = DEFAULT_ENVIRONMENT,
    server: Servers = None,
    edge: Edge = None,
    min_available: MinAvailable = None,
) -> None:
    """Create an application from a Git repository or an image. `seaway deploy` then deploys it."""
    written: dict[str, object] = {
        "repo": repo,
        "branch": branch,
        "commit": commit,
        "image": image,
        "build_pack": build_pack.value if build_pack else None,
        "dockerfile": dockerfile,
        "base_directory": base_directory,
        "publish_directory": publish_directory,
        "target_stage": target_stage,
        "spa": spa or None,
        "build_server": build_server or None,
        "domain": ",".join(domain) if domain else None,
        "port": str(port) if port else None,
        "health_path": health_path,
        "replicas": replicas,
        "memory": memory,
        "cpus": cpus,
        "release_command": release_command,
        "pre_deploy": pre_deploy,
        "post_deploy": post_deploy,
        "min_available": min_available,
    }
    fields = {long_name(key): value for key, value in written.items() if value is not None}
    _check_source(fields)
    pushed = _pushed(push_to, push_tag, of_image=image is not None)
    variables = parse_assignments(env or [])
    client = session.client
    if deploy_key is not None:
        fields["private_key_uuid"] = find_key(client, deploy_key).uuid
    if edge is not None:
        fields["edge_server_uuid"] = find_server(client, edge).uuid
    kind = _kind(fields)
    fields |= {"name": name, **pushed, **_place(client, project, environment, server)}
    application = client.create_application(kind, fields)
    if variables:
        _set_variables(client, application, variables)
    session.output.show(application.document(), lambda: _say_created(session, application))


def _check_source(fields: dict[str, object]) -> None:
    """Refuses what no application can be, before anything is made for it."""
    if ("git_repository" in fields) is ("docker_registry_image_name" in fields):
        raise InvalidInput("Give either --repo or --image.", field="repo")
    of_repository = (
        "git_branch",
        "git_commit_sha",
        "build_pack",
        "dockerfile_location",
        "is_spa",
        "use_build_server",
    )
    if "docker_registry_image_name" in fields:
        wrong = [name for name in of_repository if name in fields]
        if wrong:
            raise InvalidInput(f"A prebuilt image has no {', '.join(wrong)}.", field=wrong[0])
    else:
        fields.setdefault("build_pack", Pack.DOCKERFILE.value)


def _pushed(name: str | None, tag: str | None, *, of_image: bool) -> dict[str, object]:
    """Where what is built is pushed."""
    if of_image and (name or tag):
        raise InvalidInput("A prebuilt image is not pushed.", field="docker_registry_image_name")
    given = {"docker_registry_image_name": name, "docker_registry_image_tag": tag}
    return {field: value for field, value in given.items() if value is not None}


def _kind(fields: dict[str, object]) -> str:
    if "docker_registry_image_name" in fields:
        return "dockerimage"
    return "private-deploy-key" if "private_key_uuid" in fields else "public"


def _place(
    client: SeawayClient, project: str, environment: str, servers: list[str] | None
) -> dict[str, object]:
    """Finds the servers first, so that nothing is made for a server that does not exist."""
    uuids = [find_server(client, server).uuid for server in servers or (None,)]
    where = {"server_uuid": uuids[0]} if len(uuids) == 1 else {"server_uuids": uuids}
    project_uuid = _find_or_create_project(client, project)
    if environment not in [
        known for one in client.environments(project_uuid) for known in (one.name, one.uuid)
    ]:
        with contextlib.suppress(Conflict):  # somebody else made it in the meantime
            client.create_environment(project_uuid, environment)
    return {"project_uuid": project_uuid, "environment_name": environment, **where}


def _find_or_create_project(client: SeawayClient, name: str) -> str:
    known = [one for one in client.projects() if name in (one.name, one.uuid)]
    return find_project(client, name).uuid if known else client.create_project(name)


def _set_variables(
    client: SeawayClient, application: Application, variables: list[dict[str, object]]
) -> None:
    try:
        client.set_variables(application.uuid, variables)
    except SeawayError as error:
        error.message = (
            f"{application.name} ({application.uuid}) was created, but its variables were not set: "
            f"{error.message} Set them with `seaway env set`."
        )
        raise


def _say_created(session: Session, application: Application) -> None:
    session.output.say(f"Created {application.name} ({application.uuid}).")
    for url in application.urls:
        session.output.say(f"  {url}")
    session.output.say(f"  Deploy it with: seaway deploy {application.name}", "dim")


def list_applications(session: Session) -> None:
    """List applications with their status."""
    found = session.client.applications()
    session.output.show(
        [one.document() for one in found],
        lambda: session.output.table(
            ["Name", "Status", "URL", "Source", "UUID"],
            [[one.name, _status(one), "\n".join(one.urls), one.source, one.uuid] for one in found],
            "No application yet. `seaway app create` makes one.",
        ),
    )


def _status(application: Application) -> str:
    behind = ", ".join(application.behind)
    return f"{application.status} (behind: {behind})" if behind else application.status


def show(session: Session, app: ApplicationName) -> None:
    """Show every field of an application."""
    document = find_application(session.client, app).document()
    session.output.show(
        document,
        lambda: session.output.table(
            ["Field", "Value"],
            [
                [key, str(value)]
                for key, value in document.items()
                if value not in (None, "", [], {}) and key != "settings"
            ],
            "",
        ),
    )


def change(
    session: Session,
    app: ApplicationName,
    assignments: Annotated[list[str], typer.Argument(metavar="FIELD=VALUE...")],
) -> None:
    """Change fields, by the API's names or those of `app create`; `null` unsets one."""
    application = find_application(session.client, app)
    changes = parse_changes(assignments, application.document())
    if changes.get("private_key_uuid"):
        changes["private_key_uuid"] = find_key(session.client, str(changes["private_key_uuid"])).uuid
    if isinstance(names := changes.get("server_uuids"), list):
        changes["server_uuids"] = [find_server(session.client, name).uuid for name in names]
    if changes.get("edge_server_uuid"):
        changes["edge_server_uuid"] = find_server(session.client, str(changes["edge_server_uuid"])).uuid
    changed = session.client.update_application(application.uuid, changes)
    session.output.show(
        changed.document(),
        lambda: session.output.say(
            f"Changed {', '.join(changes)} of {changed.name}. Deploy to make it take effect."
        ),
    )
