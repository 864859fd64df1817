from __future__ import annotations

import re
from datetime import timedelta
from functools import partial

import asyncssh

from domain.configuration import Domain, RoutingOptions
from domain.deployments import DeploymentStatus
from domain.errors import NotPossibleNow, ServerUnreachable
from domain.metrics import Point, Values
from domain.replica_states import ReplicaState, StandingReplica
from domain.server_events import ServerEventKind
from domain.servers import JUMP_HOST, ServerStatus
from store.columns import now
from store.metrics import Subject
from store.releases import HeldRelease
from store.tables import Server, ServerEvent
from tests.harness.pages_seeds import seed_fleet
from tests.harness.pages_stand_ins import new_host_key
from tests.harness.pages_world import World
from tests.integration.pages.conftest import Visit
from tests.integration.pages.test_application_pages import SettingsForm

PRIVATE_KEY = asyncssh.generate_private_key("ssh-ed25519")


async def servers(world: World) -> list[Server]:
    return [one for one in await world.store.servers.list(team_id=world.owner.team_id) if not one.is_local]


async def test_the_list_tells_how_every_server_stands(visit: Visit, world: World) -> None:
    await seed_fleet(world)
    await world.application("Storefront")
    page = (await visit.get("/servers")).text
    for word in ("Usable", "Setting up", "Not usable", "Host key changed", "Not checked", "Docker 20.10.24"):
        assert word in page
    assert "Seaway runs here" in page
    assert "1 application\n" in page or "1 application<" in page


async def test_a_server_shows_facts_fingerprint_and_steps(visit: Visit, world: World) -> None:
    fleet = await seed_fleet(world)
    page = (await visit.get(fleet["usable"])).text
    for fact in ("SHA256:", "8.0 GiB", "/var/lib/seaway", "7 of 7", "Check again"):
        assert fact in page
    broken = (await visit.get(fleet["broken"])).text
    assert "Docker could not be installed." in broken
    assert "Unable to locate package" in broken
    assert "attempt 2" in (await visit.get(fleet["setting-up"])).text


async def test_a_server_shows_its_replicas_with_what_they_use(visit: Visit, world: World) -> None:
    shop = await world.application("Storefront")
    await world.store.watch.claim("me", timedelta(minutes=1))
    standing = [
        StandingReplica(shop.id, "storefront-1", ReplicaState.RUNNING),
        StandingReplica(shop.id, "storefront-2", ReplicaState.RESTARTING),
    ]
    await world.store.replicas.write(world.server.id, standing)
    values = Values(cpu_percent=142.0, memory_bytes=3.1e8)
    point = Point(int(now().timestamp()) - 5, 1, values, values)
    await world.store.metrics.write([(Subject(world.server.id, shop.id, "storefront-1"), point)])
    page = (await visit.get(f"/servers/{world.server.id}")).text
    for words in ("storefront-1", "142 %", "310 MB", "Restarting", f'href="/applications/{shop.id}"'):
        assert words in page
    await world.store.watch.release("me")
    unwatched = (await visit.get(f"/servers/{world.server.id}")).text
    assert "Restarting" not in unwatched
    assert "142 %" not in unwatched


async def test_the_line_for_a_key_stays_until_somebody_was_let_in_with_it(visit: Visit, world: World) -> None:
    path = (await seed_fleet(world))["fresh"]
    set_server = partial(world.store.servers.set, path.rpartition("/")[2])

    async def shows_line(**values: object) -> bool:
        await set_server(**values)
        return 'id="authorised-line"' in (await visit.get(path)).text

    assert await shows_line(status=ServerStatus.NEW)
    assert await shows_line(status=ServerStatus.PROVISIONING)
    assert await shows_line(status=ServerStatus.NOT_USABLE, status_message="Add its public key to …")
    assert await shows_line(status=ServerStatus.UNREACHABLE)
    assert not await shows_line(status=ServerStatus.PROVISIONING, is_reachable=True)
    assert not await shows_line(status=ServerStatus.NOT_USABLE, status_message="It has no Docker.")
    assert not await shows_line(status=ServerStatus.USABLE, system="Debian GNU/Linux 12")
    assert not await shows_line(status=ServerStatus.UNREACHABLE, is_reachable=False), "it was let in before"
    assert await shows_line(status=ServerStatus.NOT_USABLE), "another key may have been chosen"
    refused = f"The server 192.0.2.1:22 refuses the user 'root'. {JUMP_HOST} 192.0.2.14:22."
    assert not await shows_line(status=ServerStatus.NOT_USABLE, status_message=refused)
    assert not await shows_line(status=ServerStatus.UNREACHABLE, status_message=refused, system="")
    assert not await shows_line(status=ServerStatus.REMOVING)


