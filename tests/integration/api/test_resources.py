"""Teams, projects, environments, servers, keys, variables and storages; and the trace that changes leave."""

from __future__ import annotations

import asyncssh
import httpx
import pytest

from api.shapes.answers import number_of
from domain import configuration_limits
from domain.configuration import ApplicationConfiguration, Volume, VolumeKind
from tests.integration.api.conftest import Seaway


async def actions(seaway: Seaway) -> list[tuple[str, str]]:
    events = await seaway.store.audit.list(team_id=seaway.mine.team.id)
    return [(event.action, event.actor) for event in reversed(events)]


async def test_a_token_sees_its_team(seaway: Seaway, client: httpx.AsyncClient) -> None:
    (team,) = (await client.get("/teams")).json()
    assert (team["name"], team["uuid"]) == ("mine", seaway.mine.team.id)
    for path in ("/team", "/teams/current", f"/teams/{team['uuid']}", f"/teams/{team['id']}"):
        assert (await client.get(path)).json() == team
    for path in ("/team/members", "/teams/current/members", f"/teams/{team['id']}/members"):
        assert (await client.get(path)).json() == team["members"]
    assert [(one["email"], one["role"]) for one in team["members"]] == [("mine@example.com", "owner")]
    assert (await client.get(f"/teams/{number_of(seaway.theirs.team.id)}")).status_code == 404


async def test_projects_are_made_changed_and_deleted(seaway: Seaway, client: httpx.AsyncClient) -> None:
    created = await client.post("/projects", json={"name": " Web ", "description": "all of it"})
    assert created.status_code == 201
    project = created.json()
    assert (project["name"], project["description"]) == ("Web", "all of it")
    assert [one["name"] for one in project["environments"]] == ["production"]
    path = f"/projects/{project['uuid']}"
    assert (await client.get(path)).json() == project
    changed = (await client.patch(path, json={"description": None})).json()
    assert (changed["name"], changed["description"]) == ("Web", None)
    assert (await client.get(path)).json() == changed
    assert (await client.delete(path)).json() == {"message": "Project deleted."}
    assert (await client.get(path)).status_code == 404
    me = "mine@example.com"
    assert await actions(seaway) == [("project.create", me), ("project.update", me), ("project.delete", me)]


async def test_environments_are_made_changed_and_deleted(seaway: Seaway, client: httpx.AsyncClient) -> None:
    base = f"/projects/{seaway.mine.project.id}"
    created = await client.post(f"{base}/environments", json={"name": "staging"})
    assert created.status_code == 201
    environment = created.json()
    assert (await client.post(f"{base}/environments", json={"name": "staging"})).status_code == 409
    renamed = await client.patch(f"{base}/environments/staging", json={"name": "test", "description": "d"})
    assert (renamed.json()["name"], renamed.json()["uuid"]) == ("test", environment["uuid"])
    taken = await client.patch(f"{base}/environments/test", json={"name": "production"})
    assert taken.status_code == 409
    assert (await client.get(f"{base}/{environment['uuid']}")).json() == {
        **renamed.json(),
        "applications": [],
    }
    names = [one["name"] for one in (await client.get(f"{base}/environments")).json()]
    assert names == ["production", "test"]
    assert (await client.delete(f"{base}/environments/test")).status_code == 200
    assert (await client.get(f"{base}/test")).status_code == 404
    assert (await client.post(f"{base}/environments", json={"name": "a/b"})).status_code == 422


async def test_what_is_occupied_is_not_deleted(
    seaway: Seaway, client: httpx.AsyncClient, application: dict[str, object]
) -> None:
    base = f"/projects/{seaway.mine.project.id}"
    for path in (base, f"{base}/environments/production"):
        answer = await client.delete(path)
        assert (answer.status_code, answer.json()["code"]) == (400, "not_possible_now")
        assert "shop" in answer.json()["message"]


