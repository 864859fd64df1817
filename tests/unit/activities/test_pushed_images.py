"""An image that was pushed: pulled again, or done without where its registry has it no more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from pydantic import SecretStr
from temporalio.testing import ActivityEnvironment

from activities.errors import TRANSIENT_ATTEMPTS
from activities.pushed_images import pull_pushed
from domain.errors import ImageNotFound, RegistryRefused, RegistryUnavailable, SeawayError
from domain.registries import RegistryLogin

PUSHED = "registry.example.com:5000/shop@sha256:" + "a" * 64
IMAGE = "seaway/application:key"
LOGINS = tuple(
    RegistryLogin(host, "robot", SecretStr("password"))
    for host in ("registry.example.com", "registry.example.com:5000")
)


@dataclass
class Engine:
    """Keeps what it is asked to do."""

    failure: SeawayError | None = None
    done: list[tuple[str, ...]] = field(default_factory=list)

    async def pull(self, reference: str, on_line: Callable[[str], None], login: RegistryLogin | None) -> str:
        self.done.append(("pull", reference, login.host if login else ""))
        if self.failure:
            raise self.failure
        return reference

    async def tag(self, reference: str, name: str) -> None:
        self.done.append(("tag", reference, name))

    async def remove_image(self, reference: str) -> bool:
        self.done.append(("remove", reference))
        return True


async def pulled(engine: Any, lines: list[str], attempt: int = 1) -> bool:
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, attempt=attempt)
    answer: bool = await environment.run(pull_pushed, engine, PUSHED, IMAGE, lines.append, LOGINS)
    return answer


async def test_it_is_pulled_by_its_digest_with_its_registrys_login_and_keeps_only_our_name() -> None:
    engine = Engine()
    assert await pulled(engine, [])
    assert engine.done == [
        ("pull", PUSHED, "registry.example.com:5000"),
        ("tag", PUSHED, IMAGE),
        ("remove", PUSHED),
    ]


async def test_what_the_registry_has_no_more_is_done_without() -> None:
    lines: list[str] = []
    assert not await pulled(Engine(ImageNotFound("It is gone.")), lines)
    assert lines[-1] == "It is gone."


async def test_a_registry_out_of_reach_is_asked_again_and_then_done_without() -> None:
    engine, lines = Engine(RegistryUnavailable("It does not answer.")), list[str]()
    for attempt in range(1, TRANSIENT_ATTEMPTS):
        with pytest.raises(RegistryUnavailable):
            await pulled(engine, lines, attempt)
    assert not await pulled(engine, lines, TRANSIENT_ATTEMPTS)
    assert lines[-1].startswith("It does not answer.")


async def test_a_login_that_is_refused_is_never_done_without() -> None:
    with pytest.raises(RegistryRefused):
        await pulled(Engine(RegistryRefused("Wrong password.")), [], TRANSIENT_ATTEMPTS)