async def test_a_usable_server_is_cleaned_by_a_button_and_its_page_tells_how_it_ended(
    visit: Visit, world: World
) -> None:
    fleet = await seed_fleet(world)
    path = fleet["usable"]
    assert f'action="{path}/clean-up"' in (await visit.get(path)).text
    assert "/clean-up" not in (await visit.get(fleet["broken"])).text
    forged = await visit.client.post(f"{path}/clean-up", headers=visit.headers)
    assert (forged.status_code, world.clean_ups.started) == (403, [])
    sent = await visit.send(path, f"{path}/clean-up")
    assert sent.headers["Location"] == f"{path}?done=cleaning"
    server_id = path.rpartition("/")[2]
    assert world.clean_ups.started == [server_id]
    event = ServerEvent(server_id=server_id, kind="cleaned_up", message="Removed 3 images.")
    await world.store.watch.record(event)
    page = (await visit.get(sent.headers["Location"])).text
    for words in ("The server is being cleaned.", "Cleaned up", "Removed 3 images."):
        assert words in page
    refused = await visit.send(path, f"{fleet['broken']}/clean-up")
    assert (refused.status_code, "is not usable now" in refused.text) == (400, True)
    assert world.clean_ups.started == [server_id]


async def test_a_changed_host_key_is_an_alarm_with_both_fingerprints(visit: Visit, world: World) -> None:
    path = (await seed_fleet(world))["changed"]
    page = (await visit.get(path)).text
    assert "This is not the server it was" in page
    assert 'role="alert"' in page
    assert page.count("SHA256:") >= 2
    wrong = await visit.send(f"{path}/host-key", fingerprint="SHA256:something-else")
    assert wrong.status_code == 409
    assert "not the one that you named" in wrong.text
    shown = world.host_keys.key
    accepted = await visit.send(f"{path}/host-key", fingerprint=shown.fingerprint)
    assert accepted.headers["Location"] == f"{path}?done=host-key"
    server = await world.store.servers.get(path.rpartition("/")[2])
    assert (server.host_key, server.shown_host_key) == (shown.text, "")
    assert world.servers.provisioned == [server.id]


async def test_a_changed_host_key_of_the_jump_host_is_no_alarm_about_who_is_behind_it(
    visit: Visit, world: World
) -> None:
    path = (await seed_fleet(world))["changed"]
    told = "It is the jump host on the way to 192.0.2.13:22: accept the key at the jump host."
    await world.store.servers.set(path.rpartition("/")[2], shown_host_key="", status_message=told)
    page = (await visit.get(path)).text
    assert 'role="alert"' in page
    assert told in page
    assert "This is not the server it was" not in page
    assert f"{path}/host-key" not in page


async def test_a_server_with_a_new_key_waits_for_that_to_be_put_there(visit: Visit, world: World) -> None:
    answer = await visit.send(
        "/servers/new",
        ip="192.0.2.7",
        user="deploy",
        port="2222",
        key_choice="generate",
        concurrent_builds="2",
    )
    (server,) = await servers(world)
    assert answer.headers["Location"] == f"/servers/{server.id}"
    assert (server.address, server.user, server.port) == ("192.0.2.7", "deploy", 2222)
    (key,) = await world.store.servers.keys(team_id=world.owner.team_id)
    page = (await visit.get(f"/servers/{server.id}")).text
    assert key.public_key.split()[1].replace("+", "&#43;") in page or key.public_key in page
    assert "Check the server" in page
    assert world.servers.provisioned == []
    checked = await visit.send(f"/servers/{server.id}", f"/servers/{server.id}/validate")
    assert checked.headers["Location"] == f"/servers/{server.id}?done=validating"
    assert world.servers.provisioned == [server.id]
    pinned = (await world.store.servers.get(server.id)).host_key
    assert pinned == world.host_keys.key.text


