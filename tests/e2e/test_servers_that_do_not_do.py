"""Servers that cannot be used: each is told within a stated limit, with what is wrong, where, and what to do.

`docs/servers.md` states the limits.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import docker
import pytest

from adapters.ssh.keys import generate_key
from domain.servers import ServerStatus, ServerStepName
from tests.e2e.installation import Installation, installed
from tests.e2e.remote import add_key
from tests.harness.processes import refusing_port
from tests.harness.ssh_servers import SshServer, SshServers
from tests.harness.waiting import eventually

pytestmark = [pytest.mark.drill, pytest.mark.timeout(1200)]
AT_ONCE_SECONDS = 30.0
REFUSED_SECONDS = 60.0
SILENT_SECONDS = 120.0
# So that one that is late says by how much.
GRACE_SECONDS = 300.0
KEY = {"private_key_uuid": "right"}
HOME = "/home/deployer/.local"
FEDORA = 'NAME="Fedora Linux"\nID=fedora\nPRETTY_NAME="Fedora Linux 43"\n'
# What Docker 19.03 says; no such engine can be installed any more.
OLD_ENGINE = r"""
use IO::Socket::UNIX;
my %said = (
  version => '{"Version":"19.03.15","ApiVersion":"1.40","MinAPIVersion":"1.12","Arch":"amd64","Os":"linux"}',
  info => '{"OperatingSystem":"Debian","CgroupVersion":"1","DockerRootDir":"/var/lib/docker"}',
);
my $listening = IO::Socket::UNIX->new(Local => "/var/run/docker.sock", Listen => 20) or die;
print STDERR "listens\n";
while (my $asked = $listening->accept) {
  my $line = <$asked>;
  while (defined(my $header = <$asked>)) { last if $header =~ /^\r?$/ }
  my ($what) = $line =~ m{/(\w+)(?:\?\S*)? HTTP};
  my $body = $said{$what} || "OK";
  print $asked "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n",
    "Content-Length: ", length($body), "\r\n\r\n", $body;
  close $asked;
}
"""


@dataclass(frozen=True)
class Case:
    """What is added, and what its owner must be told. Both may name what the places know.

    Where a host key is given, the workflow is what reaches out first, else it is the request.
    """

    status: ServerStatus
    step: ServerStepName
    words: tuple[str, ...]
    limit_seconds: float = AT_ONCE_SECONDS
    fields: Mapping[str, Any] = field(default_factory=dict)


UNREACHABLE, NOT_USABLE = ServerStatus.UNREACHABLE, ServerStatus.NOT_USABLE
REACH, ENGINE = ServerStepName.REACH, ServerStepName.ENGINE
PREREQUISITES, ENGINE_VERSION = ServerStepName.PREREQUISITES, ServerStepName.ENGINE_VERSION
NOBODY = {
    "a closed port": ({"ip": "127.0.0.1", "port": "refusing"}, "connection refused. Check the port"),
    "a port that accepts and never answers": (
        {"ip": "127.0.0.1", "port": "silent"},
        "nobody could log in within 10 s. Check that it is an SSH server's port",
    ),
    "an IPv6 address that nobody has": ({"ip": "six"}, "{six}"),
    "a name that resolves to nothing": (
        {"ip": "nowhere.invalid"},
        "'nowhere.invalid' resolves to no address. Check it for typing errors",
    ),
}
CASES = {
    "a wrong key": Case(
        NOT_USABLE,
        REACH,
        ("{sound}:22 refuses the user 'maintainer'", "Add its public key"),
        fields={"ip": "sound", "user": "maintainer", "private_key_uuid": "wrong"},
    ),
    "a user that is refused": Case(
        NOT_USABLE,
        REACH,
        ("{sound}:2201 refuses the user 'nobody-there'", "choose another key or user"),
        fields={"ip": "sound", "user": "nobody-there", "port": 2201},
    ),
    "an engine that accepts and never answers": Case(
        NOT_USABLE,
        ENGINE,
        (
            "Docker on {hung}:22 accepts connections and does not answer within 10 s",
            "systemctl restart docker",
        ),
        SILENT_SECONDS,
        {"ip": "hung"},
    ),
    "no Docker, and no right to install it": Case(
        NOT_USABLE,
        PREREQUISITES,
        ("'deployer' is not root", "NOPASSWD"),
        fields={"ip": "bare", "user": "deployer"},
    ),
    "no Docker, on a system where nobody knows how to install it": Case(
        NOT_USABLE,
        ENGINE,
        ("this is Fedora Linux 43", "https://docs.docker.com/engine/install/"),
        fields={"ip": "bare", "port": 2201},
    ),
    "an engine that is too old": Case(
        NOT_USABLE,
        ENGINE_VERSION,
        ("The server has Docker 19.03.15", "20.10 or newer. Upgrade it"),
        fields={"ip": "old"},
    ),
    "an engine that is stopped, and no right to start it": Case(
        NOT_USABLE,
        ENGINE,
        ("{stopped}:22", "'deployer' cannot mend that"),
        fields={"ip": "stopped", "user": "deployer"},
    ),
    "a full disk": Case(
        NOT_USABLE,
        PREREQUISITES,
        ("Only 0.0 GiB are free in /home/deployer", "Free some space there"),
        fields={"ip": "sound", "user": "deployer", "port": 2202},
    ),
    "a read-only data folder": Case(
        NOT_USABLE,
        PREREQUISITES,
        ("/var/lib/seaway", "read-only. Mount it writable"),
        fields={"ip": "sound", "port": 2203},
    ),
}
for name, (fields, words) in NOBODY.items():
    limit = SILENT_SECONDS if "never answers" in name else REFUSED_SECONDS
    CASES[f"{name}, at first contact"] = Case(UNREACHABLE, REACH, (words,), AT_ONCE_SECONDS, fields)
    known = {**fields, "host_key": "known", "port": f"{fields['port']} too" if "port" in fields else 23}
    CASES[f"{name}, of a server that is known"] = Case(UNREACHABLE, REACH, (words,), limit, known)


@dataclass(frozen=True)
class Told:
    """What Seaway says of a server, and after how many seconds."""

    server: dict[str, Any]
    steps: list[dict[str, Any]]
    seconds: float


@dataclass
class Places:
    """Machines that each lack what their name says, and what words and fields of the cases stand for."""

    machines: dict[str, SshServer]
    known: dict[str, Any]

    def fields(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What is sent."""
        return {name: self.known.get(value, value) for name, value in {**KEY, **given}.items()}

    def words(self, text: str) -> str:
        """What is to be read."""
        return text.format(**{name: value for name, value in self.known.items() if f"{{{name}}}" in text})


