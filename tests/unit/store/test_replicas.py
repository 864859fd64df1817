"""How replicas stand, kept for each server."""

from __future__ import annotations

from domain.replica_states import ReplicaState, StandingReplica
from store.store import Store


def standing(name: str, state: ReplicaState) -> StandingReplica:
    return StandingReplica("shop", name, state)


async def test_what_stays_the_same_keeps_its_since_and_what_is_gone_goes(servers_store: Store) -> None:
    replicas = servers_store.replicas
    one, two = standing("one", ReplicaState.RUNNING), standing("two", ReplicaState.RUNNING)
    await replicas.write("far", [one, two])
    before = {row.replica: row.since for row in await replicas.on_server("far")}
    await replicas.write("far", [one, standing("two", ReplicaState.EXITED)])
    after = {row.replica: row for row in await replicas.on_server("far")}
    assert after["one"].since == before["one"]
    assert after["two"].since > before["two"]
    assert after["two"].state == ReplicaState.EXITED
    await replicas.write("far", [one])
    assert [row.replica for row in await replicas.on_server("far")] == ["one"]
    assert [row.server_id for row in await replicas.of_application("shop")] == ["far"]


async def test_a_server_that_is_gone_leaves_no_replicas(servers_store: Store) -> None:
    for server_id in ("far", "local", "nowhere"):
        await servers_store.replicas.write(server_id, [standing("one", ReplicaState.RUNNING)])
    await servers_store.servers.forget("far")
    assert await servers_store.replicas.on_server("far") == []
    await servers_store.replicas.forget_gone()
    assert [row.server_id for row in await servers_store.replicas.of_application("shop")] == ["local"]