async def test_a_pasted_key_with_a_passphrase_opens_the_server_at_once(visit: Visit, world: World) -> None:
    text = PRIVATE_KEY.export_private_key("pkcs8-pem", passphrase="hunter2").decode()
    given = {"ip": "192.0.2.7", "user": "root", "port": "22", "key_choice": "paste", "concurrent_builds": "2"}
    wrong = await visit.send("/servers/new", private_key=text, passphrase="wrong", **given)
    assert wrong.status_code == 422
    assert "The passphrase does not open the key." in wrong.text
    assert "PRIVATE KEY-----\n" not in wrong.text, "secrets do not come back"
    assert "192.0.2.7" in wrong.text
    answer = await visit.send("/servers/new", private_key=text, passphrase="hunter2", **given)
    (server,) = await servers(world)
    assert answer.headers["Location"] == f"/servers/{server.id}?done=server-added"
    assert world.servers.provisioned == [server.id]


async def test_a_server_that_is_refused_leaves_no_key_behind(visit: Visit, world: World) -> None:
    given = {"user": "root", "port": "99999", "key_choice": "generate", "concurrent_builds": "2"}
    refused = await visit.send("/servers/new", ip="192.0.2.7", **given)
    assert refused.status_code == 422
    assert "99999 is no port" in refused.text
    assert await world.store.servers.keys(team_id=world.owner.team_id) == []
    assert (await visit.send("/servers/new", ip="", **given)).status_code == 422
    assert await servers(world) == []


async def test_a_server_that_nobody_reaches_is_added_and_says_so(visit: Visit, world: World) -> None:
    await seed_fleet(world)
    (key,) = await world.store.servers.keys(team_id=world.owner.team_id)
    world.host_keys.failure = ServerUnreachable("Nothing listens at 192.0.2.77:22.")
    answer = await visit.send(
        "/servers/new",
        ip="192.0.2.77",
        user="root",
        port="22",
        key_choice="existing",
        private_key_uuid=key.id,
        concurrent_builds="2",
    )
    page = (await visit.get(answer.headers["Location"])).text
    assert "Unreachable" in page
    assert "Nothing listens at 192.0.2.77:22." in page


async def test_settings_change_only_what_was_changed(visit: Visit, world: World) -> None:
    path = (await seed_fleet(world))["usable"]
    server_id = path.rpartition("/")[2]
    before = await world.store.servers.get(server_id)
    given = {
        "name": "harbour",
        "description": "",
        "ip": before.address,
        "user": "root",
        "port": "22",
        "private_key_uuid": before.private_key_id or "",
        "jump_server_uuid": "",
        "wildcard_domain": before.wildcard_domain,
        "concurrent_builds": "2",
    }
    saved = await visit.send(f"{path}/settings", **given)
    assert saved.headers["Location"] == f"{path}?done=server"
    after = await world.store.servers.get(server_id)
    assert (after.name, after.host_key) == ("harbour", before.host_key)
    assert world.servers.provisioned == []
    limits = {"build_cpu_percent": "40", "build_memory_percent": "0"}
    await visit.send(f"{path}/settings", **given, **limits)
    limited = await world.store.servers.get(server_id)
    assert (limited.build_cpu_percent, limited.build_memory_percent) == (40, 0)
    assert "40 % of processors, none of memory" in (await visit.get(path)).text
    await visit.send(f"{path}/settings", **given, build_cpu_percent="", build_memory_percent="0")
    usual = await world.store.servers.get(server_id)
    assert (usual.build_cpu_percent, usual.build_memory_percent) == (None, 0)
    await visit.send(f"{path}/settings", **{**given, "user": "deploy"})
    assert world.servers.provisioned == [server_id]
    refused = await visit.send(f"{path}/settings", **{**given, "user": "No One"})
    assert refused.status_code == 422
    assert "is no user name" in refused.text


