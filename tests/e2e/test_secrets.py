"""No secret that any of these tests used shows up in clear in what Seaway keeps. Runs last."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.e2e.installation import TRACEBACK, Installation
from tests.e2e.sites import BASE, SERVE

KEPT = ("seaway.db*", "temporal.db*", "*.log", "mirrors/**/*", "proxy/**/*", "credentials.json")


def scan(path: Path, needles: list[bytes]) -> set[bytes]:
    """Which of the values the file holds."""
    content = path.read_bytes()
    return {needle for needle in needles if needle in content}


async def test_no_secret_is_in_a_history_a_database_or_a_log(
    seaway: Installation,
    new_application,
    git_repository,
    used_secrets: list[str],
    secret_value: Callable[[], str],
):
    # Secrets of every kind in one more application, so that this test means something alone.
    git_repository.commit(
        {
            "Dockerfile": f"FROM {BASE}\nWORKDIR /www\nRUN echo ok >health\n"
            f"RUN --mount=type=secret,id=BUILD_AUTH cat /run/secrets/BUILD_AUTH\n{SERVE}"
        }
    )
    application = await new_application(release_command='echo "$API_KEY"', health_check_timeout=1)
    values = [secret_value() for _ in range(4)]
    await application.set_variables(API_KEY=values[0], DATABASE_PASSWORD=values[1], PLAIN=secret_value())
    await application.set_variables(build_secret=True, BUILD_AUTH=values[2])
    await application.mount(type="file", mount_path="/etc/app.ini", content=values[3])
    await application.deploy()
    await application.set_variables(GREETING="x")
    await application.change(release_command='echo "$API_KEY" >&2; exit 1')
    failed = await application.fail()
    assert values[0] not in str(failed)
    await seaway.command(
        "env", "set", application.name, "OTHER_TOKEN", environment={"OTHER_TOKEN": secret_value()}
    )

    client = await seaway.temporal()
    histories = 0
    needles = [value.encode() for value in used_secrets]
    token = seaway.credentials["token"].encode()
    async for workflow in client.list_workflows():
        handle = client.get_workflow_handle(workflow.id, run_id=workflow.run_id)
        history = "".join([str(event) async for event in handle.fetch_history_events()]).encode()
        assert not [one for one in [*needles, token] if one in history], workflow.id
        histories += 1
    assert histories >= 3

    files = [path for pattern in KEPT for path in seaway.data.glob(pattern) if path.is_file()] + [seaway.log]
    names = {path.name for path in files}
    assert {"seaway.db", "temporal.db", "seaway.log"} <= names
    for path in files:
        assert not scan(path, needles), path
        if path.name != "credentials.json":
            assert not scan(path, [token]), path
    assert not TRACEBACK.search(seaway.log.read_text()), seaway.log.read_text()[-5000:]
