"""Applications, servers and registries in every state, for tests of the pages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from pydantic import SecretStr

from domain.configuration import (
    Domain,
    GitSource,
    ImageSource,
    RoutingOptions,
)
from domain.deployments import DeploymentStatus, OperationKind, StepName, StepStatus
from domain.servers import ServerStatus, ServerStepName
from store.columns import now
from store.tables import (
    Application,
    Deployment,
    PrivateKey,
    Registry,
    Server,
    Variable,
)
from tests.harness.pages_stand_ins import CONTAINER_LOG, new_host_key
from tests.harness.pages_world import STEPS, World


async def seed_harbour(world: World) -> dict[str, str]:
    """Applications and deployments in every state, and the addresses of their pages."""
    shop = await world.application(
        "Storefront",
        routing=RoutingOptions(
            domains=(Domain(host="shop.example.com"), Domain(host="shop.example.com", path="/api"))
        ),
    )
    await _history(world, shop)
    running = await _running(world, shop)
    failed = await _failing(world)
    docs = await world.application(
        "Handbook",
        source=GitSource(repository="https://git.example.com/harbour/handbook.git", branch="release/2026"),
    )
    served = await world.begin(
        await world.deployment(
            docs,
            commit="9f8e7d6c5b4a39281706f5e4d3c2b1a098765432",
            commit_message="Say what a mooring line is for",
        )
    )
    await world.serve(docs, served)
    queue = await world.application(
        "Metrics", source=ImageSource(reference="ghcr.io/harbour/metrics:2.4.1"), routing=RoutingOptions()
    )
    stopped = await world.begin(await world.deployment(queue, kind=OperationKind.DEPLOY))
    await world.serve(queue, stopped, "ghcr.io/harbour/metrics:2.4.1")
    await world.store.applications.set_state(queue.id, desired_state="stopped")
    world.runtime.states[queue.id] = "exited"
    await world.application("Newsletter")
    await _variables(world, shop)
    world.runtime.lines[shop.id] = [
        f"2026-11-23T12:{minute:02d}:07.112Z storefront-1 GET /basket/{minute * 37} 200 {minute % 9 + 3} ms"
        for minute in range(60)
    ]
    return {
        "application": f"/applications/{shop.id}",
        "empty_application": f"/applications/{(await _named(world, 'Newsletter')).id}",
        "running": f"/deployments/{running.id}",
        "failed": f"/deployments/{failed.id}",
        "finished": f"/deployments/{served.id}",
    }


async def seed_fleet(world: World) -> dict[str, str]:
    """Servers in every state, and the addresses of their pages."""
    pair = await world.context.key_pairs.generate()
    key = await world.store.servers.add_key(
        PrivateKey(
            team_id=world.owner.team_id,
            name="fleet",
            private_key_sealed="",
            public_key=pair.public_key,
            fingerprint=pair.fingerprint,
        ),
        pair.private_key,
    )
    known = {
        "private_key_id": key.id,
        "host_key": new_host_key().text,
        "system": "Debian GNU/Linux 12 (bookworm)",
        "architecture": "x86_64",
        "engine_version": "20.10.24",
        "processors": 4,
        "memory_bytes": 8 * 1024**3,
        "data_folder": "/var/lib/seaway/seaway",
    }
    await world.store.servers.set(world.server.id, engine_version="20.10.24", system="Debian GNU/Linux 12")
    added = {}
    for number, (name, status, values) in enumerate(
        (
            ("usable", ServerStatus.USABLE, {**known, "is_usable": True, "is_reachable": True}),
            (
                "setting-up",
                ServerStatus.PROVISIONING,
                {"private_key_id": key.id, "host_key": known["host_key"]},
            ),
            (
                "broken",
                ServerStatus.NOT_USABLE,
                {**known, "status_message": "Docker could not be installed."},
            ),
            ("changed", ServerStatus.HOST_KEY_CHANGED, {**known, "shown_host_key": new_host_key().text}),
            ("fresh", ServerStatus.NEW, {"private_key_id": key.id}),
        )
    ):
        server = Server(
            team_id=world.owner.team_id,
            name=name,
            address=f"192.0.2.{number + 10}",
            status=status,
            **values,  # type: ignore[arg-type]
        )
        added[name] = (await world.store.servers.create(server)).id
    await _steps(world, added)
    return {name: f"/servers/{server_id}" for name, server_id in added.items()}


async def _steps(world: World, added: Mapping[str, str]) -> None:
    names = list(ServerStepName)
    move = world.store.servers.move_step
    for server, done in (("usable", 7), ("setting-up", 3), ("broken", 3)):
        await world.store.servers.begin_steps(added[server])
        for step in names[:done]:
            await move(added[server], step, StepStatus.RUNNING, attempt=1)
            await move(added[server], step, StepStatus.SUCCEEDED, message=f"{step} is as it should be")
    await move(added["setting-up"], names[3], StepStatus.RUNNING, attempt=2)
    await move(added["broken"], names[3], StepStatus.RUNNING, attempt=1)
    await move(
        added["broken"],
        names[3],
        StepStatus.FAILED,
        message="apt-get could not install docker.io. Look at what it said.",
        detail="E: Unable to locate package docker.io\nE: Some packages could not be found",
    )


async def _named(world: World, name: str) -> Application:
    applications = await world.store.applications.list(team_id=world.owner.team_id)
    return next(one for one in applications if one.name == name)


async def _history(world: World, shop: Application) -> None:
    messages = (
        ("3c1f0e9d8b7a6958473625140f9e8d7c6b5a4938", "Basket keeps its content when the session moves"),
        ("a81b2c3d4e5f60718293a4b5c6d7e8f901234567", "Prices come from the catalogue service"),
        ("e07d6c5b4a392817065f4e3d2c1b0a9988776655", "Answer 404 and not 500 for an unknown article"),
    )
    for index, (commit, message) in enumerate(messages):
        asked = now() - timedelta(hours=50 - 20 * index)
        deployment = await world.begin(
            await world.deployment(
                shop, commit=commit, commit_message=message, branch="main", requested_at=asked
            )
        )
        for step in STEPS:
            await world.step(deployment, step, StepStatus.SUCCEEDED)
        await world.serve(shop, deployment)
        await world.store.deployments.update(
            deployment.id,
            started_at=asked,
            serving_at=asked + timedelta(seconds=14),
            finished_at=asked + timedelta(seconds=18.4 + index),
        )
    scaled = await world.begin(
        await world.deployment(
            shop, kind=OperationKind.SCALE, replicas=3, requested_at=now() - timedelta(hours=3)
        )
    )
    await world.store.deployments.update(
        scaled.id, status=DeploymentStatus.FINISHED, finished_at=now() + timedelta(seconds=2)
    )
    await world.deployment(
        shop,
        commit="77aa66bb55cc44dd33ee22ff11a0b9c8d7e6f504",
        commit_message="Try the new search index",
        status=DeploymentStatus.SUPERSEDED,
        requested_at=now() - timedelta(minutes=9),
    )


async def _running(world: World, shop: Application) -> Deployment:
    running = await world.begin(
        await world.deployment(
            shop,
            commit="5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a9b8c7d6e",
            commit_message="Search finds articles by their colour",
            branch="main",
            trigger="api",
        )
    )
    await world.step(running, StepName.RESOLVE_SOURCE, StepStatus.RUNNING)
    await world.write(
        running,
        StepName.RESOLVE_SOURCE,
        "Fetching https://git.example.com/harbour/storefront.git",
        "main is 5d4e3f2",
    )
    await world.step(running, StepName.RESOLVE_SOURCE, StepStatus.SUCCEEDED, "main is 5d4e3f2")
    await world.step(running, StepName.BUILD, StepStatus.RUNNING)
    stages = ("base", "dependencies", "assets", "app")
    await world.write(
        running,
        StepName.BUILD,
        "#1 [internal] load build definition from Dockerfile",
        "#1 transferring dockerfile: 1.12kB done",
        "#1 DONE 0.0s",
        *(
            f"#{number + 2} [{stage} {part}/4] RUN ./build {stage} --part {part}"
            for number, (stage, part) in enumerate((stage, part) for stage in stages for part in range(1, 5))
        ),
        "#19 3.412 Compiled 1,204 modules; the largest is vendor/charts with 412 kB, "
        "which is loaded only where a chart is shown",
    )
    return running


async def _failing(world: World) -> Deployment:
    invoices = await world.application("Invoices")
    first = await world.begin(
        await world.deployment(
            invoices, commit_message="First", commit="b" * 40, requested_at=now() - timedelta(days=3)
        )
    )
    await world.serve(invoices, first)
    failed = await world.begin(
        await world.deployment(
            invoices,
            commit="c0ffee112233445566778899aabbccddeeff0011",
            commit_message="Number invoices by year",
            branch="main",
        )
    )
    for step in STEPS[:2]:
        await world.step(failed, step, StepStatus.SUCCEEDED)
    await world.step(failed, StepName.START, StepStatus.COMPENSATED)
    await world.step(failed, StepName.HEALTH, StepStatus.RUNNING)
    await world.step(failed, StepName.HEALTH, StepStatus.FAILED, "GET /health answered 500 in 60 tries")
    await world.write(failed, StepName.BUILD, "#7 [4/4] COPY . .", "#7 DONE 0.1s", "exporting to image")
    await world.write(failed, StepName.START, "Container invoices-1 started")
    await world.write(
        failed, StepName.HEALTH, "try 1: GET /health answered 500", "try 2: GET /health answered 500"
    )
    await world.store.deployments.update(
        failed.id,
        status=DeploymentStatus.FAILED,
        finished_at=now(),
        error_code="release_unhealthy",
        error_message="The new version never became healthy: "
        "GET http://localhost:8080/health answered 500 in 60 tries. "
        "Look at the last lines of its container below, or change the path of the health check.",
        error_detail=CONTAINER_LOG,
    )
    return failed


async def _variables(world: World, shop: Application) -> None:
    given = (
        ("DATABASE_URL", "postgres://shop:s3cret@db/shop", {"comment": "Read and write"}),
        ("SESSION_KEY", "b8a1d0", {"is_buildtime": False}),
        ("NPM_TOKEN", "npm_abc", {"is_runtime": False, "is_build_secret": True}),
    )
    await world.store.applications.set_variables(
        shop.id,
        [
            (Variable(application_id=shop.id, key=key, value_sealed="", **flags), SecretStr(value))
            for key, value, flags in given
        ],
    )


async def seed_registry(world: World) -> str:
    """A login of the team; the address of its page."""
    registry = Registry(
        team_id=world.owner.team_id,
        name="Harbour",
        host="registry.harbour.example:5000",
        username="robot",
        password_sealed="",
    )
    added = await world.store.registries.add(registry, SecretStr("hunter2 of the registry"))
    return f"/registries/{added.id}"