async def test_a_server_is_removed_by_its_name_and_with_what_lives_there_if_wished(
    visit: Visit, world: World
) -> None:
    path = (await seed_fleet(world))["usable"]
    server_id = path.rpartition("/")[2]
    application = await world.application("Storefront")
    configuration = await world.store.applications.configuration(application.id)
    moved = configuration.model_copy(update={"server_ids": (server_id,)})
    await world.store.applications.modify(
        application.id, team_id=world.owner.team_id, edit=lambda _row, _old, written: (moved, written)
    )
    form = (await visit.get(f"{path}/remove")).text
    assert "Delete Storefront too" in form
    assert (await visit.send(f"{path}/remove", name="other")).status_code == 422
    world.servers.refusal = NotPossibleNow("Applications live on the server.")
    refused = await visit.send(f"{path}/remove", name="usable")
    assert refused.status_code == 400
    assert "Applications live on the server." in refused.text
    world.servers.refusal = None
    gone = await visit.send(f"{path}/remove", name="usable", delete_resources="true")
    assert gone.headers["Location"] == "/servers?done=server-removing"
    assert world.servers.removed == [(server_id, True)]


async def test_a_server_tells_what_its_removal_waits_for_and_why_it_was_refused(
    visit: Visit, world: World
) -> None:
    path = (await seed_fleet(world))["usable"]
    server_id = path.rpartition("/")[2]
    waits = "Removed as soon as these are deleted: Storefront."
    await world.store.servers.set(server_id, status=ServerStatus.REMOVING, status_message=waits)
    assert waits in (await visit.get(path)).text
    await world.store.servers.set(server_id, status=ServerStatus.USABLE, status_message="")
    assert "Not removed" not in (await visit.get(path)).text
    why = "Not removed, because it is needed by Storefront."
    refused = ServerEvent(server_id=server_id, kind=ServerEventKind.REMOVAL_REFUSED, message=why)
    await world.store.watch.record(refused)
    assert why in (await visit.get(path)).text
    assert why in (await visit.get(f"{path}/metrics")).text


async def test_what_can_not_be_taken_away_may_be_left_behind_unless_the_server_is_usable(
    visit: Visit, world: World
) -> None:
    path = (await seed_fleet(world))["usable"]
    assert "Forget the server" not in (await visit.get(f"{path}/remove")).text
    stopped = {"status": ServerStatus.NOT_USABLE, "status_message": "Docker does not answer."}
    await world.store.servers.set(path.rpartition("/")[2], is_reachable=True, **stopped)
    assert "Forget the server" in (await visit.get(f"{path}/remove")).text


async def test_the_server_of_seaway_itself_offers_neither_checking_nor_removal(
    visit: Visit, world: World
) -> None:
    page = (await visit.get(f"/servers/{world.server.id}")).text
    assert "Check again" not in page
    assert (await visit.get(f"/servers/{world.server.id}/host-key")).status_code == 400
    settings = (await visit.get(f"/servers/{world.server.id}/settings")).text
    assert "Remove this server" not in settings
    assert "SSH port" not in settings
    # Nobody begins a Swarm there.
    assert "manages the Docker Swarm that its engine is in" in settings
    assert "begun if needed" not in settings


