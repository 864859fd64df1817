from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from domain.errors import DeploymentError, StartUpError
from seaway.demo.client import Credentials, SeawayClient, read_credentials

CREDENTIALS = Credentials(url="http://127.0.0.1:8000", token="the-token", email="a@b.c", password="secret")


def client(handler: Callable[[httpx.Request], httpx.Response]) -> SeawayClient:
    return SeawayClient(CREDENTIALS, transport=httpx.MockTransport(handler))


def test_credentials_are_read_with_what_else_they_say(tmp_path: Path) -> None:
    content = {"url": "http://x", "token": "t", "email": "e", "password": "p", "http_port": 8080, "new": 1}
    (tmp_path / "credentials.json").write_text(json.dumps(content))

    found = read_credentials(tmp_path)

    assert (found.url, found.http_port, found.temporal_url) == ("http://x", 8080, "http://127.0.0.1:8233")


@pytest.mark.parametrize("content", [None, "{", "[]", '{"url": "http://x"}'])
def test_missing_or_incomplete_credentials_are_named(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "credentials.json").write_text(content)

    with pytest.raises(StartUpError, match=r"credentials\.json"):
        read_credentials(tmp_path)


def test_the_application_is_created_in_a_new_project_on_the_first_server() -> None:
    requests: list[tuple[str, str, object]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content) if request.content else None
        requests.append((request.method, request.url.path, body))
        assert request.headers["Authorization"] == "Bearer the-token"
        answers: dict[tuple[str, str], object] = {
            ("GET", "/api/v1/projects"): [{"uuid": "other", "name": "Other"}],
            ("POST", "/api/v1/projects"): {"uuid": "project"},
            ("GET", "/api/v1/servers"): [{"uuid": "server", "name": "localhost"}],
            ("POST", "/api/v1/applications/public"): {"uuid": "application"},
        }
        return httpx.Response(200, json=answers[request.method, request.url.path])

    with client(answer) as api:
        created = api.create_application("file:///repository", "main", "http://example.localhost")

    assert created == "application"
    assert requests[-1][2] == {
        "project_uuid": "project",
        "server_uuid": "server",
        "environment_name": "production",
        "name": "example",
        "git_repository": "file:///repository",
        "git_branch": "main",
        "build_pack": "static",
        "domains": "http://example.localhost",
    }


@pytest.mark.parametrize("final", ["failed", "cancelled-by-user", "superseded"])
def test_a_deployment_that_does_not_finish_is_an_error_that_names_its_log(final: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/v1/deploy":
            return httpx.Response(200, json={"deployments": [{"deployment_uuid": "d1"}]})
        return httpx.Response(200, json={"status": final})

    heard: list[str] = []
    with client(answer) as api, pytest.raises(DeploymentError, match=f"{final}.*--build d1"):
        api.deploy("application", on_status=heard.append)

    assert heard == [final]


def test_each_status_of_a_deployment_is_told_once() -> None:
    statuses = iter(["queued", "in_progress", "in_progress", "finished"])

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/v1/deploy":
            return httpx.Response(200, json={"deployments": [{"deployment_uuid": "d1"}]})
        return httpx.Response(200, json={"status": next(statuses)})

    heard: list[str] = []
    with client(answer) as api:
        api.deploy("application", on_status=heard.append)

    assert heard == ["queued", "in_progress", "finished"]


def test_a_refusal_shows_the_message_of_the_api() -> None:
    with (
        client(lambda _: httpx.Response(409, json={"message": "The domain is taken."})) as api,
        pytest.raises(DeploymentError, match=r"409: The domain is taken\."),
    ):
        api.application()


def test_an_api_that_does_not_answer_is_not_healthy() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with client(refuse) as api:
        assert not api.is_healthy()
