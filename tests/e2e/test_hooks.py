"""Commands around a release."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.e2e.applications import Application, statuses

DATA = {"type": "persistent", "name": "data", "mount_path": "/data"}


async def noted(application: Application) -> list[str]:
    """What the commands wrote into the volume that all versions share."""
    container: Any = (await application.containers())[0]
    _, output = await asyncio.to_thread(container.exec_run, ["cat", "/data/notes"])
    return str(output.decode()).splitlines()


async def test_the_release_command_runs_once_in_the_new_image_before_any_traffic(
    new_application, git_repository
):
    note = "echo release of $(cat /app/VERSION) for $SEAWAY_FQDN $GREETING >>/data/notes"
    application = await new_application(release_command=f"{note} && echo migrated", replicas=2)
    await application.mount(**DATA)
    await application.set_variables(GREETING="hello")
    first = await application.deploy()
    assert "migrated" in await application.log_of(first["uuid"])
    assert await noted(application) == [f"release of v1 for {application.host} hello"]
    names = [step["name"] for step in first["steps"]]
    assert names.index("release_command") < names.index("start")

    git_repository.release("v2")
    await application.change(release_command=f"{note} && echo cannot migrate >&2 && exit 7")
    async with application.load() as load:
        failed = await application.fail()
        assert await application.version() == "v1"
    load.report().assert_no_failures(5)
    assert failed["error"]["code"] == "command_failed"
    assert "release command" in failed["error"]["message"]
    assert "7" in failed["error"]["message"]
    assert "cannot migrate" in failed["error"]["detail"]
    assert statuses(failed)["start"] == "pending"
    assert len(await application.containers()) == 2
    assert len(await application.images()) == 1
    assert len(await noted(application)) == 2


async def test_commands_run_in_the_old_version_before_and_in_the_new_one_after_the_switch(
    new_application, git_repository
):
    application = await new_application(
        pre_deployment_command="echo before in $(cat /app/VERSION) >>/data/notes",
        post_deployment_command="echo after in $(cat /app/VERSION) >>/data/notes",
    )
    await application.mount(**DATA)
    await application.deploy()
    assert await noted(application) == ["after in v1"]
    git_repository.release("v2")
    await application.deploy()
    assert await noted(application) == ["after in v1", "before in v1", "after in v2"]

    git_repository.release("v3")
    await application.change(post_deployment_command="echo not well >&2; exit 3")
    async with application.load() as load:
        failed = await application.fail()
        assert await application.version() == "v2"
    report = load.report()
    report.assert_no_failures(5)
    assert failed["error"]["code"] == "command_failed"
    assert "not well" in failed["error"]["detail"]
    assert statuses(failed)["switch"] == "compensated"
    assert report.versions[0].version == "v2"
    assert len(await application.containers()) == 1

    await application.change(post_deployment_command=None, pre_deployment_command="exit 4", command_timeout=5)
    failed = await application.fail()
    assert "pre-deploy" in failed["error"]["message"]
    await application.change(pre_deployment_command="sleep 60", command_timeout=1)
    failed = await application.fail(30)
    assert failed["error"]["code"] == "deadline_exceeded", failed["error"]
    assert await application.version() == "v2"