async def test_keys_are_made_stored_and_deleted_while_nothing_uses_them(visit: Visit, world: World) -> None:
    assert (await visit.send("/keys", "/keys/generate", generated_name="made")).status_code == 303
    text = PRIVATE_KEY.export_private_key().decode()
    assert (await visit.send("/keys", private_key=text, name="mine", passphrase="")).status_code == 303
    refused = await visit.send("/keys", private_key="nonsense", name="kept")
    assert refused.status_code == 422
    assert "not a private key" in refused.text
    assert "kept" in refused.text
    page = (await visit.get("/keys")).text
    assert (
        PRIVATE_KEY.get_fingerprint().replace("+", "&#43;") in page or PRIVATE_KEY.get_fingerprint() in page
    )
    assert "PRIVATE KEY-----\n" not in page
    made, mine = await world.store.servers.keys(team_id=world.owner.team_id)
    await world.store.servers.create(
        Server(team_id=world.owner.team_id, name="s", address="192.0.2.1", private_key_id=mine.id)
    )
    used = await visit.send(f"/keys/{mine.id}/delete")
    assert used.status_code == 422
    assert "used by the server &#39;s&#39;. Give them another key" in used.text
    assert (await visit.send(f"/keys/{made.id}/delete")).headers["Location"] == "/keys?done=key-deleted"


async def test_a_first_contact_that_fails_leads_back_to_the_server(visit: Visit, world: World) -> None:
    path = (await seed_fleet(world))["fresh"]
    world.host_keys.failure = ServerUnreachable("The name resolves to nothing.")
    answer = await visit.send(path, f"{path}/validate")
    assert answer.headers["Location"] == path
    page = (await visit.get(path)).text
    assert page.count("The name resolves to nothing.") >= 2, "in the state and at the step"
    server = await world.store.servers.get(path.rpartition("/")[2])
    assert server.status == ServerStatus.UNREACHABLE
    world.host_keys.failure = None
    world.host_keys.key = new_host_key()
    await visit.send(path, f"{path}/validate")
    assert world.servers.provisioned == [server.id]


async def test_an_application_is_given_an_edge_in_its_settings(visit: Visit, world: World) -> None:
    application = await world.application("Storefront")
    path = f"/applications/{application.id}/settings"
    fleet = await seed_fleet(world)
    usable, broken = (fleet[name].rpartition("/")[2] for name in ("usable", "broken"))
    page = (await visit.get(path)).text
    places = [
        page.index(f'name="{name}"') for name in (f"server:{usable}", "min_available", "edge_server_uuid")
    ]
    assert places == sorted(places), "first the servers, then what is about them"
    choice = page.partition('name="edge_server_uuid"')[2].partition("</select>")[0]
    assert usable in choice
    assert broken not in choice
    form = SettingsForm(page).found
    refused = await visit.send(path, **{**form, "edge_server_uuid": usable})
    assert refused.status_code == 422
    assert "under which address other servers reach" in refused.text
    del form[f"server:{world.server.id}"]
    saved = await visit.send(path, **{**form, f"server:{usable}": "true", "edge_server_uuid": usable})
    assert saved.headers["Location"].startswith(path), saved.text
    configuration = await world.store.applications.configuration(application.id)
    assert configuration.routing.edge_server_id == usable
    form = SettingsForm((await visit.get(path)).text).found
    assert form["edge_server_uuid"] == usable
    await visit.send(path, **{**form, "edge_server_uuid": ""})
    configuration = await world.store.applications.configuration(application.id)
    assert configuration.routing.edge_server_id is None


async def test_an_edge_shows_whose_visitors_come_to_it(visit: Visit, world: World) -> None:
    fleet = await seed_fleet(world)
    usable = fleet["usable"].rpartition("/")[2]
    application = await world.application(
        "Storefront",
        routing=RoutingOptions(edge_server_id=usable, domains=(Domain(host="shop.example.com"),)),
    )
    page = (await visit.get(fleet["usable"])).text
    assert f'href="/applications/{application.id}"' in page
    assert "Its visitors come here" in page
    assert "Nothing lives here yet" not in page


