"""What a look at a server makes of answers that do not come."""

from __future__ import annotations

from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from temporalio.testing import ActivityEnvironment

from activities.messages import ServerTask
from activities.server_checks import ServerCheckActivities
from domain.errors import DeadlineExceeded
from domain.servers import ServerStatus
from store.columns import now
from store.tables import Server


class Rows:
    """Stands for the table of servers, with one usable server."""

    def __init__(self) -> None:
        self.row = Server(team_id="t", name="east", status=ServerStatus.USABLE, is_usable=True)

    async def get(self, _server_id: str) -> Server:
        return self.row

    async def set(self, _server_id: str, **values: object) -> Server:
        self.row.sqlmodel_update(values)
        return self.row


class HalfOpenLink:
    """Stands for a link on which commands begin and never answer."""

    target = SimpleNamespace(address=SimpleNamespace(endpoint="east:22"))

    async def run(self, arguments: list[str], **_: object) -> None:
        raise DeadlineExceeded(f"{arguments[0]} on east:22 took longer than 20 s and was stopped.")


class OneServer:
    """Stands for the way to it."""

    async def link(self, _server_id: str) -> HalfOpenLink:
        return HalfOpenLink()


class LooksWell(ServerCheckActivities):
    """Finds nothing wrong."""

    async def _look(self, _server_id: str) -> tuple[str, str, None]:
        return "", "", None

    async def _keep_proxy(self, _server: Server) -> tuple[str, str]:
        return "", ""


async def nothing_left(_server_id: str) -> list[Any]:
    return []


@pytest.mark.parametrize("since", [None, now()], ids=["nothing given up", "something given up"])
async def test_a_usable_server_has_remains_as_long_as_something_that_was_given_up_is_not_settled(
    since: datetime | None,
) -> None:
    rows: Any = Rows()
    rows.row.unsettled_since = since
    store: Any = SimpleNamespace(servers=rows, deletions=SimpleNamespace(left_on=nothing_left))
    looks = LooksWell(store, cast(Any, None))

    condition = await ActivityEnvironment().run(looks.check, ServerTask(server_id="s"))

    assert condition.status is ServerStatus.USABLE
    assert condition.has_remains == (since is not None)


async def test_a_server_that_does_not_answer_a_command_is_unreachable_and_not_unfit() -> None:
    rows: Any = Rows()
    servers: Any = OneServer()
    store: Any = SimpleNamespace(servers=rows)
    checks = ServerCheckActivities(store, servers)

    condition = await ActivityEnvironment().run(checks.check, ServerTask(server_id="s"))

    assert condition.status is ServerStatus.UNREACHABLE
    assert rows.row.status_message == "The server east:22 did not answer within 20 s."
    assert (rows.row.is_reachable, rows.row.is_usable) == (False, False)
