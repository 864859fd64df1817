"""How single values of an application are read and shown. Every reader raises InvalidInput."""

from __future__ import annotations

import base64
import binascii
import re
import shlex
from decimal import Decimal
from typing import Any

from api.shapes.configuration_paths import replace_path
from domain.configuration import (
    ApplicationConfiguration,
    Domain,
    HealthCheckKind,
    PortMapping,
)
from domain.domains import format_domain, parse_domains
from domain.errors import InvalidInput
from domain.git_references import parse_repository
from domain.names import (
    split_command,
    validate_base_path,
    validate_command,
    validate_label,
    validate_network_alias,
)
from domain.ports import format_port_mapping, parse_port, parse_port_mappings, parse_ports_exposes
from domain.sizes import format_memory, parse_cpus, parse_memory, parse_memory_swap, validate_cpu_set
from domain.swarm import parse_constraints

MAXIMUM_TEXT_LENGTH = 4096
_STAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
# What a request line and the header Host may hold (RFC 9112, section 3.2; RFC 9110, section 7.2).
_URL_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@/?%\[\]-]*")
_HOST_HEADER = re.compile(r"[A-Za-z0-9._-]{1,253}(?::[0-9]{1,5})?")


def has_credentials(repository: Any) -> bool:
    """Whether an address holds a password or a token; one that cannot be read counts as if it did."""
    try:
        return bool(repository) and parse_repository(repository).has_credentials
    except InvalidInput:
        return True


def flag(given: Any, field: str) -> bool:
    """Nothing means no."""
    return bool(given)


def text(given: Any, field: str) -> str:
    """Any text that can be compared with; nothing is empty."""
    given = given or ""
    if "\0" in given or len(given) > MAXIMUM_TEXT_LENGTH:
        raise InvalidInput(f"At most {MAXIMUM_TEXT_LENGTH} characters, and no null character.", field=field)
    return str(given)


def base_path(given: Any, field: str) -> str:
    """A path within the repository."""
    return validate_base_path(given or "/", field)


def dockerfile_path(given: Any, field: str) -> str:
    """A file within the repository."""
    path = validate_base_path(given or "/Dockerfile", field)
    if path == "/":
        raise InvalidInput("Name the Dockerfile, for example /Dockerfile.", field=field)
    return path


def stage(given: Any, field: str) -> str:
    """The name of a build stage."""
    given = (given or "").strip()
    if given and not _STAGE.fullmatch(given):
        raise InvalidInput("A stage is named by letters, digits, '_', '-' and '.'.", field=field)
    return str(given)


def command(given: Any, field: str) -> str:
    """A command for a shell."""
    return validate_command(given or "", field)


def arguments(given: Any, field: str) -> tuple[str, ...]:
    """A command as its arguments."""
    return split_command(given or "", field)


def show_arguments(parts: tuple[str, ...]) -> str:
    """The arguments as a shell would read them."""
    return shlex.join(parts)


def apply_exposed_ports(configuration: ApplicationConfiguration, given: Any) -> ApplicationConfiguration:
    """The first port is the application's main one."""
    ports = parse_ports_exposes(given)
    if not ports:
        raise InvalidInput("At least one port is needed, for example 3000.")
    return replace_path(replace_path(configuration, "runtime.port", ports[0]), "runtime.exposed_ports", ports)


def show_exposed_ports(configuration: ApplicationConfiguration) -> str:
    """All ports, the main one first."""
    runtime = configuration.runtime
    return ",".join(str(port) for port in dict.fromkeys((runtime.port, *runtime.exposed_ports)))


def mappings(given: Any, field: str) -> tuple[PortMapping, ...]:
    """Ports that are published on the host."""
    return parse_port_mappings(given or "")


def show_mappings(mapped: tuple[PortMapping, ...]) -> str | None:
    """As they are written, or null for none."""
    return ",".join(format_port_mapping(one) for one in mapped) or None


def aliases(given: Any, field: str) -> tuple[str, ...]:
    """Names for containers among each other."""
    parts = [part for part in (given or "").split(",") if part.strip()]
    return tuple(dict.fromkeys(validate_network_alias(part) for part in parts))


