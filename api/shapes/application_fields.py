"""The fields of an application: how each is read into its configuration and shown from it.

Names and types are those of Coolify's API, and a few of ours. The table is the only place that
knows a field: request bodies, answers and the description of the API are made from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from api.shapes import application_values as values
from api.shapes.application_sources import (
    apply_build_pack,
    apply_image_name,
    apply_image_tag,
    apply_private_key,
    apply_repository,
    show_image_name,
    show_image_tag,
    show_repository,
)
from api.shapes.configuration_paths import read_path, replace_path
from domain.configuration import ApplicationConfiguration
from domain.errors import InvalidInput
from domain.git_references import validate_revision

Parse = Callable[[Any, str], Any]
Show = Callable[[Any], Any]


@dataclass(frozen=True)
class ApplicationField:
    """One field. `apply` raises InvalidInput; its message is reported under the field's own name."""

    name: str
    type: Any
    apply: Callable[[ApplicationConfiguration, Any], ApplicationConfiguration]
    show: Callable[[ApplicationConfiguration], Any]
    description: str = ""
    is_secret: Callable[[Any], bool] = lambda _written: False


def _at(
    path: str, name: str, kind: Any, parse: Parse | None = None, show: Show | None = None, about: str = ""
) -> ApplicationField:
    """A field that is one value of the configuration. A source of the other kind has no such value."""

    def apply(configuration: ApplicationConfiguration, given: Any) -> ApplicationConfiguration:
        return replace_path(configuration, path, parse(given, name) if parse else given)

    def shown(configuration: ApplicationConfiguration) -> Any:
        value = read_path(configuration, path)
        return show(value) if show and value is not None else value

    return ApplicationField(name, kind, apply, shown, about)


def _accepted(name: str, kind: Any, *harmless: Any) -> ApplicationField:
    """A field of Coolify that does nothing here yet: taken as long as it asks for nothing."""

    def apply(configuration: ApplicationConfiguration, given: Any) -> ApplicationConfiguration:
        if given not in harmless:
            raise InvalidInput("This is not supported yet.")
        return configuration

    return ApplicationField(name, kind, apply, lambda _configuration: harmless[0], "Not supported yet.")


Text = str
OptionalText = str | None
Percent = Annotated[int, Field(ge=0, le=100)]
Seconds = Annotated[float, Field(ge=0.1, le=3600)]
_path = values.base_path
_command = values.command

