"""The settings of an application as groups of fields; names are those of the API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from api.pages.views import FieldGroup, FieldView
from api.server_changes import takes_applications
from domain.configuration import ApplicationConfiguration, GitSource
from store.tables import Application, PrivateKey, Server

BUILD_PACKS = (("dockerfile", "Dockerfile"), ("static", "Static files"))
NO_KEY = ("", "None: the repository is public")
RESTART_POLICIES = tuple(
    (value, value.capitalize()) for value in ("unless-stopped", "always", "on-failure", "no")
)

GENERAL = FieldGroup(
    "general",
    "General",
    "What people call it.",
    (FieldView("name", "Name", required=True), FieldView("description", "Description")),
)
REPOSITORY = FieldGroup(
    "source",
    "Source",
    "The repository, and what of it is deployed.",
    (
        FieldView(
            "git_repository",
            "Repository",
            wide=True,
            is_code=True,
            hint="A password or token in the address is not shown; it stays as long as this is unchanged.",
        ),
        FieldView("git_branch", "Branch or tag", is_code=True),
        FieldView(
            "git_commit_sha", "Commit", is_code=True, placeholder="HEAD", hint="HEAD follows the branch."
        ),
        FieldView("private_key_uuid", "Deploy key", kind="select", is_optional=True),
        FieldView("is_git_submodules_enabled", "Fetch submodules", kind="check"),
        FieldView("is_git_lfs_enabled", "Fetch large files (LFS)", kind="check"),
    ),
)
IMAGE = FieldGroup(
    "source",
    "Source",
    "The image that is pulled.",
    (
        FieldView("docker_registry_image_name", "Image", is_code=True),
        FieldView("docker_registry_image_tag", "Tag or digest", is_code=True),
    ),
)
BUILD = FieldGroup(
    "build",
    "Build",
    "How the image comes to be. Paths are within the repository.",
    (
        FieldView("build_pack", "Build with", kind="select", options=BUILD_PACKS),
        FieldView("base_directory", "Base directory", is_code=True),
        FieldView("dockerfile_location", "Dockerfile", is_code=True),
        FieldView("dockerfile_target_build", "Target stage", is_code=True, placeholder="the last one"),
        FieldView("publish_directory", "Publish directory", is_code=True, hint="For static files."),
        FieldView(
            "is_spa",
            "Single-page application",
            kind="check",
            hint="Unknown paths answer with index.html.",
        ),
        FieldView("disable_build_cache", "Always build without the cache", kind="check"),
        FieldView(
            "use_build_server",
            "Build on a build server",
            kind="check",
            hint="One of the team's, if it has any; the image is sent from there.",
        ),
        FieldView(
            "docker_registry_image_name",
            "Push the image to",
            is_code=True,
            placeholder="registry.example.com/team/shop",
            hint="Its servers then pull it from there. Logins are kept under Registries.",
        ),
        FieldView(
            "docker_registry_image_tag",
            "Tag what serves as",
            is_code=True,
            placeholder="no tag of its own",
            hint="Moved to each version once it serves, for example latest.",
        ),
    ),
)
ADDRESS = FieldGroup(
    "address",
    "Addresses",
    "Where visitors find it, and the ports behind that.",
    (
        FieldView(
            "domains",
            "Domains",
            kind="text_area",
            wide=True,
            is_code=True,
            is_list=True,
            rows=3,
            placeholder="https://app.example.com",
            hint="One on each line. A path serves a part; a port is the container's.",
        ),
        FieldView("ports_exposes", "Ports it listens on", is_code=True, hint="Visitors reach the first."),
        FieldView(
            "ports_mappings",
            "Ports on the host",
            is_code=True,
            placeholder="8080:3000",
            hint="With one of these, the old version has to stop before the new one starts.",
        ),
        FieldView("custom_network_aliases", "Names within the network", is_code=True),
        FieldView("is_force_https_enabled", "Send visitors from HTTP to HTTPS", kind="check"),
        FieldView("is_stripprefix_enabled", "Hide the path from the application", kind="check"),
        FieldView("is_gzip_enabled", "Compress answers", kind="check"),
    ),
)
HEALTH = FieldGroup(
    "health",
    "Health check",
    "A new version gets visitors only after it has passed this.",
    (
        FieldView("health_check_enabled", "Check before switching", kind="check", wide=True),
        FieldView(
            "health_check_type",
            "Check by",
            kind="select",
            options=(("http", "HTTP request"), ("tcp", "TCP connection"), ("cmd", "Command")),
        ),
        FieldView("health_check_path", "Path", is_code=True),
        FieldView("health_check_port", "Port", is_code=True, is_optional=True, placeholder="the first one"),
        FieldView("health_check_return_code", "Expected status", kind="number", placeholder="200 to 399"),
        FieldView("health_check_response_text", "Expected text", is_code=True),
        FieldView("health_check_command", "Command", is_code=True),
        FieldView("health_check_interval", "Seconds between tries"),
        FieldView("health_check_timeout", "Seconds for one try"),
        FieldView("health_check_retries", "Failed tries before it is unhealthy", kind="number"),
        FieldView("health_check_start_period", "Seconds before the first try counts"),
    ),
)
RUNNING = FieldGroup(
    "running",
    "Running",
    "How its containers run and end.",
    (
        FieldView("replicas", "Replicas", kind="number"),
        FieldView(
            "swarm_placement_constraints",
            "Nodes of the Swarm",
            kind="text_area",
            wide=True,
            is_code=True,
            rows=2,
            is_optional=True,
            placeholder="node.role==worker",
            hint="Where replicas may run on a Docker Swarm: placement constraints, one on each line.",
        ),
        FieldView("restart_policy", "Restart policy", kind="select", options=RESTART_POLICIES),
        FieldView("start_command", "Command", is_code=True, placeholder="the image's own"),
        FieldView("entrypoint", "Entrypoint", is_code=True, placeholder="the image's own"),
        FieldView("stop_grace_period", "Seconds to end by itself", kind="number"),
        FieldView("drain_seconds", "Seconds for open requests", kind="number"),
        FieldView(
            "custom_labels",
            "Labels",
            kind="text_area",
            wide=True,
            is_code=True,
            rows=3,
            hint="key=value, one on each line.",
        ),
    ),
)
LIMITS = FieldGroup(
    "limits",
    "Limits",
    "For each replica; 0 is no limit.",
    (
        FieldView("limits_memory", "Memory", is_code=True, placeholder="512m"),
        FieldView("limits_cpus", "Processors", is_code=True, placeholder="1.5"),
        FieldView("limits_memory_reservation", "Memory reserved", is_code=True),
        FieldView("limits_memory_swap", "Memory and swap", is_code=True),
        FieldView("limits_cpuset", "Which processors", is_code=True, placeholder="0-3"),
        FieldView("limits_cpu_shares", "Processor shares", kind="number"),
    ),
)
COMMANDS = FieldGroup(
    "commands",
    "Commands",
    "What runs around a release. One that fails, fails the deployment.",
    (
        FieldView(
            "release_command",
            "Release command",
            wide=True,
            is_code=True,
            hint="Once, in the new image, before any visitor reaches it: migrations.",
        ),
        FieldView(
            "pre_deployment_command",
            "Before",
            is_code=True,
            hint="In a container of the version that serves.",
        ),
        FieldView("post_deployment_command", "After", is_code=True, hint="In the new version."),
        FieldView("command_timeout", "Seconds for each", kind="number"),
        FieldView(
            "docker_images_to_keep", "Images to keep", kind="number", hint="So many releases to go back to."
        ),
    ),
)


SERVER_FIELD = "server:"
NO_EDGE = ("", "None: each server serves its own visitors")


def server_group(
    servers: Sequence[Server],
    chosen: Sequence[str],
    edge_id: str | None,
    min_available: int | None,
    *,
    may_write: bool,
) -> FieldGroup:
    """A box for each server, how many must prove a release, and the edge.

    A server that is not usable can be left, but not chosen.
    """
    boxes = (
        FieldView(
            f"{SERVER_FIELD}{server.id}",
            server.name,
            kind="check",
            value="true" if server.id in chosen else "false",
            hint="" if takes_applications(server) else _why_not(server),
            disabled=not may_write or not (takes_applications(server) or server.id in chosen),
        )
        for server in servers
    )
    edges = ((one.id, one.name) for one in servers if takes_applications(one) or one.id == edge_id)
    edge = FieldView(
        "edge_server_uuid",
        "Edge",
        kind="select",
        value=edge_id or "",
        options=(NO_EDGE, *edges),
        is_optional=True,
        wide=True,
        hint="Takes all visitors and leads each to a server that is healthy. Point the domains there.",
        disabled=not may_write,
    )
    enough = FieldView(
        "min_available",
        "Servers that suffice",
        kind="number",
        value="" if min_available is None else str(min_available),
        placeholder="all",
        is_optional=True,
        wide=True,
        hint="So many have to prove a release; the others keep what they had until a later one gets there.",
        disabled=not may_write,
    )
    return FieldGroup(
        "servers",
        "Servers",
        "Where it lives. On several, a release is all or nothing, unless fewer suffice: they prove the new "
        "version before any switches.",
        (*boxes, enough, edge),
    )


def _why_not(server: Server) -> str:
    if server.is_build_server:
        return "Builds for others"
    return "Worker of a Docker Swarm" if server.is_swarm_worker else "Not usable now"


def chosen_servers(present: Sequence[str], changes: Mapping[str, Any]) -> list[str]:
    """The servers after the changes of boxes: those that stay in their order, then the new ones."""
    boxes = {
        name.removeprefix(SERVER_FIELD): value
        for name, value in changes.items()
        if name.startswith(SERVER_FIELD)
    }
    staying = [one for one in present if boxes.get(one, True)]
    return staying + [one for one, is_chosen in boxes.items() if is_chosen and one not in present]


def setting_groups(
    application: Application,
    configuration: ApplicationConfiguration,
    shown: Mapping[str, Any],
    keys: Sequence[PrivateKey],
    *,
    may_write: bool,
) -> tuple[FieldGroup, ...]:
    """The groups that this application has, with its values."""
    is_git = isinstance(configuration.source, GitSource)
    groups = (
        GENERAL,
        *((REPOSITORY, BUILD) if is_git else (IMAGE,)),
        ADDRESS,
        HEALTH,
        RUNNING,
        LIMITS,
        COMMANDS,
    )
    values = {
        **shown,
        "name": application.name,
        "description": application.description,
        "custom_labels": "\n".join(f"{key}={value}" for key, value in configuration.runtime.labels),
    }
    options = (NO_KEY, *((key.id, key.name) for key in keys))
    return tuple(
        replace(
            group,
            fields=tuple(
                replace(
                    field,
                    value=_text(field, values[field.name]),
                    options=options if field.name == "private_key_uuid" else field.options,
                    disabled=not may_write,
                )
                for field in group.fields
            ),
        )
        for group in groups
    )


def _text(field: FieldView, value: Any) -> str:
    if field.kind == "check":
        return "true" if value else "false"
    if value is None:
        return ""
    return "\n".join(str(value).split(",")) if field.is_list else str(value)
