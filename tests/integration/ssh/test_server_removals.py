"""Servers that go, on real machines: what keeps them, and what is taken away."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from domain.errors import NotFound
from domain.servers import ServerStatus
from tests.harness.processes import refusing_port
from tests.harness.ssh_servers import SshServer
from tests.integration.ssh.provisioner import INSTANCE, Provisioner


async def test_a_server_that_never_answers_again_is_kept_until_somebody_asks_to_forget_it(
    provisioner: Provisioner, server: SshServer
) -> None:
    server_id = await provisioner.add(server, port=refusing_port(), data_folder=f"/var/lib/seaway/{INSTANCE}")
    kept = await provisioner.remove(server_id)
    assert kept.is_kept
    row = await provisioner.store.servers.get(server_id)
    assert (row.status, row.status_message) == (ServerStatus.UNREACHABLE, kept.message)
    assert "connection refused" in kept.message
    assert "ask to forget it" in kept.message
    assert not (await provisioner.remove(server_id, forget=True)).is_kept
    with pytest.raises(NotFound):
        await provisioner.store.servers.get(server_id)


async def test_a_machine_that_is_known_by_another_host_key_too_keeps_its_folder(
    provisioner: Provisioner, server: SshServer
) -> None:
    first = await provisioner.add(server)
    _, others = await provisioner.store.access.create_user(
        email="other@example.test", password=SecretStr("a long enough password"), team_name="Others"
    )
    provisioner.team_id = others.id
    second = await provisioner.add(server)
    for one in (first, second):
        await provisioner.make_folders(one)
    folder = (await provisioner.store.servers.get(first)).data_folder
    assert (await provisioner.store.servers.get(second)).data_folder == folder
    assert sorted(server.run("ls", f"{folder}/servers")[1].split()) == sorted([first, second])
    # As if the first one had been pinned by the machine's RSA key.
    await provisioner.store.servers.set(first, host_key="ssh-rsa AAAA")
    assert (await provisioner.remove(second)).kept_by == ()
    assert server.run("ls", f"{folder}/servers")[0] == 0
    await provisioner.store.servers.set(first, host_key=server.host_key)
    assert (await provisioner.remove(first)).kept_by == ()
    assert server.run("test", "-e", folder)[0] == 1


async def test_a_jump_host_is_not_removed(provisioner: Provisioner, server: SshServer) -> None:
    gate = await provisioner.add(server)
    behind = await provisioner.add(server, jump_server_id=gate)
    kept = await provisioner.remove(gate)
    assert kept.kept_by == ((await provisioner.store.servers.get(behind)).name,)
    assert (await provisioner.store.servers.get(gate)).status == ServerStatus.NOT_USABLE
    await provisioner.remove(behind)
    assert (await provisioner.remove(gate)).kept_by == ()
