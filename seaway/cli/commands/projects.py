"""`seaway project`: what applications are grouped by."""

from __future__ import annotations

from typing import Annotated

import typer

from seaway.cli.session import Session, command


def register(root: typer.Typer) -> None:
    """Adds the commands."""
    group = typer.Typer(help="Projects and their environments.", no_args_is_help=True)
    command(group, "list")(list_projects)
    command(group, "create")(create)
    root.add_typer(group, name="project")


def list_projects(session: Session) -> None:
    """List projects with their environments."""
    client = session.client
    found = [(project, client.environments(project.uuid)) for project in client.projects()]
    session.output.show(
        [
            {**project.document(), "environments": [environment.document() for environment in environments]}
            for project, environments in found
        ],
        lambda: session.output.table(
            ["Name", "Environments", "UUID"],
            [
                [project.name, ", ".join(environment.name for environment in environments), project.uuid]
                for project, environments in found
            ],
            "No project yet. `seaway project create NAME` makes one.",
        ),
    )


def create(
    session: Session,
    name: Annotated[str, typer.Argument()],
    description: Annotated[str, typer.Option()] = "",
) -> None:
    """Create a project with the environment `production`."""
    uuid = session.client.create_project(name, description)
    session.output.show(
        {"uuid": uuid, "name": name}, lambda: session.output.say(f"Created project {name} ({uuid}).")
    )
