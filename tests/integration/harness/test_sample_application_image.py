"""The sample application serves from a real container, and its image is built once."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import docker
import pytest
from docker.models.containers import Container

from tests.harness.http_connection import Target
from tests.harness.images import DEBIAN, PYTHON, BaseImages, ensure_sample_application_image
from tests.harness.load import LoadGenerator
from tests.harness.waiting import eventually
from tests.harness.websocket_session import WebSocketSession


@pytest.fixture
def container(engine: docker.DockerClient, sample_application_image: str) -> Iterator[Container]:
    """A running container of version `v1`, removed after the test."""
    name = f"seaway-test-{uuid.uuid4().hex[:12]}"
    container = engine.containers.create(sample_application_image, name=name)
    try:
        container.start()
        yield container
    finally:
        container.remove(force=True, v=True)


def address_of(container: Container) -> tuple[str, int]:
    """Where the application listens, on the engine's own network."""
    container.reload()
    return container.attrs["NetworkSettings"]["IPAddress"], 3000


async def test_a_container_serves_a_load_without_a_failure_and_ends_in_order(container: Container) -> None:
    await eventually(lambda: b"listens on" in container.logs(), 30)
    address = address_of(container)
    async with WebSocketSession(Target.of("http://sample.example.test", address)) as session:
        await session.echo("hello")
    load = LoadGenerator(
        "http://sample.example.test",
        address=address,
        slow_every_seconds=0.5,
        slow_seconds=1,
        websocket_seconds=1,
    )
    async with load:
        await eventually(lambda: load.succeeded >= 200 and load.report().slow_succeeded >= 2, 30)

    load.report().assert_no_failures(minimum_requests=200)
    assert [seen.version for seen in load.report().versions] == ["v1"]
    container.stop(timeout=10)
    container.reload()
    assert container.attrs["State"]["ExitCode"] == 0


def test_a_version_differs_from_another_in_its_last_layer_alone(
    engine: docker.DockerClient, sample_application_image: str, base_images: BaseImages
) -> None:
    other = ensure_sample_application_image(engine, "v2")

    layers, other_layers = (
        engine.images.get(tag).attrs["RootFS"]["Layers"] for tag in (sample_application_image, other)
    )
    assert layers[:-1] == other_layers[:-1]
    assert layers[-1] != other_layers[-1]
    assert base_images == BaseImages(debian=DEBIAN, python=PYTHON)


def test_an_image_is_built_once(engine: docker.DockerClient, sample_application_image: str) -> None:
    before = engine.images.get(sample_application_image).attrs["Metadata"]["LastTagTime"]

    assert ensure_sample_application_image(engine) == sample_application_image
    assert engine.images.get(sample_application_image).attrs["Metadata"]["LastTagTime"] == before
