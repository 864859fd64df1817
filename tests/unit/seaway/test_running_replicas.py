"""Which server a command finds its replica on, and what is said where none lets it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from adapters.docker.connection import EngineRefusal
from domain.errors import (
    AuthenticationRefused,
    EngineUnavailable,
    HostKeyChanged,
    NotFound,
    NotPossibleNow,
    SeawayError,
    ServerUnreachable,
)
from domain.replicas import REPLICA_LABEL
from seaway.running_replicas import running_replica

UNREACHABLE = ServerUnreachable("10.0.0.1 does not answer.")
REFUSAL = EngineRefusal(500, "no space left")
INSTALLED_ANEW = HostKeyChanged("10.0.0.1 shows another host key.", pinned="SHA256:a", shown="SHA256:b")
KEPT_OUT = AuthenticationRefused("10.0.0.1 does not let root in.")
REMOVED = NotFound("There is no such server.")


class Servers:
    """Each has running replicas of these numbers, or is in trouble, an engine only once it is asked."""

    def __init__(self, **servers: tuple[int, ...] | SeawayError) -> None:
        self._servers = servers

    async def parts(self, server_id: str) -> Any:
        found = self._servers[server_id]
        if isinstance(found, SeawayError) and not isinstance(found, EngineUnavailable):
            raise found

        async def list_containers(_: object) -> list[Any]:
            if isinstance(found, SeawayError):
                raise found
            return [
                SimpleNamespace(name=f"shop-{number}", labels={REPLICA_LABEL: str(number)}, running=True)
                for number in found
            ]

        return SimpleNamespace(id=server_id, engine=SimpleNamespace(list_containers=list_containers))


async def found(number: int | None = None, **servers: tuple[int, ...] | SeawayError) -> tuple[str, str]:
    of: Any = Servers(**servers)
    configuration: Any = SimpleNamespace(application_id="a")
    parts, name = await running_replica(of, configuration, tuple(servers), "shop", number=number, server="")
    return parts.id, name  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("last", "kind"),
    [
        (UNREACHABLE, ServerUnreachable),
        (EngineUnavailable("It is silent."), EngineUnavailable),
        (REFUSAL, EngineUnavailable),
        (INSTALLED_ANEW, ServerUnreachable),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, SeawayError) else "",
)
async def test_where_no_server_answers_the_last_ones_trouble_is_told(
    last: SeawayError, kind: type[SeawayError]
) -> None:
    with pytest.raises(SeawayError, match="No server of 'shop' answers") as caught:
        await found(first=UNREACHABLE, second=last)
    assert type(caught.value) is kind
    assert last.message in caught.value.message
    assert caught.value.detail == last.detail


@pytest.mark.parametrize(
    "trouble", [UNREACHABLE, REFUSAL, INSTALLED_ANEW, KEPT_OUT, REMOVED], ids=lambda one: type(one).__name__
)
async def test_a_server_in_trouble_is_passed_over_but_told_of_where_nothing_runs(
    trouble: SeawayError,
) -> None:
    assert await found(first=trouble, second=(1,)) == ("second", "shop-1")
    with pytest.raises(NotPossibleNow) as nothing:
        await found(first=trouble, second=())
    assert f"Not all of its servers answer: {trouble.message}" in nothing.value.message
    with pytest.raises(type(trouble)) as alone:
        await found(first=trouble)
    assert alone.value is trouble
