"""What engines say, word for word, and what people read instead."""

from __future__ import annotations

import pytest

from adapters.docker.refusals import pull_refusal, replica_refusal
from domain.errors import ImageNotFound, RegistryUnavailable

NO_HOST = 'Get "https://registry.example/v2/": dial tcp: lookup registry.example on 10.0.0.1:53: no such host'


@pytest.mark.parametrize(
    ("reason", "part"),
    [
        (
            (
                "driver failed programming external connectivity on endpoint x (1a): "
                "Bind for 0.0.0.0:8080 failed: port is already allocated"
            ),
            "port 0.0.0.0:8080 is already used by another container",
        ),
        (
            (
                "driver failed programming external connectivity on endpoint x (1a): "
                "Error starting userland proxy: listen tcp4 0.0.0.0:80: bind: address already in use"
            ),
            "port 0.0.0.0:80 is already in use",
        ),
        (
            'invalid mount config for type "bind": bind source path does not exist: /srv/x',
            "folder /srv/x does not exist",
        ),
        (
            (
                "failed to create shim task: OCI runtime create failed: runc create failed: unable to start "
                'container process: exec: "serve": executable file not found in $PATH: unknown'
            ),
            "command 'serve' does not exist in the image",
        ),
        (
            'unable to start container process: exec: "/x.sh": permission denied: unknown',
            "command '/x.sh' in the image is not executable",
        ),
        ("exec /bin/app: exec format error", "another processor architecture"),
        ("Minimum memory limit allowed is 6MB", "at least 6MB"),
        ("something new", "refuses the container shop-1: something new"),
    ],
)
def test_a_refusal_says_what_to_do_and_keeps_the_engines_words(reason: str, part: str):
    refusal = replica_refusal("shop-1", reason)
    assert part in refusal.message
    assert refusal.detail == reason


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (
            404,
            "pull access denied for nope, repository does not exist or may require 'docker login'",
            ImageNotFound,
        ),
        (404, "manifest for redis:nope not found: manifest unknown: manifest unknown", ImageNotFound),
        (500, "unauthorized: authentication required", ImageNotFound),
        (400, "invalid reference format: repository name must be lowercase", ImageNotFound),
        (500, "no matching manifest for linux/arm64/v8 in the manifest list entries", ImageNotFound),
        (500, NO_HOST, RegistryUnavailable),
        (404, NO_HOST, RegistryUnavailable),
        (500, "toomanyrequests: You have reached your pull rate limit.", RegistryUnavailable),
        (500, "received unexpected HTTP status: 503 Service Unavailable", RegistryUnavailable),
        (500, 'Get "https://r.example/v2/": net/http: TLS handshake timeout', RegistryUnavailable),
        (
            500,
            "Get https://r.example/v2/: context deadline exceeded (Client.Timeout exceeded)",
            RegistryUnavailable,
        ),
        (500, "a reason nobody has heard of", RegistryUnavailable),
    ],
)
def test_an_absent_image_is_told_from_a_registry_out_of_reach(
    status: int, reason: str, kind: type[Exception]
):
    assert type(pull_refusal("x", status, reason)) is kind
