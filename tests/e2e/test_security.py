"""What a running Seaway offers to its neighbours: other users, other machines, and its own applications."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.installation import Installation, children_of, command_of
from tests.harness.repositories import GitRepository

LISTENS = "0A"
# Tries each port of the host as a container sees it, and prints those that something answers on.
KNOCK = """
import socket, struct, sys
route = next(line.split() for line in open("/proc/net/route") if line.split()[1] == "00000000")
host = socket.inet_ntoa(struct.pack("<L", int(route[2], 16)))
for port in sys.argv[1:]:
    try:
        socket.create_connection((host, int(port)), 2).close()
        print(port)
    except OSError:
        pass
"""


def listening_addresses(port: int) -> set[str]:
    """Where something on this machine listens on the port (proc(5), /proc/net/tcp)."""
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, *_ = line.split()
        address, _, number = local.partition(":")
        if state == LISTENS and int(number, 16) == port:
            found.add(str(IPv4Address(bytes.fromhex(address)[::-1])))
    wide = {line.split()[1] for line in Path("/proc/net/tcp6").read_text().splitlines()[1:]}
    return found | (
        {"::"} if any(one.endswith(f":{port:04X}") and one.startswith("0" * 32) for one in wide) else set()
    )


async def test_all_but_the_proxy_listens_on_loopback_only(seaway: Installation) -> None:
    ports = seaway.ports
    for port in (ports.api, ports.proxy_api, ports.temporal, ports.temporal_ui):
        assert await asyncio.to_thread(listening_addresses, port) == {"127.0.0.1"}
    assert "0.0.0.0" in await asyncio.to_thread(listening_addresses, ports.http)


async def test_a_container_reaches_nothing_of_the_control_plane(seaway: Installation) -> None:
    ports = seaway.ports
    closed = [ports.api, ports.proxy_api, ports.temporal, ports.temporal_ui]
    command = ["python3", "-c", KNOCK, *map(str, closed), str(ports.http)]
    answer = await asyncio.to_thread(
        seaway.docker.containers.run, "seaway-test/python:1", command, network=seaway.instance, remove=True
    )
    assert answer.decode().split() == [str(ports.http)]


@pytest.mark.parametrize("credentials", [None, ("seaway", ""), ("seaway", "wrong")])
async def test_the_proxys_own_api_asks_for_its_token(
    seaway: Installation, credentials: tuple[str, str] | None
) -> None:
    async with httpx.AsyncClient(trust_env=False, auth=credentials) as client:
        answer = await client.get(f"http://127.0.0.1:{seaway.ports.proxy_api}/api/rawdata")
        assert answer.status_code == 401
        answer = await client.get(f"http://127.0.0.1:{seaway.ports.http}/api/rawdata")
        assert answer.status_code == 404


async def test_no_other_user_reads_what_it_keeps(seaway: Installation) -> None:
    kept = [path for path in seaway.data.rglob("*") if not path.is_symlink()]
    # What containers mount has a mode for them, in a folder that nobody else may enter.
    mounted = seaway.data / "applications"
    readable = [
        path
        for path in kept
        if path.exists() and not path.is_relative_to(mounted) and stat.S_IMODE(path.stat().st_mode) & 0o077
    ]
    assert readable == []
    assert not mounted.exists() or stat.S_IMODE(mounted.stat().st_mode) == 0o700
    assert stat.S_IMODE(seaway.data.stat().st_mode) == 0o700


async def test_its_processes_show_no_secret_in_their_arguments(seaway: Installation) -> None:
    secrets = [
        seaway.credentials["token"],
        seaway.credentials["password"],
        (seaway.data / "secret.keys").read_text().strip(),
        (seaway.data / "proxy" / "api-token").read_text().strip(),
    ]
    pids = [seaway.running.pid, *children_of(seaway.running.pid)]
    shown = " ".join(command_of(pid) for pid in pids)
    assert not [secret for secret in secrets if secret in shown]
    proxy = seaway.docker.containers.get(f"{seaway.instance}-proxy")
    assert not [secret for secret in secrets if secret in str(proxy.attrs)]


@pytest.mark.parametrize(
    ("settings", "link", "target"),
    [
        ({"base_directory": "/out"}, "out", "/"),
        ({"dockerfile_location": "/out"}, "out", "/etc/passwd"),
        ({"build_pack": "static", "publish_directory": "/out"}, "out", "/etc"),
    ],
)
async def test_a_link_in_a_repository_leads_nowhere_on_the_worker(
    seaway: Installation,
    new_application: Callable[..., Any],
    git_repository: GitRepository,
    settings: dict[str, str],
    link: str,
    target: str,
) -> None:
    (git_repository.work_tree / link).symlink_to(target)
    git_repository.commit({})
    application = await new_application()
    await application.change(**settings)
    failed = await application.fail()
    assert failed["error"]["code"] == "source_incomplete"
    assert "leads out of the repository" in failed["error"]["message"]
    assert "root:" not in str(failed)
