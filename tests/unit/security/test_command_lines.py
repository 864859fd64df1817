"""Every user of a machine can list the arguments of every process: nothing secret may be among them."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from adapters.buildkit import BuildCommand, BuildKit, BuildRequest
from domain.registries import RegistryLogin

SECRET = "Bearer hunter2"
PROGRAM = """\
#!/bin/sh
for argument; do
  echo "argument $argument"
  case "$argument" in --iidfile=*) echo sha256:0 > "${argument#--iidfile=}" ;; esac
done
/usr/bin/env | /usr/bin/sed 's/^/variable /'
test ! -e "$DOCKER_CONFIG/config.json" || echo "logins $(/usr/bin/cat "$DOCKER_CONFIG/config.json")"
"""
READ_BY_CLIENTS = ("OTEL_EXPORTER_OTLP_HEADERS", "SSH_PRIVATE_KEY", "DOCKER_AUTH_CONFIG", "GIT_CONFIG_TOKEN")


async def built_with(tmp_path: Path, dockerfile: str, *logins: RegistryLogin, **arguments: str) -> list[str]:
    """What a build client is given, by a program that stands for one and prints it."""
    client = tmp_path / "client"
    client.write_text(PROGRAM)
    client.chmod(0o700)
    (tmp_path / "Dockerfile").write_text(dockerfile)
    request = BuildRequest(
        context=tmp_path,
        dockerfile=tmp_path / "Dockerfile",
        tag="seaway/test:1",
        target="",
        arguments=arguments,
        secrets={},
        labels={},
        use_cache=True,
        pull=False,
        logins=logins,
    )
    lines: list[str] = []
    await BuildKit(command=BuildCommand((str(client),))).build(
        request, engine_socket="/nowhere", on_line=lines.append, timeout=timedelta(seconds=20)
    )
    return lines


@pytest.mark.parametrize("name", READ_BY_CLIENTS)
async def test_a_variable_that_the_dockerfile_does_not_take_is_nowhere(tmp_path: Path, name: str) -> None:
    lines = await built_with(tmp_path, f"FROM scratch\n# {name}_2\n", **{name: SECRET, "COLOUR": "blue"})
    assert not [line for line in lines if SECRET in line]
    assert "variable COLOUR=blue" in lines
    assert "argument COLOUR" in lines


async def test_a_variable_that_the_dockerfile_takes_reaches_it(tmp_path: Path) -> None:
    lines = await built_with(
        tmp_path, "FROM scratch\nARG DOCKER_CHANNEL\n", DOCKER_CHANNEL="stable", BUILDKIT_INLINE_CACHE="1"
    )
    assert "argument DOCKER_CHANNEL=stable" in lines
    assert "argument BUILDKIT_INLINE_CACHE=1" in lines


async def test_any_other_value_travels_by_the_environment(tmp_path: Path) -> None:
    lines = await built_with(tmp_path, "FROM scratch\nARG API_TOKEN\n", API_TOKEN=SECRET)
    assert [line for line in lines if SECRET in line] == [f"variable API_TOKEN={SECRET}"]


async def test_the_client_has_no_login_that_the_build_does_not_need(tmp_path: Path) -> None:
    logins = [RegistryLogin(f"{one}.example.com", "robot", SecretStr(SECRET)) for one in ("a", "b", "c")]
    dockerfile = "ARG BASE\nFROM $BASE\nCOPY --from=a.example.com/tools /bin /bin\n"
    lines = await built_with(tmp_path, dockerfile, *logins, BASE="b.example.com/base:1")
    [told] = [line.removeprefix("logins ") for line in lines if line.startswith("logins ")]
    assert set(json.loads(told)["auths"]) == {"a.example.com", "b.example.com"}
