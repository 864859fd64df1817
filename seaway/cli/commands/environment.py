"""`seaway env`: environment variables. They take effect with the next deployment."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from domain.errors import InvalidInput, NotFound
from seaway.cli.commands.deployments import ApplicationName
from seaway.cli.commands.private_keys import read_text
from seaway.cli.naming import find_application
from seaway.cli.session import Session, command

MASK = "••••••••"
Assignments = Annotated[
    list[str],
    typer.Argument(metavar="K=V...", help="K alone takes its value from this command's own environment."),
]
Secret = Annotated[
    bool,
    typer.Option("--secret", help="A build secret: reaches the build by its session, never the image."),
]


def register(root: typer.Typer) -> None:
    """Adds the commands."""
    group = typer.Typer(help="Environment variables of applications.", no_args_is_help=True)
    command(group, "list")(list_variables)
    command(group, "set")(set_variables)
    command(group, "unset")(unset)
    command(group, "import")(import_file)
    root.add_typer(group, name="env")


def list_variables(
    session: Session,
    app: ApplicationName,
    show: Annotated[bool, typer.Option("--show", help="Show the values.")] = False,
) -> None:
    """List variables; their values only with --show."""
    application = find_application(session.client, app)
    variables = session.client.variables(application.uuid)
    hidden = {"value", "real_value"}
    session.output.show(
        [
            {name: value for name, value in one.document().items() if show or name not in hidden}
            for one in variables
        ],
        lambda: session.output.table(
            ["Key", "Value", "For"],
            [
                [one.key, (one.value if one.value is not None else MASK) if show else MASK, _purpose(one)]
                for one in variables
            ],
            f"{application.name} has no variables.",
        ),
    )


def set_variables(
    session: Session, app: ApplicationName, assignments: Assignments, secret: Secret = False
) -> None:
    """Set variables, all or none."""
    variables = parse_assignments(assignments, is_build_secret=secret)
    application = find_application(session.client, app)
    _write(session, application.uuid, application.name, variables)


def unset(
    session: Session,
    app: ApplicationName,
    keys: Annotated[list[str], typer.Argument(metavar="K...")],
) -> None:
    """Remove variables."""
    application = find_application(session.client, app)
    known = [one for one in session.client.variables(application.uuid) if not one.is_preview]
    missing = [key for key in keys if key not in {one.key for one in known}]
    if missing:
        raise NotFound(f"{application.name} has no variable {', '.join(missing)}. Nothing was removed.")
    for one in known:
        if one.key in keys:
            session.client.delete_variable(application.uuid, one.uuid)
    session.output.show(
        {"removed": keys},
        lambda: session.output.say(f"Removed {', '.join(keys)}. Deploy to make it take effect."),
    )


def import_file(
    session: Session,
    app: ApplicationName,
    file: Annotated[Path, typer.Argument(help="A .env file, or - for standard input.")],
    secret: Secret = False,
) -> None:
    """Set every variable of a .env file, all or none."""
    from domain.environment_files import parse_environment_file

    last_of_each_key = {parsed.key: parsed for parsed in parse_environment_file(read_text(file))}
    variables = [
        {**variable(parsed.key, parsed.value, is_build_secret=secret), "is_literal": parsed.is_literal}
        for parsed in last_of_each_key.values()
    ]
    if not variables:
        raise InvalidInput(f"{file} holds no variables.", field="file")
    application = find_application(session.client, app)
    _write(session, application.uuid, application.name, variables)


def parse_assignments(
    assignments: Sequence[str], *, is_build_secret: bool = False
) -> list[dict[str, object]]:
    """The variables of `K=V` and `K`. Raises InvalidInput before anything is sent."""
    variables = []
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            if key not in os.environ:
                raise InvalidInput(
                    f"Write {key}=VALUE, or set {key} in this command's own environment.", field="env"
                )
            value = os.environ[key]
        if not key:
            raise InvalidInput("A variable needs a name before the '='.", field="env")
        variables.append(variable(key, value, is_build_secret=is_build_secret))
    return variables


def variable(key: str, value: str, *, is_build_secret: bool) -> dict[str, object]:
    """One variable as the API takes it; a build secret is for the build alone."""
    fields: dict[str, object] = {"key": key, "value": value}
    if is_build_secret:
        fields |= {"is_build_secret": True, "is_buildtime": True, "is_runtime": False}
    if "\n" in value:
        fields["is_multiline"] = True
    return fields


def _write(session: Session, uuid: str, name: str, variables: list[dict[str, object]]) -> None:
    session.client.set_variables(uuid, variables)
    keys = [str(one["key"]) for one in variables]
    session.output.show(
        {"set": keys},
        lambda: session.output.say(f"Set {', '.join(keys)} of {name}. Deploy to make it take effect."),
    )


def _purpose(one: object) -> str:
    if getattr(one, "is_build_secret", False):
        return "build secret"
    return ", ".join(
        name for name, flag in (("build", "is_buildtime"), ("run", "is_runtime")) if getattr(one, flag, False)
    )
