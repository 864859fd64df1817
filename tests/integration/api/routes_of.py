"""Every route of the REST API, as the application itself knows it."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from api.application import PREFIX
from api.authentication import Ability, Require


@dataclass(frozen=True)
class KnownRoute:
    """One method on one path below the prefix; `ability` is None where no dependency asks for one."""

    method: str
    path: str
    ability: Ability | None

    @property
    def key(self) -> str:
        """How the tests name it."""
        return f"{self.method} {self.path}"


def routes_of(app: FastAPI) -> list[KnownRoute]:
    """All routes below the prefix."""
    found = []
    for context in iter_route_contexts(app.routes):
        if context.path is None or not context.path.startswith(PREFIX):
            continue
        required = [one.call for one in context.dependant.dependencies if isinstance(one.call, Require)]
        ability = required[0].ability if required else None
        found += [
            KnownRoute(method, context.path.removeprefix(PREFIX), ability)
            for method in sorted(context.methods or ())
        ]
    return found
