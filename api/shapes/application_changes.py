"""Fields that were written, applied to a configuration and shown again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.shapes.application_fields import FIELDS, ApplicationField
from domain.configuration import ApplicationConfiguration, HealthCheckKind
from domain.errors import InvalidInput
from domain.release_policies import check_min_available


def change_configuration(
    configuration: ApplicationConfiguration, earlier: Mapping[str, Any], written: Mapping[str, Any]
) -> tuple[ApplicationConfiguration, dict[str, Any]]:
    """The configuration with the fields of `written`, and the spellings to keep of these and `earlier`.

    Names that are no fields are passed over. Raises InvalidInput that names every wrong field.
    """
    written = _with_health_kind(configuration, earlier, written)
    configuration = _apply(configuration, written)
    _check_whole(configuration)
    spelled = {**earlier, **{name: value for name, value in written.items() if name in FIELDS}}
    return configuration, {
        name: value for name, value in spelled.items() if FIELDS[name].show(configuration) != value
    }


def show_fields(
    configuration: ApplicationConfiguration, written: Mapping[str, Any], *, with_secrets: bool
) -> dict[str, Any]:
    """Every field, in its writer's spelling as long as that still means what is configured."""
    return {
        name: written[name]
        if name in written and _still_means(field, configuration, written[name], with_secrets)
        else field.show(configuration)
        for name, field in FIELDS.items()
    }


def _apply(configuration: ApplicationConfiguration, written: Mapping[str, Any]) -> ApplicationConfiguration:
    problems: dict[str, list[str]] = {}
    for name, field in FIELDS.items():
        if name in written:
            try:
                configuration = field.apply(configuration, written[name])
            except InvalidInput as error:
                problems[name] = [error.message]
    if problems:
        raise InvalidInput("; ".join(messages[0] for messages in problems.values()), fields=problems)
    return configuration


def _with_health_kind(
    configuration: ApplicationConfiguration, earlier: Mapping[str, Any], written: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Switching probes off and on again must not forget what they were."""
    name = "health_check_type"
    if "health_check_enabled" not in written or name in written:
        return written
    is_off = configuration.health.kind is HealthCheckKind.NONE
    known = earlier.get(name) if is_off else None
    return {**written, name: known or FIELDS[name].show(configuration)}


def _check_whole(configuration: ApplicationConfiguration) -> None:
    """What is wrong only together. Raises InvalidInput."""
    runtime, health = configuration.runtime, configuration.health
    limits = runtime.limits
    check_min_available(configuration.min_available, len(configuration.server_ids))
    if health.kind is HealthCheckKind.COMMAND and not health.command:
        raise InvalidInput("A health check by command needs a command.", field="health_check_command")
    if runtime.port_mappings and runtime.replicas > 1:
        raise InvalidInput(
            "Replicas cannot share a port of the host: remove ports_mappings or use one replica.",
            field="replicas",
        )
    if limits.memory_bytes and limits.memory_reservation_bytes > limits.memory_bytes:
        raise InvalidInput("More memory is reserved than allowed.", field="limits_memory_reservation")
    if limits.memory_swap_bytes > 0 and not 0 < limits.memory_bytes <= limits.memory_swap_bytes:
        raise InvalidInput(
            "This is memory and swap together: set limits_memory, and this to at least as much.",
            field="limits_memory_swap",
        )


def _still_means(
    field: ApplicationField, configuration: ApplicationConfiguration, spelled: Any, with_secrets: bool
) -> bool:
    if field.is_secret(spelled) and not with_secrets:
        return False
    try:
        return field.apply(configuration, spelled) == configuration
    except InvalidInput:
        return False
