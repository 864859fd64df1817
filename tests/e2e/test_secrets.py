"""No secret shows up in clear in what Seaway keeps. The same is looked at again when all tests are over."""

from __future__ import annotations

from collections.abc import Callable

from tests.e2e.installation import Installation
from tests.e2e.leaks import assert_nothing_leaked
from tests.e2e.sites import BASE, SERVE


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

    assert await assert_nothing_leaked(seaway, used_secrets) >= 3
