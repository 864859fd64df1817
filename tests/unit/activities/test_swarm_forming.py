"""Which Swarm a server begins or joins, and when nobody but a person can tell."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr

from activities.swarm_forming import advertised, take_part
from adapters.docker.swarm_forming import WayIntoSwarm
from domain.errors import NotPossibleNow, ServerUnreachable
from domain.swarm import SwarmMembership, SwarmRole
from store.tables import Server


class Engine:
    """An engine in the Swarm of that name, or in none."""

    def __init__(self, swarm: str = "", role: SwarmRole = SwarmRole.NONE, *, state: str = "") -> None:
        self.swarm_name, self.role = swarm, role
        self._state = state or ("active" if swarm else "inactive")
        self.done: list[tuple[str, ...]] = []

    async def is_free_of_swarms(self) -> bool:
        return self._state == "inactive"

    async def swarm(self) -> SwarmMembership:
        return SwarmMembership(self.role, "node" if self.swarm_name else "")

    async def form_swarm(self, address: str) -> None:
        self.done.append(("form", address))
        self.swarm_name, self.role = "new", SwarmRole.MANAGER

    async def way_into_swarm(self) -> WayIntoSwarm:
        if self.role is not SwarmRole.MANAGER:
            raise ServerUnreachable("It is gone.")
        return WayIntoSwarm(self.swarm_name, (f"{self.swarm_name}:2377",), SecretStr("SWMTKN-1-secret"))

    async def join_swarm(self, way: WayIntoSwarm, address: str) -> None:
        self.done.append(("join", way.swarm_id, *way.managers, address))
        self.swarm_name, self.role = way.swarm_id, SwarmRole.WORKER


def manager(name: str, team: str = "team", *, usable: bool = True) -> Server:
    address = f"{name}.example"
    return Server(id=name, team_id=team, name=name, address=address, is_swarm_manager=True, is_usable=usable)


async def taken(engine: Engine, others: dict[str, tuple[Server, Engine]] | None = None, **said: Any) -> str:
    """What is said of a server of ours, in a team with these managers."""
    server = Server(id="ours", team_id="team", name="ours", **{"address": "10.0.0.9", **said})
    rows = [server, *(row for row, _ in (others or {}).values())]
    engines = {"ours": engine} | {row.id: its for row, its in (others or {}).values()}

    async def listed(*, team_id: str) -> list[Server]:
        return [row for row in rows if row.team_id == team_id]

    async def parts(server_id: str) -> Any:
        return SimpleNamespace(engine=engines[server_id])

    store: Any = SimpleNamespace(servers=SimpleNamespace(list=listed))
    servers: Any = SimpleNamespace(parts=parts)
    return await take_part(store, servers, server)


async def test_a_manager_begins_a_swarm_where_there_is_none_and_a_worker_joins_it() -> None:
    first = Engine()
    assert await taken(first, is_swarm_manager=True) == ", manager of a Swarm, which it has begun"
    assert first.done == [("form", "10.0.0.9")]
    second = Engine()
    said = await taken(second, {"boss": (manager("boss"), first)}, is_swarm_worker=True)
    assert said == ", worker of a Swarm, that of boss, which it has joined"
    assert second.done == [("join", "new", "new:2377", "10.0.0.9")]


@pytest.mark.parametrize("role", [SwarmRole.MANAGER, SwarmRole.WORKER])
async def test_an_engine_that_is_in_a_swarm_stays_as_it_is(role: SwarmRole) -> None:
    engine = Engine("theirs", role)
    assert await taken(engine, is_swarm_worker=True) == f", {role} of a Swarm"
    assert await taken(engine) == f", {role} of a Swarm"
    assert engine.done == []


async def test_a_server_of_which_no_part_is_said_is_left_alone() -> None:
    engine = Engine()
    assert await taken(engine, {"boss": (manager("boss"), Engine("a", SwarmRole.MANAGER))}) == ""
    assert engine.done == []


@pytest.mark.parametrize("state", ["locked", "pending", "error"])
async def test_an_engine_that_cannot_take_part_in_its_swarm_now_is_put_into_no_other(state: str) -> None:
    for part in ("is_swarm_manager", "is_swarm_worker"):
        engine = Engine(state=state)
        with pytest.raises(NotPossibleNow):
            await taken(engine, {"b": (manager("b"), Engine("a", SwarmRole.MANAGER))}, **{part: True})
        assert engine.done == []


async def test_a_second_manager_is_a_persons_decision() -> None:
    engine = Engine()
    with pytest.raises(NotPossibleNow) as refused:
        await taken(
            engine, {"boss": (manager("boss"), Engine("a", SwarmRole.MANAGER))}, is_swarm_manager=True
        )
    assert "boss manages one already" in refused.value.message
    assert engine.done == []


async def test_a_worker_joins_only_where_one_swarm_of_its_own_team_can_be_meant() -> None:
    a, b = Engine("a", SwarmRole.MANAGER), Engine("b", SwarmRole.MANAGER)
    same = {"one": (manager("one"), a), "two": (manager("two"), Engine("a", SwarmRole.MANAGER))}
    engine = Engine()
    await taken(engine, same, is_swarm_worker=True)
    assert engine.swarm_name == "a"

    others = {"one": (manager("one"), a), "two": (manager("two"), b)}
    with pytest.raises(NotPossibleNow) as several:
        await taken(Engine(), others, is_swarm_worker=True)
    assert "there are several, managed by one, two" in several.value.message

    absent = {
        "foreign": (manager("foreign", "another team"), a),
        "silent": (manager("silent"), Engine()),
        "unusable": (manager("unusable", usable=False), b),
    }
    with pytest.raises(NotPossibleNow) as none:
        await taken(Engine(), absent, is_swarm_worker=True)
    assert "Add the manager first" in none.value.message


@pytest.mark.parametrize(
    ("address", "told"),
    [("10.0.0.9", "10.0.0.9"), ("fd21::1", "fd21::1"), ("node.example", ""), ("localhost", "")],
)
def test_nodes_tell_each_other_addresses_and_no_names(address: str, told: str) -> None:
    assert advertised(address) == told