async def test_private_keys_are_made_changed_and_deleted(seaway: Seaway, client: httpx.AsyncClient) -> None:
    first, second = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    text = first.export_private_key().decode()
    created = await client.post("/security/keys", json={"private_key": text, "name": "deploy"})
    assert created.status_code == 201
    key = created.json()
    assert asyncssh.import_private_key(key["private_key"]).export_public_key() == first.export_public_key()
    assert key["public_key"] == first.export_public_key().decode().strip()
    assert key["fingerprint"] == first.get_fingerprint()
    path = f"/security/keys/{key['uuid']}"
    assert (await client.get(path)).json() == key
    assert (await client.get("/security/keys")).json() == [key]
    async with seaway.client(await seaway.token_with("read", "write")) as limited:
        assert (await limited.get(path)).json() == {**key, "private_key": None}
        assert "PRIVATE KEY" not in (await limited.get("/security/keys")).text
    changed = await client.patch(path, json={"private_key": second.export_private_key().decode()})
    assert changed.json()["fingerprint"] == second.get_fingerprint()
    assert changed.json()["name"] == "deploy"
    assert (await client.get(path)).json() == changed.json()
    assert (await client.delete(path)).json() == {"message": "Private Key deleted."}
    assert (await client.get(path)).status_code == 404
    events = [action for action, _ in await actions(seaway)]
    assert events == ["private_key.create", "private_key.update", "private_key.delete"]


async def test_a_key_that_something_uses_is_not_deleted_and_what_uses_it_is_named(
    seaway: Seaway, client: httpx.AsyncClient
) -> None:
    text = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    key = (await client.post("/security/keys", json={"private_key": text, "name": "deploy"})).json()
    body = {
        "name": "shop",
        "project_uuid": seaway.mine.project.id,
        "git_repository": "git@git.example.com:team/shop.git",
        "private_key_uuid": key["uuid"],
    }
    created = await client.post("/applications/private-deploy-key", json=body)
    assert created.json()["private_key_uuid"] == key["uuid"]
    answer = await client.delete(f"/security/keys/{key['uuid']}")
    assert answer.status_code == 422
    advice = "Give them another key, or remove them, first."
    assert answer.json()["message"] == f"The key 'deploy' is used by the application 'shop'. {advice}"
    for name in ("a", "b"):
        server = {"ip": f"{name}.example.com", "name": name, "private_key_uuid": key["uuid"]}
        assert (await client.post("/servers", json=server)).status_code == 201
    message = (await client.delete(f"/security/keys/{key['uuid']}")).json()["message"]
    assert "used by the servers 'a', 'b', the application 'shop'." in message
    for server in (await client.get("/servers")).json():
        if server["private_key_uuid"] == key["uuid"]:
            await seaway.store.servers.forget(server["uuid"])
    await client.patch(f"/applications/{created.json()['uuid']}", json={"private_key_uuid": None})
    assert (await client.delete(f"/security/keys/{key['uuid']}")).status_code == 200


async def test_variables_are_made_changed_and_deleted(
    seaway: Seaway, client: httpx.AsyncClient, application: dict[str, object]
) -> None:
    path = f"/applications/{application['uuid']}/envs"
    created = await client.post(path, json={"key": "TOKEN", "value": "hunter2", "is_buildtime": False})
    assert created.status_code == 201
    variable = created.json()
    assert (variable["value"], variable["real_value"], variable["is_buildtime"]) == (
        "hunter2",
        "hunter2",
        False,
    )
    assert (await client.get(path)).json() == [variable]
    assert (await client.post(path, json={"key": "TOKEN", "value": "x"})).status_code == 409
    changed = (await client.patch(path, json={"key": "TOKEN", "value": "hunter3"})).json()
    assert (changed["uuid"], changed["value"], changed["is_buildtime"]) == (
        variable["uuid"],
        "hunter3",
        False,
    )
    assert (await client.patch(path, json={"key": "NEW", "value": "x"})).status_code == 404
    assert (await client.delete(f"{path}/{variable['uuid']}")).status_code == 200
    assert (await client.get(path)).json() == []
    assert (await client.delete(f"{path}/{variable['uuid']}")).status_code == 404


async def test_an_application_has_so_many_variables_and_no_more(
    client: httpx.AsyncClient, application: dict[str, object]
) -> None:
    path = f"/applications/{application['uuid']}/envs"
    many = [{"key": f"KEY_{number}", "value": "x"} for number in range(1000)]
    assert (await client.patch(f"{path}/bulk", json={"data": many})).status_code == 201
    refused = await client.post(path, json={"key": "ONE_MORE", "value": "x"})
    assert (refused.status_code, list(refused.json()["errors"])) == (422, ["variables"])
    assert (await client.patch(path, json={"key": "KEY_1", "value": "y"})).status_code == 201
    assert len((await client.get(path)).json()) == 1000


