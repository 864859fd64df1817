"""How the Traefik container is made: its flags, ports and labels. No input or output here."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass

from adapters.docker.specifications import ContainerSpecification, MountSpecification
from domain.configuration import PortMapping, VolumeKind
from domain.replicas import MANAGED

DYNAMIC_FOLDER = "/etc/seaway/dynamic"
# No application can have this id, so none can overwrite the file.
API_FILE = "_seaway"
API_USER = "seaway"
API_PORT_INSIDE = 8080
OWNER_LABEL = "seaway.proxy-folder"
HTTP_PORT_INSIDE, HTTPS_PORT_INSIDE, EDGE_PORT_INSIDE = 80, 443, 8081
# Every router there asks for a token, so who the visitor is may be told by who got in.
EDGE_ENTRY_POINT = "edge"
# Traefik ends a request whose body takes longer than this; its own default of a minute breaks long uploads.
READ_TIMEOUT_SECONDS = 3600
GRACE_SECONDS = 30

FLAGS = (
    "--global.sendAnonymousUsage=false",
    "--global.checkNewVersion=false",
    "--log.level=WARN",
    "--accesslog=false",
    "--ping=true",
    "--api=true",
    "--api.dashboard=false",
    "--api.insecure=false",
    f"--providers.file.directory={DYNAMIC_FOLDER}",
    "--providers.file.watch=true",
    "--providers.providersThrottleDuration=0s",
    f"--entrypoints.traefik.address=:{API_PORT_INSIDE}",
    *(
        flag
        for name, port in (
            ("http", HTTP_PORT_INSIDE),
            ("https", HTTPS_PORT_INSIDE),
            (EDGE_ENTRY_POINT, EDGE_PORT_INSIDE),
        )
        for flag in (
            f"--entrypoints.{name}.address=:{port}",
            f"--entrypoints.{name}.transport.respondingTimeouts.readTimeout={READ_TIMEOUT_SECONDS}s",
            f"--entrypoints.{name}.transport.lifecycle.requestAcceptGraceTimeout=1s",
            f"--entrypoints.{name}.transport.lifecycle.graceTimeOut={GRACE_SECONDS}s",
        )
    ),
    f"--entrypoints.{EDGE_ENTRY_POINT}.forwardedHeaders.insecure=true",
    # A request on a connection that was open before its server died would be lost, and one that has to
    # connect first goes elsewhere. The server closes them, because many that the edge closed would use up
    # the edge's ports.
    f"--entrypoints.{EDGE_ENTRY_POINT}.transport.keepAliveMaxRequests=1",
)


@dataclass(frozen=True)
class TraefikSettings:
    """The parts of the proxy that differ from one installation to another.

    `api_port` is published on the server's loopback only, `edge_port` (None: not) for edges on other
    servers. `images` are tried in their order: one that is
    there, else one that can be pulled, else an image is made of the binary in this environment.
    """

    container_name: str = "seaway-proxy"
    network: str = "seaway"
    http_port: int = 80
    https_port: int = 443
    api_port: int = 8090
    bind_address: str = ""
    edge_port: int | None = None
    images: tuple[str, ...] = ("traefik:v3.7",)
    pull: bool = True


def proxy_container(
    settings: TraefikSettings, image: str, dynamic_folder: str, folder_identity: str
) -> ContainerSpecification:
    """The container; anything here that changes makes a new one."""
    published = [
        (settings.bind_address, settings.http_port, HTTP_PORT_INSIDE),
        (settings.bind_address, settings.https_port, HTTPS_PORT_INSIDE),
        ("127.0.0.1", settings.api_port, API_PORT_INSIDE),
    ]
    if settings.edge_port is not None:
        published.append((settings.bind_address, settings.edge_port, EDGE_PORT_INSIDE))
    return ContainerSpecification(
        name=settings.container_name,
        image=image,
        command=FLAGS,
        labels={
            **MANAGED,
            "seaway.role": "proxy",
            "seaway.folder": folder_identity,
            OWNER_LABEL: dynamic_folder,
        },
        network=settings.network,
        mounts=(MountSpecification(VolumeKind.BIND, dynamic_folder, DYNAMIC_FOLDER, read_only=True),),
        restart_policy="always",
        stop_grace_seconds=GRACE_SECONDS + 5,
        port_mappings=tuple(
            PortMapping(host_ip=address, host_port=outside, container_port=inside)
            for address, outside, inside in published
        ),
    )


def api_routes(token: str) -> str:
    """The file that opens Traefik's API to who knows the token; containers share the network with it.

    The hash is SHA-1, because a slow one would be computed for every poll; the token is random and long.
    """
    digest = base64.b64encode(hashlib.sha1(token.encode(), usedforsecurity=False).digest()).decode()
    content = {
        "http": {
            "routers": {
                "seaway-api": {
                    "rule": "PathPrefix(`/api`)",
                    "entryPoints": ["traefik"],
                    "service": "api@internal",
                    "middlewares": ["seaway-api"],
                }
            },
            "middlewares": {"seaway-api": {"basicAuth": {"users": [f"{API_USER}:{{SHA}}{digest}"]}}},
        }
    }
    return json.dumps(content, indent=1) + "\n"
