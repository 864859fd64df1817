"""`seaway registry`: logins for image registries. Passwords come from a prompt, a file or a variable."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from domain.errors import InvalidInput, SeawayError
from seaway.cli.commands.private_keys import read_text
from seaway.cli.exit_codes import ExitCode
from seaway.cli.naming import find_project, find_registry, find_server
from seaway.cli.session import Session, command

if TYPE_CHECKING:
    from seaway.cli.answers import Registry, RegistryCheck

PASSWORD_IN_ENVIRONMENT = "SEAWAY_REGISTRY_PASSWORD"  # noqa: S105  the name of a variable
NAMED = typer.Argument(help="Name, host or uuid.")
FROM_SERVER = typer.Option("--server", help="The server to log in from; Seaway's own if left out.")


def register(root: typer.Typer) -> None:
    """Adds the commands."""
    group = typer.Typer(help="Logins for private image registries.", no_args_is_help=True)
    command(group, "list")(list_registries)
    command(group, "add")(add)
    command(group, "set")(change)
    command(group, "check")(check)
    command(group, "rm")(remove)
    root.add_typer(group, name="registry")


def list_registries(session: Session) -> None:
    """List logins for registries, without their passwords."""
    registries = session.client.registries()
    projects = {project.uuid: project.name for project in session.client.projects()}
    session.output.show(
        [registry.document() for registry in registries],
        lambda: session.output.table(
            ["Name", "Registry", "User", "For", "UUID"],
            [
                [
                    registry.name,
                    registry.host,
                    registry.username,
                    projects.get(registry.project_uuid or "", registry.project_uuid or "the team"),
                    registry.uuid,
                ]
                for registry in registries
            ],
            "No registry yet. `seaway registry add HOST --username USER` adds one.",
        ),
    )


def add(
    session: Session,
    host: Annotated[str, typer.Argument(help="Such as registry.example.com:5000 or docker.io.")],
    username: Annotated[str, typer.Option("--username", help="Who logs in.")],
    password_file: Annotated[
        Path | None,
        typer.Option(help="A file with the password, or - for standard input; else it is asked for."),
    ] = None,
    project: Annotated[
        str | None, typer.Option(help="For this project only; it wins over the team's.")
    ] = None,
    name: Annotated[str | None, typer.Option()] = None,
) -> int:
    """Keep a login for a registry, and try it. SEAWAY_REGISTRY_PASSWORD is taken if it is set."""
    fields: dict[str, object] = {"host": host, "username": username, "password": _password(password_file)}
    if project is not None:
        fields["project_uuid"] = find_project(session.client, project).uuid
    if name is not None:
        fields["name"] = name
    registry = session.client.create_registry(fields)
    return _try(session, registry, f"Stored the login {registry.name} ({registry.uuid}).")


def change(
    session: Session,
    registry: Annotated[str, NAMED],
    host: Annotated[str | None, typer.Option(help="Another registry, which needs its own password.")] = None,
    username: Annotated[str | None, typer.Option(help="Who logs in.")] = None,
    password: Annotated[
        bool,
        typer.Option(
            "--password", help=f"Another one: {PASSWORD_IN_ENVIRONMENT} if that is set, else it is asked for."
        ),
    ] = False,
    password_file: Annotated[
        Path | None, typer.Option(help="A file with another password, or - for standard input.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What to call it.")] = None,
) -> int:
    """Change a login, and try it where it is another. SEAWAY_REGISTRY_PASSWORD is taken only with
    --password, or with a --host that is another.
    """
    from domain.registries import checked_registry_host

    found = find_registry(session.client, registry)
    fields = {"host": host, "username": username, "name": name}
    given = {field: value for field, value in fields.items() if value is not None}
    is_elsewhere = host is not None and checked_registry_host(host) != found.host
    # The variable alone says nothing: it may have been set for the login of another registry.
    if password or password_file is not None or is_elsewhere:
        given["password"] = _password(password_file)
    if not given:
        raise InvalidInput("Say what to change; `seaway registry set --help` lists it.")
    changed = session.client.update_registry(found.uuid, given)
    said = f"Changed {', '.join(given)} of {changed.name}."
    if _is_another_login(given):
        return _try(session, changed, said)
    session.output.show(changed.document(), lambda: session.output.say(said))
    return ExitCode.SUCCESS


def check(
    session: Session,
    registry: Annotated[str, NAMED],
    server: Annotated[str | None, FROM_SERVER] = None,
) -> int:
    """Log in to a registry for real, and say what came of it; 0 only if that is fine."""
    found = find_registry(session.client, registry)
    server_uuid = None if server is None else find_server(session.client, server).uuid
    tried = session.client.check_registry(found.uuid, server_uuid)
    session.output.show(tried.document(), lambda: _say(session, "", tried))
    return _exit_code(tried)


def remove(session: Session, registry: Annotated[str, NAMED]) -> None:
    """Forget a login for a registry."""
    found = find_registry(session.client, registry)
    session.client.delete_registry(found.uuid)
    session.output.show(
        {"removed": found.uuid, "name": found.name},
        lambda: session.output.say(f"Removed registry {found.name}."),
    )


def _is_another_login(given: Collection[str]) -> bool:
    return not {"host", "username", "password"}.isdisjoint(given)


def _try(session: Session, registry: Registry, said: str) -> ExitCode:
    """Logs in, and says `said` and what came of it; success only where it is let in."""
    try:
        tried = session.client.check_registry(registry.uuid)
    except SeawayError:
        session.output.note(f"{said} It could not be tried:")
        raise
    document = {**registry.document(), "check": tried.document()}
    session.output.show(document, lambda: _say(session, said, tried))
    return _exit_code(tried)


def _password(file: Path | None) -> str:
    if file is not None:
        return read_text(file)
    given = os.environ.get(PASSWORD_IN_ENVIRONMENT, "")
    return given or str(typer.prompt("Password", hide_input=True, err=True))


def _say(session: Session, first: str, tried: RegistryCheck) -> None:
    for line in (first, tried.message, tried.detail):
        if line:
            session.output.say(line)


def _exit_code(tried: RegistryCheck) -> ExitCode:
    return ExitCode.SUCCESS if tried.is_fine else ExitCode.FAILED