async def test_the_variables_of_an_application_have_a_size_together(
    client: httpx.AsyncClient, application: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(configuration_limits, "MOST_BYTES", 100_000)
    path = f"/applications/{application['uuid']}/envs"
    assert (await client.post(path, json={"key": "FIRST", "value": "x" * 60_000})).status_code == 201
    refused = await client.post(path, json={"key": "SECOND", "value": "x" * 60_000})
    assert (refused.status_code, list(refused.json()["errors"])) == (422, ["variables"])
    assert [one["key"] for one in (await client.get(path)).json()] == ["FIRST"]


async def test_a_variable_can_be_set_to_an_empty_value(
    client: httpx.AsyncClient, application: dict[str, object]
) -> None:
    path = f"/applications/{application['uuid']}/envs"
    await client.post(path, json={"key": "GREETING", "value": "ahoy"})

    answer = await client.patch(path, json={"key": "GREETING", "value": ""})

    assert answer.status_code in (200, 201)
    assert [one["value"] for one in (await client.get(path)).json()] == [""]


async def test_several_variables_are_written_all_or_none(
    client: httpx.AsyncClient, application: dict[str, object]
) -> None:
    path = f"/applications/{application['uuid']}/envs"
    await client.post(path, json={"key": "A", "value": "old", "comment": "kept"})
    wrong = {"data": [{"key": "A", "value": "new"}, {"key": "1B", "value": "x"}]}
    refused = await client.patch(f"{path}/bulk", json=wrong)
    assert list(refused.json()["errors"]) == ["data.1.key"]
    assert (await client.get(path)).json()[0]["value"] == "old"
    right = {"data": [{"key": "A", "value": "new"}, {"key": "B", "value": ""}]}
    written = await client.patch(f"{path}/bulk", json=right)
    assert written.status_code == 201
    assert [(one["key"], one["value"], one["comment"]) for one in written.json()] == [
        ("A", "new", "kept"),
        ("B", "", None),
    ]
    assert (await client.get(path)).json() == written.json()


async def test_values_are_hidden_from_those_who_may_not_see_secrets(
    seaway: Seaway, client: httpx.AsyncClient, application: dict[str, object]
) -> None:
    path = f"/applications/{application['uuid']}/envs"
    await client.post(path, json={"key": "TOKEN", "value": "hunter2"})
    await client.post(path, json={"key": "LOCKED", "value": "hunter3", "is_shown_once": True})
    async with seaway.client(await seaway.token_with("read", "write")) as limited:
        assert "hunter" not in (await limited.get(path)).text
        assert "hunter" not in (await limited.patch(path, json={"key": "TOKEN", "value": "hunter4"})).text
    async with seaway.client(await seaway.token_with("read", "read:sensitive")) as limited:
        assert [one["value"] for one in (await limited.get(path)).json()] == ["hunter4", None]
    assert "hunter3" not in (await client.get(path)).text
    events = await seaway.store.audit.list(team_id=seaway.mine.team.id)
    assert not [event for event in events if "hunter" in event.summary]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"key": "", "value": "x"}, "key"),
        ({"key": "A B", "value": "x"}, "key"),
        ({"key": "A", "value": "a\u0000b"}, "value"),
        ({"key": "A", "value": "x" * 200_000}, "value"),
        ({"key": "A", "value": "x", "is_build_secret": True, "is_buildtime": False}, "is_build_secret"),
        ({"key": "A", "value": "x", "is_shared": True}, "is_shared"),
    ],
)
async def test_a_wrong_variable_is_refused(
    client: httpx.AsyncClient, application: dict[str, object], body: dict[str, object], field: str
) -> None:
    answer = await client.post(f"/applications/{application['uuid']}/envs", json=body)
    assert (answer.status_code, list(answer.json()["errors"])) == (422, [field])