SOURCE_FIELDS = (
    ApplicationField(
        "git_repository",
        OptionalText,
        apply_repository,
        show_repository,
        "The whole address; credentials in it are shown only to those who may see secrets.",
        values.has_credentials,
    ),
    _at("source.branch", "git_branch", OptionalText, lambda given, _: validate_revision(given or "")),
    _at("source.commit", "git_commit_sha", OptionalText, lambda given, _: validate_revision(given or "")),
    _at("source.submodules", "is_git_submodules_enabled", bool | None, values.flag),
    _at("source.lfs", "is_git_lfs_enabled", bool | None, values.flag),
    ApplicationField(
        "private_key_uuid",
        OptionalText,
        apply_private_key,
        lambda configuration: read_path(configuration, "source.private_key_id"),
        "The deploy key.",
    ),
    ApplicationField(
        "docker_registry_image_name",
        OptionalText,
        apply_image_name,
        show_image_name,
        "The image to run; of a repository, where the built image is pushed, and other servers pull it from.",
    ),
    ApplicationField(
        "docker_registry_image_tag",
        OptionalText,
        apply_image_tag,
        show_image_tag,
        "Its tag or digest; of a repository, a tag that is moved to each version once that serves.",
    ),
)
BUILD_FIELDS = (
    ApplicationField(
        "build_pack",
        Text,
        apply_build_pack,
        lambda configuration: configuration.build.pack.value,
        "dockerfile, static or dockerimage.",
    ),
    _at("build.base_directory", "base_directory", Text, _path),
    _at("build.dockerfile_path", "dockerfile_location", Text, values.dockerfile_path),
    _at("build.target_stage", "dockerfile_target_build", OptionalText, values.stage),
    _at("build.publish_directory", "publish_directory", OptionalText, _path),
    _at("build.single_page", "is_spa", bool),
    _at("build.use_cache", "disable_build_cache", bool, lambda off, _: not off, lambda on: not on),
    _at(
        "build.use_build_server",
        "use_build_server",
        bool | None,
        values.flag,
        about="Build on one of the team's build servers, if it has any, and send the image from there.",
    ),
)
RUNTIME_FIELDS = (
    ApplicationField(
        "ports_exposes",
        Text,
        values.apply_exposed_ports,
        values.show_exposed_ports,
        "The ports that the application listens on; the first is the one that visitors reach.",
    ),
    _at("runtime.port_mappings", "ports_mappings", OptionalText, values.mappings, values.show_mappings),
    _at("runtime.network_aliases", "custom_network_aliases", OptionalText, values.aliases, ",".join),
    _at("runtime.command", "start_command", OptionalText, values.arguments, values.show_arguments),
    _at("runtime.entrypoint", "entrypoint", OptionalText, values.arguments, values.show_arguments),
    _at("runtime.labels", "custom_labels", OptionalText, values.labels, values.show_labels),
    ApplicationField(
        "swarm_replicas",
        Annotated[int, Field(ge=1, le=100)] | None,
        lambda configuration, given: (
            replace_path(configuration, "runtime.replicas", given) if given is not None else configuration
        ),
        lambda configuration: configuration.runtime.replicas,
        "The same as replicas, which wins where both are given.",
    ),
    _at("runtime.replicas", "replicas", Annotated[int, Field(ge=1, le=100)]),
    _at(
        "runtime.placement_constraints",
        "swarm_placement_constraints",
        OptionalText,
        values.constraints,
        values.show_constraints,
        "On a Docker Swarm, which nodes may run it: node.role==worker and the like, one a line.",
    ),
    _at("runtime.restart_policy", "restart_policy", Literal["no", "always", "unless-stopped", "on-failure"]),
    _at(
        "runtime.stop_grace_seconds",
        "stop_grace_period",
        Annotated[int, Field(ge=1, le=3600)] | None,
        lambda given, _: 30 if given is None else given,
        about="Seconds that a container has to end by itself.",
    ),
    _at(
        "runtime.drain_seconds",
        "drain_seconds",
        Annotated[int, Field(ge=0, le=3600)],
        about="Seconds that open requests and WebSockets to the old version may still take.",
    ),
)
LIMIT_FIELDS = (
    _at("runtime.limits.memory_bytes", "limits_memory", Text, values.memory, values.show_memory),
    _at("runtime.limits.memory_swap_bytes", "limits_memory_swap", Text, values.swap, values.show_memory),
    _at(
        "runtime.limits.memory_reservation_bytes",
        "limits_memory_reservation",
        Text,
        values.memory,
        values.show_memory,
    ),
    _at("runtime.limits.nano_cpus", "limits_cpus", Text, values.cpus, values.show_cpus),
    _at("runtime.limits.cpu_set", "limits_cpuset", OptionalText, values.cpu_set),
    _at(
        "runtime.limits.cpu_shares",
        "limits_cpu_shares",
        Annotated[int, Field(ge=0, le=262144)],
        show=lambda shares: shares or 1024,
    ),
)
HEALTH_FIELDS = (
    ApplicationField(
        "health_check_enabled",
        bool,
        values.apply_health_enabled,
        values.show_health_enabled,
        "On by default.",
    ),
    ApplicationField(
        "health_check_type",
        Literal["http", "tcp", "cmd"],
        values.apply_health_kind,
        values.show_health_kind,
        "tcp is ours.",
    ),
    _at("health.path", "health_check_path", Text, values.url_path),
    _at(
        "health.port",
        "health_check_port",
        OptionalText,
        values.optional_port,
        str,
        "Null means the first of ports_exposes.",
    ),
    _at("health.host", "health_check_host", OptionalText, values.host_header),
    _at("health.method", "health_check_method", Literal["GET", "HEAD", "POST", "OPTIONS"]),
    _at(
        "health.expected_status",
        "health_check_return_code",
        Annotated[int, Field(ge=100, le=599)] | None,
        about="Null accepts 200 to 399.",
    ),
    _at("health.scheme", "health_check_scheme", Literal["http", "https"]),
    _at("health.expected_text", "health_check_response_text", OptionalText, values.text),
    _at("health.command", "health_check_command", OptionalText, _command),
    _at("health.interval_seconds", "health_check_interval", Seconds, show=values.short_number),
    _at("health.timeout_seconds", "health_check_timeout", Seconds, show=values.short_number),
    _at("health.retries", "health_check_retries", Annotated[int, Field(ge=1, le=10000)]),
    _at(
        "health.start_period_seconds",
        "health_check_start_period",
        Annotated[float, Field(ge=0, le=3600)],
        show=values.short_number,
    ),
)
ROUTING_FIELDS = (
    _at(
        "routing.domains",
        "domains",
        OptionalText,
        values.domains,
        values.show_domains,
        "Comma-separated URLs; a port in one is the container's.",
    ),
    _at("routing.force_https", "is_force_https_enabled", bool),
    _at("routing.strip_prefix", "is_stripprefix_enabled", bool),
    _at("routing.compress", "is_gzip_enabled", bool),
    _at(
        "routing.edge_server_id",
        "edge_server_uuid",
        OptionalText,
        lambda given, _: given or None,
        about="The server whose proxy takes all visitors and spreads them over the servers that are healthy. "
        "Null: the proxy of each server serves its own visitors.",
    ),
    _accepted("redirect", OptionalText, "both", None),
)
HOOK_FIELDS = (
    _at("hooks.pre_deploy", "pre_deployment_command", OptionalText, _command),
    _at("hooks.post_deploy", "post_deployment_command", OptionalText, _command),
    _at(
        "hooks.release",
        "release_command",
        OptionalText,
        _command,
        about="Run once in the new image before any new replica takes traffic (migrations).",
    ),
    _at("hooks.timeout_seconds", "command_timeout", Annotated[int, Field(ge=1, le=86400)]),
    _at("images_to_keep", "docker_images_to_keep", Percent),
    _at(
        "min_available",
        "min_available",
        Annotated[int, Field(ge=1, le=50)] | None,
        about="So many of its servers have to prove a release healthy for it to go on; the others keep what "
        "they had. Null: all of them, or nothing is released.",
    ),
)
ACCEPTED_FIELDS = (
    _accepted("noindex_domains", list[str] | None, None, []),
    *(
        _accepted(name, OptionalText, None, "")
        for name in (
            "install_command",
            "build_command",
            "custom_docker_run_options",
            "post_deployment_command_container",
            "pre_deployment_command_container",
            "manual_webhook_secret_github",
            "manual_webhook_secret_gitlab",
            "manual_webhook_secret_bitbucket",
            "manual_webhook_secret_gitea",
            "dockerfile",
            "docker_compose_custom_start_command",
            "docker_compose_custom_build_command",
            "watch_paths",
            "gpu_count",
            "gpu_device_ids",
            "gpu_options",
            "custom_internal_name",
            "http_basic_auth_username",
            "http_basic_auth_password",
            "github_app_uuid",
            "destination_uuid",
        )
    ),
    *(
        _accepted(name, bool | None, False, None)
        for name in (
            "is_static",
            "is_preview_deployments_enabled",
            "is_pr_deployments_public_enabled",
            "use_build_secrets",
            "include_source_commit_in_build",
            "is_env_sorting_enabled",
            "is_raw_compose_deployment_enabled",
            "is_log_drain_enabled",
            "is_gpu_enabled",
            "is_consistent_container_name_enabled",
            "is_http_basic_auth_enabled",
            "connect_to_docker_network",
            "force_domain_override",
            "is_preserve_repository_enabled",
        )
    ),
    _accepted("is_auto_deploy_enabled", bool, False, True),
    _accepted("is_git_shallow_clone_enabled", bool, True, False),
    _accepted("inject_build_args_to_dockerfile", bool, True),
    _accepted("is_container_label_escape_enabled", bool, True),
    _accepted("limits_memory_swappiness", int, 60),
    _accepted("max_restart_count", int, 10),
    _accepted("static_image", OptionalText, None, "", "nginx:alpine"),
    _accepted("gpu_driver", OptionalText, None, "", "nvidia"),
    _accepted("preview_url_template", OptionalText, "{{pr_id}}.{{domain}}", None),
    _accepted(
        "docker_compose_location", OptionalText, None, "", "/docker-compose.yaml", "/docker-compose.yml"
    ),
    _accepted("docker_compose_domains", list[Any] | None, None, []),
    _accepted("tags", list[str] | None, None, []),
)

FIELDS: Mapping[str, ApplicationField] = {
    field.name: field
    for field in (
        *SOURCE_FIELDS,
        *BUILD_FIELDS,
        *RUNTIME_FIELDS,
        *LIMIT_FIELDS,
        *HEALTH_FIELDS,
        *ROUTING_FIELDS,
        *HOOK_FIELDS,
        *ACCEPTED_FIELDS,
    )
}
