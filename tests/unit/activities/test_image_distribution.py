"""An image that was pushed reaches a server also when the one that built it is lost."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.image_distribution import DistributionActivities
from activities.messages import DistributeImage, PlannedServer, StepOutcome, StepReference
from domain.deployments import StepName
from domain.errors import ImageNotFound, SeawayError, ServerUnreachable

PUSHED = "registry.example.com/shop@sha256:" + "a" * 64
LOST = ServerUnreachable("West does not answer.")


class Source:
    """The engine of the server that built."""

    def __init__(self, failure: SeawayError | None) -> None:
        self._failure = failure

    async def inspect_image(self, _reference: str) -> None:
        if self._failure:
            raise self._failure


class Target:
    """The engine of the server that needs the image."""

    def __init__(self) -> None:
        self.tagged: list[tuple[str, str]] = []

    async def pull(self, reference: str, *_: object) -> str:
        return reference

    async def tag(self, reference: str, name: str) -> None:
        self.tagged.append((reference, name))

    async def remove_image(self, _reference: str) -> bool:
        return True


async def distributed(target: Target, pushed: str, failure: SeawayError | None = LOST) -> StepOutcome:
    async def nothing(*_: object, **__: object) -> tuple[()]:
        return ()

    async def configuration(*_: object) -> SimpleNamespace:
        return SimpleNamespace(team_id="team", project_id="project")

    async def pushed_image(*_: object) -> str:
        return pushed

    async def parts(server_id: str) -> SimpleNamespace:
        return SimpleNamespace(engine=Source(failure) if server_id == "west" else target, swarm=None)

    store: Any = SimpleNamespace(
        deployments=SimpleNamespace(pushed_image=pushed_image, snapshot=configuration),
        registries=SimpleNamespace(logins=nothing),
        logs=SimpleNamespace(open=nothing, append=nothing),
    )
    servers: Any = SimpleNamespace(parts=parts)
    message = DistributeImage(
        step=StepReference(deployment_id="d" * 24, name=StepName.DISTRIBUTE, server="east"),
        application_id="a" * 24,
        server_id="east",
        source=PlannedServer(id="west", name="west"),
        image="seaway/shop:key",
        limit=timedelta(minutes=1),
    )
    outcome: StepOutcome = await ActivityEnvironment().run(
        DistributionActivities(store, servers).distribute, message
    )
    return outcome


async def test_what_a_lost_server_built_and_pushed_comes_from_the_registry() -> None:
    target = Target()
    outcome = await distributed(target, PUSHED)
    assert outcome.message == "from registry.example.com/shop"
    assert target.tagged == [(PUSHED, "seaway/shop:key")]


async def test_without_a_push_the_lost_server_is_waited_for() -> None:
    with pytest.raises(ServerUnreachable, match="West"):
        await distributed(Target(), "")


async def test_an_image_that_the_builder_lacks_is_no_reason_to_ask_the_registry() -> None:
    with pytest.raises(ImageNotFound):
        await distributed(Target(), PUSHED, failure=None)