def labels(given: Any, field: str) -> tuple[tuple[str, str], ...]:
    """Lines of `key=value`, in base64 as Coolify has them, or plain."""
    found: dict[str, str] = {}
    for line in _plain_labels(given or "").splitlines():
        if line.strip():
            key, _, value = line.partition("=")
            found.update([validate_label(key, value)])
    return tuple(found.items())


def show_labels(labelled: tuple[tuple[str, str], ...]) -> str | None:
    """In base64, because Coolify's clients decode it; null for none."""
    lines = "\n".join(f"{key}={value}" for key, value in labelled)
    return base64.b64encode(lines.encode()).decode() if lines else None


def _plain_labels(given: str) -> str:
    try:
        decoded = base64.b64decode(given, validate=True).decode()
    except (binascii.Error, ValueError):
        return given
    return decoded if all(one.isprintable() or one in "\r\n\t" for one in decoded) else given


def constraints(given: Any, field: str) -> tuple[str, ...]:
    """Which nodes of a Swarm may run replicas."""
    return parse_constraints(given or "", field)


def show_constraints(rules: tuple[str, ...]) -> str | None:
    """One a line; null for none."""
    return "\n".join(rules) or None


def memory(given: Any, field: str) -> int:
    """Bytes."""
    return parse_memory(given, field=field)


def swap(given: Any, field: str) -> int:
    """Bytes of memory and swap together."""
    return parse_memory_swap(given, field=field)


def show_memory(size_bytes: int) -> str:
    """The shortest spelling."""
    return format_memory(size_bytes)


def cpus(given: Any, field: str) -> int:
    """Billionths of a processor."""
    return parse_cpus(given, field=field)


def show_cpus(nano_cpus: int) -> str:
    """A plain decimal number."""
    return f"{(Decimal(nano_cpus) / 1_000_000_000).normalize():f}"


def cpu_set(given: Any, field: str) -> str:
    """Which processors."""
    return validate_cpu_set(given or "", field=field)


def optional_port(given: Any, field: str) -> int | None:
    """A port, or none."""
    return parse_port(given, field=field) if given else None


def url_path(given: Any, field: str) -> str:
    """The path of a request, with its query if any."""
    if not _URL_PATH.fullmatch(given) or len(given) > MAXIMUM_TEXT_LENGTH:
        raise InvalidInput("The path starts with / and holds only characters of a URL.", field=field)
    return str(given)


def host_header(given: Any, field: str) -> str:
    """What a probe says in its header Host."""
    if given and not _HOST_HEADER.fullmatch(given):
        raise InvalidInput("That is not a host name.", field=field)
    return given or "localhost"


def short_number(number: float) -> float:
    """Whole numbers without a fraction, because many clients read integers there."""
    return int(number) if number == int(number) else number


def apply_health_kind(configuration: ApplicationConfiguration, given: Any) -> ApplicationConfiguration:
    """What a probe does, while probes are on; `complete` brings both fields together."""
    if configuration.health.kind is HealthCheckKind.NONE:
        return configuration
    return replace_path(configuration, "health.kind", HealthCheckKind(given))


def show_health_kind(configuration: ApplicationConfiguration) -> str:
    """What a probe does or, while probes are off, would do by default."""
    kind = configuration.health.kind
    return HealthCheckKind.HTTP.value if kind is HealthCheckKind.NONE else kind.value


def apply_health_enabled(configuration: ApplicationConfiguration, given: Any) -> ApplicationConfiguration:
    """Off, or on with the kind that is set, or HTTP."""
    kind = configuration.health.kind
    if not given:
        kind = HealthCheckKind.NONE
    elif kind is HealthCheckKind.NONE:
        kind = HealthCheckKind.HTTP
    return replace_path(configuration, "health.kind", kind)


def show_health_enabled(configuration: ApplicationConfiguration) -> bool:
    """Whether there are probes."""
    return configuration.health.kind is not HealthCheckKind.NONE


def domains(given: Any, field: str) -> tuple[Domain, ...]:
    """Public addresses."""
    return parse_domains(given or "")


def show_domains(addresses: tuple[Domain, ...]) -> str:
    """Comma-separated."""
    return ",".join(format_domain(one) for one in addresses)
