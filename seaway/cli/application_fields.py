"""The short names that the command has for fields of an application, and how their values are read."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence

from domain.errors import InvalidInput

SHORT_NAMES: Mapping[str, str] = {
    "repo": "git_repository",
    "branch": "git_branch",
    "commit": "git_commit_sha",
    "image": "docker_registry_image_name",
    "push_to": "docker_registry_image_name",
    "push_tag": "docker_registry_image_tag",
    "build_pack": "build_pack",
    "domain": "domains",
    "port": "ports_exposes",
    "dockerfile": "dockerfile_location",
    "base_directory": "base_directory",
    "publish_directory": "publish_directory",
    "target_stage": "dockerfile_target_build",
    "spa": "is_spa",
    "build_server": "use_build_server",
    "health_path": "health_check_path",
    "replicas": "replicas",
    "memory": "limits_memory",
    "cpus": "limits_cpus",
    "release_command": "release_command",
    "pre_deploy": "pre_deployment_command",
    "post_deploy": "post_deployment_command",
    "deploy_key": "private_key_uuid",
    "server": "server_uuids",
    "edge": "edge_server_uuid",
    "min_available": "min_available",
    "placement": "swarm_placement_constraints",
}
_TRUE = ("true", "yes", "on", "1")
_FALSE = ("false", "no", "off", "0")
_UNSET = ("null", "none")


def long_name(name: str) -> str:
    """The API's name for a field, which may be given by its short name, with `-` or `_`."""
    spelled = name.strip().replace("-", "_")
    return SHORT_NAMES.get(spelled, spelled)


def parse_changes(assignments: Sequence[str], present: Mapping[str, object]) -> dict[str, object]:
    """The changes of `field=value` arguments; each value is read as what the field holds at present.

    `null` unsets a field, a repeated domain adds one. Raises InvalidInput for an unknown field.
    """
    changes: dict[str, object] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        field = long_name(name)
        if not equals:
            raise InvalidInput(f"Write {name}=VALUE.", field=name)
        if field not in present:
            raise InvalidInput(f"An application has no field '{name}'.{_similar(field, present)}", field=name)
        value = _value(field, text, present[field])
        if field == "domains" and field in changes:
            value = f"{changes[field]},{value}"
        changes[field] = value
    return changes


def _value(field: str, text: str, present: object) -> object:
    if text.lower() in _UNSET and not isinstance(present, bool):
        return None
    if field == "server_uuids":
        return [name.strip() for name in text.split(",") if name.strip()]
    if isinstance(present, bool):
        return _flag(field, text)
    if isinstance(present, int | float):
        return _number(field, text)
    if isinstance(present, list | dict):
        try:
            return json.loads(text)
        except ValueError as error:
            raise InvalidInput(f"{field} must be JSON: {error}.", field=field) from error
    return text


def _flag(field: str, text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise InvalidInput(f"{field} must be true or false.", field=field)


def _number(field: str, text: str) -> int | float:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    raise InvalidInput(f"{field} must be a number.", field=field)


def _similar(field: str, present: Mapping[str, object]) -> str:
    similar = difflib.get_close_matches(field, [*present, *SHORT_NAMES], n=3)
    return f" Did you mean {' or '.join(repr(one) for one in similar)}?" if similar else ""
