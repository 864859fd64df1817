"""The container of the proxy."""

from __future__ import annotations

import base64
import hashlib
import json

from adapters.docker.specifications import container_request
from adapters.traefik.settings import TraefikSettings, api_routes, proxy_container


def test_the_api_is_published_on_loopback_only_and_the_rest_where_it_is_set():
    settings = TraefikSettings(http_port=8080, https_port=8443, api_port=8091, bind_address="192.0.2.1")
    request = container_request(proxy_container(settings, "traefik:v3", "/var/lib/seaway/dynamic", "7"))
    assert request["HostConfig"]["PortBindings"] == {
        "80/tcp": [{"HostIp": "192.0.2.1", "HostPort": "8080"}],
        "443/tcp": [{"HostIp": "192.0.2.1", "HostPort": "8443"}],
        "8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8091"}],
    }
    assert request["HostConfig"]["RestartPolicy"]["Name"] == "always"
    assert request["HostConfig"]["Mounts"][0]["ReadOnly"] is True


def test_nothing_is_reported_to_anybody_and_changes_are_taken_at_once():
    command = container_request(proxy_container(TraefikSettings(), "traefik:v3", "/d", "7"))["Cmd"]
    assert {
        "--global.sendAnonymousUsage=false",
        "--global.checkNewVersion=false",
        "--providers.providersThrottleDuration=0s",
        "--api.insecure=false",
        "--api.dashboard=false",
        "--accesslog=false",
    } <= set(command)


def test_a_folder_made_anew_or_another_port_means_another_container():
    first = proxy_container(TraefikSettings(), "traefik:v3", "/d", "7")
    assert proxy_container(TraefikSettings(), "traefik:v3", "/d", "7").hash == first.hash
    assert proxy_container(TraefikSettings(), "traefik:v3", "/d", "8").hash != first.hash
    assert proxy_container(TraefikSettings(http_port=81), "traefik:v3", "/d", "7").hash != first.hash


def test_the_file_for_the_api_holds_a_hash_and_not_the_token():
    content = api_routes("token-of-the-folder")
    (user,) = json.loads(content)["http"]["middlewares"]["seaway-api"]["basicAuth"]["users"]
    digest = base64.b64encode(hashlib.sha1(b"token-of-the-folder").digest()).decode()
    assert user == f"seaway:{{SHA}}{digest}"
    assert "token-of-the-folder" not in content
    assert "{{" not in content