@pytest.fixture(scope="module")
async def places(
    engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Places]:
    """All of them are up."""
    with (
        SshServers(engine, tmp_path_factory.mktemp("lacking")) as servers,
        socket.create_server(("127.0.0.1", 0), backlog=50) as silent,
        socket.create_server(("127.0.0.1", 0), backlog=50) as silent_too,
    ):
        machines = {
            name: await asyncio.to_thread(servers.add, name, docker=name in ("sound", "hung", "stopped"))
            for name in ("sound", "hung", "stopped", "bare", "old")
        }
        await asyncio.to_thread(take_away, machines)
        six = await asyncio.to_thread(lambda: servers.ipv6_network and servers.ipv6_address())
        known = {
            "right": servers.private_key,
            "wrong": generate_key().private_key.get_secret_value(),
            "silent": silent.getsockname()[1],
            "silent too": silent_too.getsockname()[1],
            "refusing": refusing_port(),
            "refusing too": refusing_port(),
            "six": f"[{six}]",
            "known": machines["sound"].host_key,
            **{name: machine.host for name, machine in machines.items()},
        }
        yield Places(machines, known)


@pytest.fixture(scope="module")
async def telling(
    places: Places, engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, asyncio.Task[Told]]]:
    """All cases at the same time: a limit holds also while others wait for theirs."""
    async with installed(tmp_path_factory.mktemp("seaway"), engine) as seaway:
        await seaway.start()
        for name in ("right", "wrong"):
            places.known[name] = await add_key(seaway, places.known[name])
        tasks = {
            name: asyncio.create_task(told(seaway, name, case, places.fields(case.fields)))
            for name, case in CASES.items()
        }
        yield tasks
        await asyncio.gather(*tasks.values(), return_exceptions=True)


async def told(seaway: Installation, name: str, case: Case, fields: dict[str, Any]) -> Told:
    """What is said of a server once nothing is tried any more."""
    began = time.monotonic()
    body = {"name": name, "instant_validate": True, **fields}
    uuid = (await seaway.ask("POST", "/servers", json=body))["uuid"]

    async def look() -> dict[str, Any] | None:
        server: dict[str, Any] = await seaway.ask("GET", f"/servers/{uuid}")
        return server if server["status"] not in ("new", "provisioning") else None

    server = await eventually(look, case.limit_seconds + GRACE_SECONDS, 0.5, f"what is wrong with {name}")
    seconds = time.monotonic() - began
    return Told(server, await seaway.ask("GET", f"/servers/{uuid}/steps"), seconds)


def take_away(machines: dict[str, SshServer]) -> None:
    """What each is to lack."""
    scripts = {
        "sound": f"""
            mkdir -p /var/lib/seaway && mount -t tmpfs -o ro,size=4g none /var/lib/seaway
            mkdir -p {HOME} && mount -t tmpfs -o size=1m none {HOME} && chown deployer {HOME}
            ! head -c 2M /dev/zero >{HOME}/filler""",
        "hung": "pkill -STOP -x dockerd",
        "bare": f"cd /usr/lib; printf %s '{FEDORA}' >os-release && cp --remove-destination os-release /etc/",
        "old": f"""
            cat >/tmp/old.pl <<'END'
            {OLD_ENGINE}
END
            setsid perl /tmp/old.pl >/tmp/said 2>&1 </dev/null &
            for _ in $(seq 100); do grep -q listens /tmp/said && exit; sleep 0.1; done; exit 1""",
    }
    for machine in machines.values():
        # One server cannot be added twice by the same address and port.
        assert machine.run("/usr/sbin/sshd", "-p", "2201", "-p", "2202", "-p", "2203")[0] == 0
    for name, script in scripts.items():
        code, output = machines[name].run("sh", "-ec", script)
        assert code == 0, output
    machines["stopped"].stop_engine()


@pytest.mark.parametrize("name", CASES)
async def test_what_is_wrong_with_a_server_is_told_within_its_limit(
    name: str, places: Places, telling: dict[str, asyncio.Task[Told]], record_property: Callable[..., None]
) -> None:
    case, said = CASES[name], await telling[name]
    record_property("told_after_s", round(said.seconds, 1))
    message = said.server["status_message"]
    assert (said.server["status"], said.server["is_usable"]) == (case.status, False), message
    for words in case.words:
        assert places.words(words) in message
    assert said.seconds <= case.limit_seconds

    # The timeline says the same, of one step; those before it are done, those after it were not begun.
    names = [step["name"] for step in said.steps]
    at = names.index(case.step)
    assert names == list(ServerStepName)
    assert (said.steps[at]["status"], said.steps[at]["message"]) == ("failed", message)
    assert {step["status"] for step in said.steps[:at]} <= {"succeeded", "skipped"}
    assert {step["status"] for step in said.steps[at + 1 :]} <= {"pending"}
