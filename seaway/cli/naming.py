"""Finds what a person names: an application by name or uuid, a project, an environment, a server."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from domain.errors import InvalidInput, NotFound
from domain.identifiers import is_identifier

if TYPE_CHECKING:
    from seaway.cli.answers import Application, PrivateKey, Project, Registry, Server
    from seaway.cli.client import SeawayClient


class Named(Protocol):
    """Something with a name and a uuid."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    @property
    def uuid(self) -> str:
        """What it is called for good."""
        ...


Thing = TypeVar("Thing", bound=Named)


def find_application(client: SeawayClient, name: str) -> Application:
    """The application of that name or uuid.

    Raises NotFound with similar names, InvalidInput with all candidates when several have the name.
    """
    if is_identifier(name):
        try:
            return client.application(name)
        except NotFound:
            pass  # a name may look like a uuid
    return one_named("application", name, client.applications())


def find_project(client: SeawayClient, name: str) -> Project:
    """The project of that name or uuid. Raises as `find_application`."""
    return one_named("project", name, client.projects())


def find_key(client: SeawayClient, name: str) -> PrivateKey:
    """The private key of that name or uuid. Raises as `find_application`."""
    return one_named("private key", name, client.keys())


def find_registry(client: SeawayClient, name: str) -> Registry:
    """The login of that name, host or uuid. Raises as `find_application`."""
    registries = client.registries()
    by_host = [registry for registry in registries if registry.host == name.lower()]
    return by_host[0] if len(by_host) == 1 else one_named("registry", name, registries)


def find_server(client: SeawayClient, name: str | None, *, said: str = "with --server") -> Server:
    """The server of that name, address or uuid; without a name the only one, or else the local one.

    `said` is how the command is told a name. Raises as `find_application`.
    """
    servers = client.servers()
    if name is not None:
        by_address = [server for server in servers if server.ip == name]
        return by_address[0] if len(by_address) == 1 else one_named("server", name, servers)
    if len(servers) == 1:
        return servers[0]
    if not servers:
        raise NotFound("Your team has no server yet. `seaway server add ADDRESS` adds one.")
    local = [server for server in servers if server.is_coolify_host]
    if len(local) == 1:
        return local[0]
    raise InvalidInput(f"There are several servers. Say which {said}: {_listed(servers)}.", field="server")


def find_uuid(client: SeawayClient, name: str) -> str:
    """The uuid of the application, server, key or registry of that name; a uuid as it is.

    That may be of something that is gone. Raises as `find_application`.
    """
    if is_identifier(name):
        return name
    things: list[Named] = [
        *client.applications(),
        *client.servers(),
        *client.keys(),
        *client.registries(),
    ]
    return one_named("resource", name, things).uuid


def one_named(kind: str, name: str, things: Sequence[Thing]) -> Thing:
    """The one thing with that uuid or name; a name in other letter case counts if it is the only one."""
    matches = (
        [thing for thing in things if thing.uuid == name]
        or [thing for thing in things if thing.name == name]
        or [thing for thing in things if thing.name.casefold() == name.casefold()]
    )
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise InvalidInput(
            f"There are {len(matches)} {kind}s named '{name}'. Name one by its uuid.",
            detail="\n".join(f"  {describe(thing)}" for thing in matches),
        )
    similar = difflib.get_close_matches(name, [thing.name for thing in things], n=3)
    hint = f" Did you mean {' or '.join(repr(one) for one in similar)}?" if similar else ""
    raise NotFound(f"There is no {kind} '{name}'.{hint}")


def describe(thing: Named) -> str:
    """One line that tells a candidate from the others."""
    facts = [
        getattr(thing, attribute, None)
        for attribute in ("status", "source", "fqdn", "ip", "fingerprint", "host")
    ]
    return "  ".join([thing.uuid, thing.name, *(str(fact) for fact in facts if fact)])


def _listed(things: Sequence[Named]) -> str:
    return ", ".join(f"{thing.name} ({thing.uuid})" for thing in things)