async def test_storages_are_made_and_deleted(
    seaway: Seaway, client: httpx.AsyncClient, application: dict[str, object]
) -> None:
    uuid = str(application["uuid"])
    path = f"/applications/{uuid}/storages"
    bodies = [
        {"type": "persistent", "name": "data", "mount_path": "/var/lib/data/"},
        {"type": "persistent", "host_path": "/srv/media", "mount_path": "/media", "is_read_only": True},
        {"type": "file", "content": "hunter2", "mount_path": "/etc/app.conf"},
        {"type": "file", "is_directory": True, "fs_path": "/srv/etc", "mount_path": "/etc/app.d"},
    ]
    made = [await client.post(path, json=body) for body in bodies]
    assert [one.status_code for one in made] == [201] * 4
    named, bind, file, folder = (one.json() for one in made)
    assert (named["name"], named["mount_path"], named["host_path"]) == ("data", "/var/lib/data", None)
    assert (bind["host_path"], bind["is_read_only"]) == ("/srv/media", True)
    assert (file["content"], file["type"]) == ("hunter2", "file")
    listed = (await client.get(path)).json()
    assert listed == {"persistent_storages": [named, bind, folder], "file_storages": [file]}
    async with seaway.client(await seaway.token_with("read")) as limited:
        assert "hunter2" not in (await limited.get(path)).text
    configuration = await seaway.store.applications.configuration(uuid)
    assert [volume.target for volume in configuration.runtime.volumes] == [
        "/var/lib/data",
        "/media",
        "/etc/app.conf",
        "/etc/app.d",
    ]
    assert (await client.delete(f"{path}/{bind['uuid']}")).json() == {"message": "Storage deleted."}
    assert (await client.get(path)).json()["persistent_storages"] == [named, folder]
    assert (await client.delete(f"{path}/{bind['uuid']}")).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"type": "persistent", "name": "data", "mount_path": "/"}, "mount_path"),
        ({"type": "persistent", "name": "data", "mount_path": "relative"}, "mount_path"),
        ({"type": "persistent", "mount_path": "/data"}, "name"),
        ({"type": "persistent", "name": "/etc", "mount_path": "/data"}, "name"),
        ({"type": "persistent", "name": "a:b", "mount_path": "/data"}, "name"),
        ({"type": "persistent", "host_path": "data", "mount_path": "/data"}, "host_path"),
        ({"type": "persistent", "host_path": "/a/../etc", "mount_path": "/data"}, "host_path"),
        ({"type": "file", "is_directory": True, "mount_path": "/data"}, "fs_path"),
        ({"type": "file", "content": "x" * (5 * 1024**2 + 1), "mount_path": "/data"}, "content"),
    ],
)
async def test_a_wrong_storage_is_refused(
    client: httpx.AsyncClient, application: dict[str, object], body: dict[str, object], field: str
) -> None:
    answer = await client.post(f"/applications/{application['uuid']}/storages", json=body)
    assert (answer.status_code, list(answer.json()["errors"])) == (422, [field])


async def test_the_files_of_an_application_have_a_size_together(
    client: httpx.AsyncClient, application: dict[str, object]
) -> None:
    path = f"/applications/{application['uuid']}/storages"
    body = {"type": "file", "content": "x" * (5 * 1024**2)}
    made = [await client.post(path, json=body | {"mount_path": f"/etc/{number}"}) for number in range(4)]
    assert [one.status_code for one in made] == [201, 201, 201, 422]
    assert list(made[-1].json()["errors"]) == ["configuration"]
    assert "at most 16 MiB" in made[-1].text
    assert len((await client.get(path)).json()["file_storages"]) == 3