async def test_servers_that_serve_others_are_not_offered_to_applications(visit: Visit, world: World) -> None:
    fleet = await seed_fleet(world)
    usable = fleet["usable"].rpartition("/")[2]
    application = await world.application("Storefront")
    path = f"/applications/{application.id}/settings"
    for flag, why in (
        ("is_build_server", "Builds for others"),
        ("is_swarm_worker", "Worker of a Docker Swarm"),
    ):
        await world.store.servers.set(usable, **{flag: True})
        page = (await visit.get(path)).text
        box = page.partition(f'name="server:{usable}"')[2].partition("</div>")[0]
        assert "disabled" in box.partition(">")[0]
        assert why in page
        assert usable not in page.partition('name="edge_server_uuid"')[2].partition("</select>")[0]
        await world.store.servers.set(usable, **{flag: False})


async def test_a_server_that_is_behind_is_marked_and_how_many_suffice_is_set(
    visit: Visit, world: World
) -> None:
    application = await world.application("Storefront")
    path = f"/applications/{application.id}"
    usable = (await seed_fleet(world))["usable"].rpartition("/")[2]
    form = SettingsForm((await visit.get(f"{path}/settings")).text).found
    changes = {f"server:{usable}": "true", "min_available": "1"}
    saved = await visit.send(f"{path}/settings", **{**form, **changes})
    assert saved.headers["Location"].startswith(path), saved.text
    configuration = await world.store.applications.configuration(application.id)
    assert configuration.min_available == 1
    form = SettingsForm((await visit.get(f"{path}/settings")).text).found
    assert form["min_available"] == "1"
    refused = await visit.send(f"{path}/settings", **{**form, "min_available": "3"})
    assert (refused.status_code, "Choose at most 2" in refused.text) == (422, True)

    note = "Released without usable (It is ill)."
    deployment = await world.deployment(application, status=DeploymentStatus.FINISHED, note=note)
    old, new = HeldRelease("old", "old"), HeldRelease(deployment.id, deployment.id)
    await world.store.releases.record(application.id, deployment.id, {world.server.id: new, usable: old})
    head = (await visit.get(path)).text
    mark = head.partition(f'<a href="/servers/{usable}">usable</a>')[2].partition("</span></span>")[0]
    assert "behind" in mark
    for server_id, is_behind in ((usable, True), (world.server.id, False)):
        placed = (await visit.get(f"/servers/{server_id}")).text
        mark = placed.partition(f'<a href="{path}">Storefront</a>')[2].partition("</li>")[0]
        assert ("behind" in mark) is is_behind
    outcome = (await visit.get(f"/deployments/{deployment.id}")).text
    assert "This version serves, but not on all servers." in outcome
    assert note in outcome
    await visit.send(f"{path}/settings", **{**form, "min_available": ""})
    configuration = await world.store.applications.configuration(application.id)
    assert configuration.min_available is None


async def test_an_application_is_given_other_servers_in_its_settings(visit: Visit, world: World) -> None:
    application = await world.application("Storefront")
    path = f"/applications/{application.id}/settings"
    assert 'name="server:' not in (await visit.get(path)).text, "there is nothing to choose"
    fleet = await seed_fleet(world)
    usable, broken = (fleet[name].rpartition("/")[2] for name in ("usable", "broken"))
    page = (await visit.get(path)).text
    assert f'name="server:{usable}"' in page
    assert re.search(rf'name="server:{broken}" value="true" disabled', page)
    form = SettingsForm(page).found
    added = await visit.send(path, **form, **{f"server:{usable}": "true"})
    assert added.headers["Location"].startswith(path), added.text
    configuration = await world.store.applications.configuration(application.id)
    assert configuration.server_ids == (world.server.id, usable)
    head = (await visit.get(f"/applications/{application.id}")).text
    assert (
        f'<a href="/servers/{world.server.id}">localhost</a>, <a href="/servers/{usable}">usable</a>' in head
    )
    form = SettingsForm((await visit.get(path)).text).found
    del form[f"server:{world.server.id}"]
    await visit.send(path, **form)
    configuration = await world.store.applications.configuration(application.id)
    assert configuration.server_ids == (usable,)
    del form[f"server:{usable}"]
    refused = await visit.send(path, **form)
    assert refused.status_code == 422
    assert "choose a server" in refused.text
