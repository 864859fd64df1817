"""What goes over the wire: every activity as its signature says, and nothing secret in any message."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import sentinel

import pytest
from pydantic import BaseModel, SecretBytes, SecretStr
from temporalio import activity

from activities import messages as m
from activities.build_slots import BuildSlotActivities
from activities.builds import BuildActivities
from activities.clean_up import CleanUpActivities
from activities.commands import CommandActivities
from activities.edges import EdgeActivities
from activities.image_distribution import DistributionActivities
from activities.image_pushes import PushActivities
from activities.planning import PlanningActivities
from activities.provisioning import ProvisioningActivities
from activities.records import RecordActivities
from activities.replicas import ReplicaActivities
from activities.routes import RouteActivities
from activities.server_checks import ServerCheckActivities
from activities.server_clean_up import ServerCleanUpActivities
from activities.server_removal import ServerRemovalActivities
from activities.settling import SettlingActivities
from activities.sources import SourceActivities
from domain import configuration
from tests.workflow.fake_activities import SIGNATURES

MESSAGES = [value for value in vars(m).values() if isinstance(value, type) and issubclass(value, m.Message)]
REVEALING = ("secret", "password", "token", "private_key", "environment", "variables", "value")


def real_activities() -> list[Callable[..., Any]]:
    """All of Seaway's activities; what they are built with is never used here."""
    unused: Any = sentinel.unused
    groups: list[Any] = [
        PlanningActivities(unused),
        RecordActivities(unused),
        SourceActivities(unused, unused, unused, unused),
        BuildSlotActivities(unused, unused),
        BuildActivities(unused, unused, unused, unused, unused, unused),
        PushActivities(unused, unused),
        DistributionActivities(unused, unused),
        CommandActivities(unused, unused, unused),
        ReplicaActivities(unused, unused, unused),
        RouteActivities(unused, unused),
        EdgeActivities(unused, unused, unused),
        CleanUpActivities(unused, unused),
        ProvisioningActivities(unused, unused),
        ServerCheckActivities(unused, unused),
        ServerCleanUpActivities(unused, unused, build_cache_bytes=0),
        ServerRemovalActivities(unused, unused, instance="seaway"),
        SettlingActivities(unused, unused),
    ]
    return [function for group in groups for function in group.all()]


def test_the_activities_are_those_that_the_workflows_call_with_the_same_types() -> None:
    definitions = [activity._Definition.must_from_callable(function) for function in real_activities()]

    assert {definition.name: (definition.arg_types, definition.ret_type) for definition in definitions} == {
        signature.name: ([signature.takes], signature.answers) for signature in SIGNATURES
    }


def types_in(annotation: object, around: tuple[object, ...] = ()) -> Iterator[object]:
    """The annotation itself, what it is composed of, and the fields of models in it, which may nest."""
    yield annotation
    for part in typing.get_args(annotation):
        yield from types_in(part, around)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation not in around:
        for field in annotation.model_fields.values():
            yield from types_in(field.annotation, (*around, annotation))


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.__name__)
def test_no_message_can_carry_a_secret(message: type[m.Message]) -> None:
    found = set(types_in(message))

    assert found.isdisjoint({SecretStr, SecretBytes})
    assert not [
        one for one in found if getattr(one, "__module__", "") == configuration.__name__
    ]  # a configuration holds environment values
    models = [one for one in found if isinstance(one, type) and issubclass(one, BaseModel)]
    names = {name for model in models for name in model.model_fields}
    assert not [name for name in names if any(word in name for word in REVEALING)]