async def test_an_application_has_so_many_storages_and_no_more(
    seaway: Seaway, client: httpx.AsyncClient, application: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/applications/{application['uuid']}/storages"
    volumes = [Volume(kind=VolumeKind.NAMED, source="data", target=f"/data/{n}") for n in range(101)]
    row = await seaway.store.applications.get(str(application["uuid"]))
    configuration, _ = seaway.store.applications.configured(row)

    def having(count: int) -> ApplicationConfiguration:
        runtime = configuration.runtime.model_copy(update={"volumes": tuple(volumes[:count])})
        return configuration.model_copy(update={"runtime": runtime})

    await seaway.store.applications.update(row, having(100))
    refused = await client.post(path, json={"type": "persistent", "name": "a", "mount_path": "/one/more"})
    assert (refused.status_code, list(refused.json()["errors"])) == (422, ["storages"])
    with monkeypatch.context() as earlier:
        earlier.setattr(configuration_limits, "MOST_STORAGES", 101)
        await seaway.store.applications.update(row, having(101))
    # Whoever has more since earlier can still change the rest, and delete them one by one.
    assert (await client.patch(f"/applications/{row.id}", json={"description": "x"})).status_code == 200
    first = (await client.get(path)).json()["persistent_storages"][0]
    assert (await client.delete(f"{path}/{first['uuid']}")).status_code == 200


async def test_two_things_are_not_mounted_at_one_place(
    client: httpx.AsyncClient, application: dict[str, object]
) -> None:
    path = f"/applications/{application['uuid']}/storages"
    await client.post(path, json={"type": "persistent", "name": "a", "mount_path": "/data"})
    again = await client.post(path, json={"type": "persistent", "name": "b", "mount_path": "/data/"})
    assert again.status_code == 409


async def test_on_a_swarm_files_are_mounted_and_what_one_disk_has_is_refused(
    seaway: Seaway, client: httpx.AsyncClient, application: dict[str, object]
) -> None:
    await seaway.store.servers.set(seaway.mine.server.id, is_swarm_manager=True)
    path = f"/applications/{application['uuid']}/storages"
    refused = await client.post(path, json={"type": "persistent", "name": "data", "mount_path": "/data"})
    assert (refused.status_code, [*refused.json()["errors"]]) == (422, ["swarm_placement_constraints"])
    large = {"type": "file", "content": "x" * 512_001, "mount_path": "/etc/large"}
    refused = await client.post(path, json=large)
    assert (refused.status_code, [*refused.json()["errors"]]) == (422, ["volumes"])
    made = await client.post(path, json={"type": "file", "content": "x", "mount_path": "/etc/app.conf"})
    assert made.status_code == 201
    storages = (await client.get(path)).json()
    assert [*map(len, storages.values())] == [0, 1]


async def test_the_version_is_plain_text(client: httpx.AsyncClient) -> None:
    answer = await client.get("/version")
    assert answer.text == "0.0.1"
    assert answer.headers["Content-Type"].startswith("text/plain")


async def test_a_key_with_a_passphrase_is_stored_without_it(
    seaway: Seaway, client: httpx.AsyncClient
) -> None:
    key = asyncssh.generate_private_key("ecdsa-sha2-nistp256")
    text = key.export_private_key("pkcs8-pem", passphrase="hunter2").decode()
    for body, field in (
        ({"private_key": text}, "passphrase"),
        ({"private_key": text, "passphrase": "wrong"}, "passphrase"),
        ({"private_key": key.export_public_key().decode()}, "private_key"),
    ):
        refused = await client.post("/security/keys", json=body)
        assert (refused.status_code, list(refused.json()["errors"])) == (422, [field])
    added = (await client.post("/security/keys", json={"private_key": text, "passphrase": "hunter2"})).json()
    assert added["fingerprint"] == key.get_fingerprint()
    stored = asyncssh.import_private_key(added["private_key"])
    assert stored.export_public_key() == key.export_public_key()
    path = f"/security/keys/{added['uuid']}"
    lonely = await client.patch(path, json={"passphrase": "hunter2"})
    assert list(lonely.json()["errors"]) == ["private_key"]
    assert "hunter2" not in str(await seaway.store.audit.list(team_id=seaway.mine.team.id))


async def test_a_key_is_made_and_shows_what_to_put_on_a_server(
    seaway: Seaway, client: httpx.AsyncClient
) -> None:
    made = await client.post("/security/keys/generate", json={"name": "fleet"})
    assert made.status_code == 201
    key = asyncssh.import_private_key(made.json()["private_key"])
    assert made.json()["name"] == "fleet"
    assert made.json()["public_key"] == key.export_public_key().decode().strip()
    assert made.json()["fingerprint"] == key.get_fingerprint()
    async with seaway.client(await seaway.token_with("write")) as limited:
        other = (await limited.post("/security/keys/generate")).json()
    assert other["private_key"] is None
    assert other["name"].startswith("key ")
    assert ("private_key.generate", "mine@example.com") in await actions(seaway)
