"""Going back to what ran before."""

from __future__ import annotations

import asyncio

from tests.e2e.applications import statuses


async def test_a_rollback_brings_back_the_image_and_the_configuration_of_then(
    seaway, new_application, git_repository
):
    application = await new_application()
    await application.set_variables(COLOUR="blue")
    first = await application.deploy()
    git_repository.release("v2")
    await application.set_variables(COLOUR="red", NEW="1")
    second = await application.deploy()
    assert (await application.environment())["COLOUR"] == "red"
    kept = await seaway.ask("GET", f"/applications/{application.uuid}/rollback-images")
    assert [(one["deployment_uuid"], one["is_current"]) for one in kept["images"]] == [
        (second["uuid"], True),
        (first["uuid"], False),
    ]
    async with application.load() as load:
        back = await application.operate("rollback", deployment_uuid=first["uuid"])
    load.report().assert_no_failures(5)
    assert statuses(back)["build"] == "skipped"
    assert (back["kind"], back["image"], back["commit"]) == ("rollback", first["image"], first["commit"])
    assert await application.version() == "v1"
    seen = await application.environment()
    assert (seen["COLOUR"], seen.get("NEW")) == ("blue", None)

    await application.operate("rollback", commit=second["commit"][:10])
    assert await application.version() == "v2"
    assert (await application.environment())["COLOUR"] == "red"

    status, problem = await seaway.refused(
        "POST", f"/applications/{application.uuid}/rollback", json={"commit": "0" * 40}
    )
    assert (status, problem["code"]) == (404, "not_found")


async def test_only_the_newest_images_stay_and_an_older_release_is_built_again(
    new_application, git_repository, engine
):
    application = await new_application(docker_images_to_keep=2)
    shown = []
    for version in ("v1", "v2", "v3"):
        git_repository.release(version)
        shown.append(await application.deploy())
    assert await application.images() == sorted([shown[1]["image"], shown[2]["image"]])

    rebuilt = await application.operate("rollback", deployment_uuid=shown[0]["uuid"])
    assert statuses(rebuilt)["build"] == "succeeded"
    assert await application.version() == "v1"
    assert len(await application.images()) == 2

    # Somebody cleaned up on the server: the release is made from its source once more.
    await asyncio.to_thread(engine.images.remove, shown[2]["image"], force=True)
    again = await application.operate("rollback", deployment_uuid=shown[2]["uuid"])
    assert statuses(again)["build"] == "succeeded"
    assert await application.version() == "v3"
