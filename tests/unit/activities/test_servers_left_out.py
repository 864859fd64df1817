"""Which server has which release, once one was made without some of them."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

import pytest
from temporalio.testing import ActivityEnvironment

from activities import messages as m
from activities.clean_up import surplus_images
from activities.errors import TRANSIENT_ATTEMPTS
from activities.planning import PlanningActivities
from activities.records import RecordActivities
from activities.servers import Servers
from activities.serving import serving
from activities.sources import SourceActivities
from domain.configuration import Domain, RoutingOptions
from domain.deployments import DeploymentStatus, OperationKind, StepName, StepStatus
from domain.errors import DomainTaken, ServerUnreachable
from store.columns import now
from store.store import Store
from store.tables import Application, Deployment
from tests.unit.activities.test_images_of_several_servers import SERVERS, SURROUNDINGS, application_on

UNUSED = cast(Any, None)
LOCAL, FAR = SERVERS
NOTE = "Released without far (It is ill)."


def command_of(application: Application, name: str, kind: OperationKind = OperationKind.DEPLOY) -> m.Command:
    return m.Command(deployment_id=name, application_id=application.id, kind=kind)


async def planned(
    store: Store, application: Application, name: str, kind: OperationKind = OperationKind.DEPLOY
) -> m.ReleasePlan:
    begin = m.BeginDeployment(command=command_of(application, name, kind))
    return await ActivityEnvironment().run(PlanningActivities(store).begin, begin)


async def released(store: Store, application: Application, name: str, *, without: str = "") -> m.ReleasePlan:
    """A deployment that has finished, on all servers of the plan but one."""
    records, command = RecordActivities(store), command_of(application, name)
    plan = await planned(store, application, name)
    await store.deployments.update(name, image=f"seaway/{application.id}:{name}")
    for server in plan.servers:
        if server.id == without:
            plan = plan.without(server, plan.steps)
    await ActivityEnvironment().run(
        records.record_release, m.RecordRelease(command=command, serve=plan.serve)
    )
    finish = m.FinishDeployment(
        command=command, status=DeploymentStatus.FINISHED, note=NOTE if without else ""
    )
    await ActivityEnvironment().run(records.finish, finish)
    return plan


async def allow_one(store: Store, application: Application) -> None:
    def edit(_row: Any, configuration: Any, written: Any) -> Any:
        return configuration.model_copy(update={"min_available": 1}), written

    await store.applications.modify(application.id, team_id="team", edit=edit)


async def test_a_plan_requires_all_servers_unless_fewer_suffice(servers_store: Store) -> None:
    application = await application_on(servers_store, *SERVERS)
    assert (await planned(servers_store, application, "all")).required == 0
    await allow_one(servers_store, application)
    assert (await planned(servers_store, application, "one")).required == 1
    assert (await planned(servers_store, application, "stop", OperationKind.STOP)).required == 0


async def test_a_rollback_goes_by_how_many_suffice_now(servers_store: Store) -> None:
    application = await application_on(servers_store, *SERVERS)
    await released(servers_store, application, "old")
    await allow_one(servers_store, application)
    command = command_of(application, "back", OperationKind.ROLLBACK)
    begin = m.BeginDeployment(command=command.model_copy(update={"target_deployment_id": "old"}))
    plan = await ActivityEnvironment().run(PlanningActivities(servers_store).begin, begin)
    assert plan.required == 1


async def test_a_server_that_is_left_out_has_the_release_before(servers_store: Store) -> None:
    application = await application_on(servers_store, *SERVERS)
    await released(servers_store, application, "old")
    await released(servers_store, application, "new", without=FAR)

    served = await serving(servers_store, application.id)

    assert served is not None
    assert (served.release_id, served.servers) == ("new", (LOCAL,))
    older = served.on(FAR)
    assert older is not None
    assert (older.release_id, older.servers) == ("old", (FAR,))
    assert served.on("another") is None
    row = await servers_store.deployments.get("new")
    assert (row.note, row.error_code) == (NOTE, "")


async def test_a_server_to_be_left_that_is_out_of_reach_is_known_from_the_beginning(
    servers_store: Store,
) -> None:
    application = await application_on(servers_store, *SERVERS)
    await released(servers_store, application, "old")

    def leave(_row: Any, configuration: Any, written: Any) -> Any:
        return configuration.model_copy(update={"server_ids": (LOCAL,)}), written

    await servers_store.applications.modify(application.id, team_id="team", edit=leave)
    for is_reachable in (True, False):
        await servers_store.servers.set(FAR, is_reachable=is_reachable)
        plan = await planned(servers_store, application, f"new-{is_reachable}")
        assert [one.id for one in plan.left] == [FAR]
        assert plan.away == (() if is_reachable else (FAR,))


async def test_what_is_given_up_while_a_server_is_settled_is_settled_by_the_next_time(
    servers_store: Store,
) -> None:
    first = (await servers_store.servers.set(FAR, unsettled_since=now())).unsettled_since
    later = (await servers_store.servers.set(FAR, unsettled_since=now())).unsettled_since
    await servers_store.servers.settled(FAR, first)
    assert (await servers_store.servers.get(FAR)).unsettled_since == later
    await servers_store.servers.settled(FAR, later)
    assert (await servers_store.servers.get(FAR)).unsettled_since is None


async def test_the_release_after_brings_it_up_to_date(servers_store: Store) -> None:
    application = await application_on(servers_store, *SERVERS)
    await released(servers_store, application, "old")
    await released(servers_store, application, "new", without=FAR)

    plan = await released(servers_store, application, "newest")

    assert plan.served is not None
    assert plan.served.elsewhere != ()
    served = await serving(servers_store, application.id)
    assert served is not None
    assert (served.servers, served.elsewhere) == (SERVERS, ())


async def test_a_server_that_never_had_anything_has_nothing(servers_store: Store) -> None:
    application = await application_on(servers_store, *SERVERS)
    await released(servers_store, application, "first", without=FAR)
    served = await serving(servers_store, application.id)
    assert served is not None
    assert (served.servers, served.on(FAR)) == ((LOCAL,), None)


@pytest.mark.parametrize(
    ("keep", "without", "staying"),
    [
        (0, "", ["new"]),
        (0, FAR, ["older", "new"]),
        (2, "", ["old", "new"]),
        (2, FAR, ["older", "old", "new"]),
    ],
)
async def test_the_image_of_a_server_that_is_behind_is_kept_besides_the_others(
    servers_store: Store, keep: int, without: str, staying: list[str]
) -> None:
    store = servers_store
    application = await application_on(store, *SERVERS)

    def keep_some(_row: Any, configuration: Any, written: Any) -> Any:
        return configuration.model_copy(update={"images_to_keep": keep}), written

    await store.applications.modify(application.id, team_id="team", edit=keep_some)
    names = ("oldest", "older", "old", "new")
    for name in names:
        await released(store, application, name, without=without if name in ("old", "new") else "")
    present = [f"seaway/{application.id}:{name}" for name in names]
    surplus = await surplus_images(store, application.id, present)
    assert [one.rpartition(":")[2] for one in present if one not in surplus] == staying


async def test_a_stop_leaves_no_server_with_a_release(servers_store: Store) -> None:
    store = servers_store
    application = await application_on(store, *SERVERS)
    await released(store, application, "old")
    await released(store, application, "new", without=FAR)
    plan = await planned(store, application, "stop", OperationKind.STOP)
    assert [one.id for one in plan.servers] == list(SERVERS)
    stop = m.RecordRelease(command=command_of(application, "stop", OperationKind.STOP), serve=None)
    await ActivityEnvironment().run(RecordActivities(store).record_release, stop)
    assert await store.releases.of(application.id) == []
    assert await serving(store, application.id) is None
    started = await planned(store, application, "start", OperationKind.START)
    assert started.served is None


async def test_it_is_taken_away_from_a_server_that_is_behind_and_shall_not_have_it_any_more(
    servers_store: Store,
) -> None:
    store = servers_store
    application = await application_on(store, *SERVERS)
    await released(store, application, "old")
    await released(store, application, "new", without=FAR)

    def move(_row: Any, configuration: Any, written: Any) -> Any:
        return configuration.model_copy(update={"server_ids": (LOCAL,)}), written

    await store.applications.modify(application.id, team_id="team", edit=move)
    plan = await planned(store, application, "moved")
    assert [one.id for one in plan.left] == [FAR]


async def test_what_was_released_before_this_was_written_down_is_on_all_servers(servers_store: Store) -> None:
    application = await application_on(servers_store, *SERVERS)
    await planned(servers_store, application, "old")
    await servers_store.applications.set_state(
        application.id, desired_state="running", current_deployment_id="old"
    )
    served = await serving(servers_store, application.id)
    assert served is not None
    assert (served.servers, served.elsewhere) == (SERVERS, ())


async def test_the_addresses_of_the_release_before_stay_taken(servers_store: Store) -> None:
    store = servers_store
    application = await application_on(store, *SERVERS)

    def serve_at(host: str) -> Any:
        def edit(_row: Any, configuration: Any, written: Any) -> Any:
            routing = RoutingOptions(domains=(Domain(host=host),))
            return configuration.model_copy(update={"routing": routing}), written

        return edit

    for host, name, without in (("old.test", "old", ""), ("new.test", "new", FAR), ("new.test", "last", "")):
        await store.applications.modify(application.id, team_id="team", edit=serve_at(host))
        await released(store, application, name, without=without)
        other = await application_on(store, LOCAL)
        assert await is_taken(store, other, "old.test") == (name != "last")


async def is_taken(store: Store, application: Application, host: str) -> bool:
    try:
        await store.applications.claim_released_domains(application.id, [Domain(host=host)])
    except DomainTaken:
        return True
    await store.applications.settle_released_domains(application.id, [])
    return False


async def test_leaving_a_server_out_is_written_into_its_steps_at_once(servers_store: Store) -> None:
    store = servers_store
    application = await application_on(store, *SERVERS)
    plan = await planned(store, application, "new")
    leave = m.LeaveOutServer(
        deployment_id="new", server="local", instead="far", failed=StepName.DISTRIBUTE, message="It is ill."
    )
    for _ in range(2):  # a lost worker repeats it
        await ActivityEnvironment().run(RecordActivities(store).leave_out, leave)
        steps = await store.deployments.steps("new")
        assert [step.name for step in steps] == [step.name for step in plan.steps]
        on = {(step.name, step.server): step for step in steps}
        assert on[StepName.BUILD, "far"].status is StepStatus.PENDING
        failed = on[StepName.DISTRIBUTE, "local"]
        assert (failed.status, failed.message) == (StepStatus.FAILED, "It is ill.")
        assert on[StepName.HEALTH, "local"].status is StepStatus.SKIPPED
        assert on[StepName.HEALTH, "far"].status is StepStatus.PENDING


@pytest.mark.parametrize(("passes_over", "attempt"), [(False, TRANSIENT_ATTEMPTS), (True, 1)])
async def test_a_server_that_does_not_answer_is_asked_again_before_it_is_done_without(
    servers_store: Store, passes_over: bool, attempt: int
) -> None:
    with pytest.raises(ServerUnreachable):
        await resolved(servers_store, passes_over=passes_over, attempt=attempt)


async def test_a_server_that_stays_silent_is_told_of(servers_store: Store) -> None:
    answer = await resolved(servers_store, passes_over=True, attempt=TRANSIENT_ATTEMPTS)
    assert answer.present_on == (LOCAL,)
    assert not answer.image_present
    [silent] = answer.unreached
    assert (silent.server_id, silent.code) == (FAR, "server_unreachable")


class OneAnswers:
    """Servers of which one has the image, and the other does not answer."""

    async def parts(self, server_id: str) -> Any:
        if server_id == FAR:
            raise ServerUnreachable("It does not answer.")
        return self

    @property
    def engine(self) -> OneAnswers:
        return self

    async def image_id(self, _reference: str) -> str:
        return "sha256:image"


async def resolved(store: Store, *, passes_over: bool, attempt: int) -> m.ResolvedSource:
    application = await application_on(store, *SERVERS)
    earlier = await store.deployments.record(Deployment(application_id=application.id, image="seaway/x:1"))
    await planned(store, application, "new")
    command = command_of(application, "new", OperationKind.ROLLBACK)
    resolve = m.ResolveSource(
        step=m.StepReference(deployment_id="new", name=StepName.RESOLVE_SOURCE, server="local"),
        application_id=application.id,
        server_id=LOCAL,
        command=command.model_copy(update={"target_deployment_id": earlier.id}),
        look_on=SERVERS,
        passes_over=passes_over,
    )
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(ActivityEnvironment.default_info(), attempt=attempt)
    sources = SourceActivities(store, cast(Servers, OneAnswers()), UNUSED, SURROUNDINGS)
    return await environment.run(sources.resolve, resolve)
