"""Seaway's REST API, typed: one method for each operation that the command uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from domain.errors import SeawayError
from domain.identifiers import new_identifier
from seaway.cli.answers import (
    Application,
    Deployment,
    Environment,
    HostKeys,
    LogLine,
    PrivateKey,
    Project,
    Receipt,
    Registry,
    RegistryCheck,
    Server,
    ServerBuild,
    ServerStep,
    SwarmFacts,
    Variable,
)
from seaway.cli.event_stream import ServerEvent
from seaway.cli.rest import REGISTRY_SECONDS, RestClient
from seaway.cli.watch_answers import (
    ApplicationMetrics,
    AuditEvent,
    RecordedEvent,
    ServerMetrics,
    ServerReplica,
)

Model = TypeVar("Model")
LOG_PAGE = 1000


class SeawayClient:
    """Every method raises errors of `domain.errors`; see `RestClient`.

    What starts an operation always carries an idempotency key, so that a request whose answer was
    lost can be sent again.
    """

    def __init__(self, rest: RestClient) -> None:
        self.rest = rest

    def version(self) -> str:
        """The version of the Seaway that answers."""
        answer = self.rest.request("GET", "/version")
        return str(answer.get("version", "")) if isinstance(answer, dict) else str(answer).strip().strip('"')

    def applications(self) -> list[Application]:
        """All applications of the team."""
        return _read(list[Application], self.rest.request("GET", "/applications"))

    def application(self, uuid: str) -> Application:
        """One application. Raises NotFound."""
        return _read(Application, self.rest.request("GET", f"/applications/{uuid}"))

    def create_application(self, kind: str, fields: Mapping[str, object]) -> Application:
        """Creates an application of the kind `public`, `private-deploy-key` or `dockerimage`."""
        return _read(Application, self.rest.request("POST", f"/applications/{kind}", body=fields))

    def update_application(self, uuid: str, fields: Mapping[str, object]) -> Application:
        """Changes the given fields. They take effect with the next deployment."""
        return _read(Application, self.rest.request("PATCH", f"/applications/{uuid}", body=fields))

    def delete_application(self, uuid: str, *, delete_volumes: bool) -> Receipt:
        """Takes the application down and forgets it; its volumes only when asked."""
        query = {"delete_volumes": delete_volumes}
        return _read(
            Receipt,
            self.rest.request(
                "DELETE", f"/applications/{uuid}", query=query, idempotency_key=new_identifier()
            ),
        )

    def deploy(
        self, uuid: str, *, idempotency_key: str = "", branch: str = "", commit: str = "", force: bool = False
    ) -> Receipt:
        """Queues a deployment; the same key twice is one deployment."""
        query = {"uuid": uuid, "force": force, "branch": branch, "commit": commit}
        answer = self.rest.request(
            "POST", "/deploy", query=query, idempotency_key=idempotency_key or new_identifier()
        )
        return _read(list[Receipt], _read(dict[str, Any], answer)["deployments"])[0]

    def command(self, uuid: str, verb: str, body: Mapping[str, object] | None = None) -> Receipt:
        """Queues `start`, `stop`, `restart`, `scale` or `rollback`."""
        return _read(
            Receipt,
            self.rest.request(
                "POST", f"/applications/{uuid}/{verb}", body=body, idempotency_key=new_identifier()
            ),
        )

    def deployment(self, uuid: str) -> Deployment:
        """One deployment with its steps. Raises NotFound."""
        return _read(Deployment, self.rest.request("GET", f"/deployments/{uuid}"))

    def deployments(
        self, application_uuid: str, *, take: int = 10, every_kind: bool = False
    ) -> list[Deployment]:
        """What released the application, newest first; with `every_kind` all that was done to it."""
        if every_kind:
            path, name = f"/applications/{application_uuid}/operations", "operations"
        else:
            path, name = f"/deployments/applications/{application_uuid}", "deployments"
        answer = self.rest.request("GET", path, query={"take": take})
        return _read(list[Deployment], _read(dict[str, Any], answer)[name])

    def cancel(self, deployment_uuid: str) -> dict[str, Any]:
        """Asks for a deployment to be ended."""
        return _read(dict[str, Any], self.rest.request("POST", f"/deployments/{deployment_uuid}/cancel"))

    def deployment_log(self, uuid: str, *, after: int = 0) -> list[LogLine]:
        """One page of the log after the line with that id; empty at the end of what there is."""
        query = {"after": after, "limit": LOG_PAGE}
        answer = self.rest.request("GET", f"/deployments/{uuid}/log", query=query)
        return _read(list[LogLine], _read(dict[str, Any], answer)["lines"])

    def deployment_events(
        self, uuid: str, last_event_id: str
    ) -> AbstractContextManager[Iterator[ServerEvent]]:
        """The live progress of a deployment, after the event with that id."""
        return self.rest.events(f"/deployments/{uuid}/stream", last_event_id=last_event_id)

    def logs(self, application_uuid: str, *, lines: int, timestamps: bool) -> str:
        """The last lines that the application wrote."""
        query = {"lines": lines, "show_timestamps": timestamps}
        answer = self.rest.request("GET", f"/applications/{application_uuid}/logs", query=query)
        return str(_read(dict[str, Any], answer)["logs"])

    def log_events(
        self, application_uuid: str, *, lines: int, timestamps: bool, last_event_id: str = ""
    ) -> AbstractContextManager[Iterator[ServerEvent]]:
        """The last lines that the application wrote, after the event with that id, and each new one."""
        query = {"lines": lines, "show_timestamps": timestamps}
        path = f"/applications/{application_uuid}/logs/stream"
        return self.rest.events(path, query=query, last_event_id=last_event_id)

    def variables(self, application_uuid: str) -> list[Variable]:
        """The application's environment variables."""
        return _read(list[Variable], self.rest.request("GET", f"/applications/{application_uuid}/envs"))

    def set_variables(self, application_uuid: str, variables: Sequence[Mapping[str, object]]) -> None:
        """Creates or replaces the variables by their keys, all or none."""
        body = {"data": list(variables)}
        self.rest.request("PATCH", f"/applications/{application_uuid}/envs/bulk", body=body)

    def delete_variable(self, application_uuid: str, variable_uuid: str) -> None:
        """Removes one variable."""
        self.rest.request("DELETE", f"/applications/{application_uuid}/envs/{variable_uuid}")

    def projects(self) -> list[Project]:
        """All projects of the team."""
        return _read(list[Project], self.rest.request("GET", "/projects"))

    def create_project(self, name: str, description: str = "") -> str:
        """Creates a project with the environment `production`; its uuid."""
        body = {"name": name, "description": description}
        return str(_read(dict[str, Any], self.rest.request("POST", "/projects", body=body))["uuid"])

    def environments(self, project_uuid: str) -> list[Environment]:
        """The environments of a project."""
        return _read(list[Environment], self.rest.request("GET", f"/projects/{project_uuid}/environments"))

    def create_environment(self, project_uuid: str, name: str) -> None:
        """Adds an environment to a project."""
        self.rest.request("POST", f"/projects/{project_uuid}/environments", body={"name": name})

    def clean_server(self, uuid: str) -> str:
        """Starts to remove what nobody needs on a server; the uuid of the event that will tell of it."""
        answer = self.rest.request("POST", f"/servers/{uuid}/docker-cleanup/run")
        return str(_read(dict[str, Any], answer)["event_uuid"])

    def servers(self) -> list[Server]:
        """All servers of the team."""
        return _read(list[Server], self.rest.request("GET", "/servers"))

    def server(self, uuid: str) -> Server:
        """One server. Raises NotFound."""
        return _read(Server, self.rest.request("GET", f"/servers/{uuid}"))

    def swarm(self, uuid: str) -> SwarmFacts:
        """What the server is in a Docker Swarm, by its engine."""
        return _read(SwarmFacts, self.rest.request("GET", f"/servers/{uuid}/swarm"))

    def server_steps(self, uuid: str) -> list[ServerStep]:
        """How making it usable goes, or went the last time."""
        return _read(list[ServerStep], self.rest.request("GET", f"/servers/{uuid}/steps"))

    def server_builds(self, uuid: str) -> list[ServerBuild]:
        """What is built there, and what waits to be."""
        return _read(list[ServerBuild], self.rest.request("GET", f"/servers/{uuid}/builds"))

    def server_metrics(
        self, uuid: str, *, since: datetime, until: datetime, step_seconds: int
    ) -> ServerMetrics:
        """What the server used, in steps."""
        query = {"from": since.isoformat(), "to": until.isoformat(), "step": step_seconds}
        return _read(ServerMetrics, self.rest.request("GET", f"/servers/{uuid}/metrics", query=query))

    def application_metrics(
        self, uuid: str, *, since: datetime, until: datetime, step_seconds: int
    ) -> ApplicationMetrics:
        """What each of the application's replicas used, in steps."""
        query = {"from": since.isoformat(), "to": until.isoformat(), "step": step_seconds}
        answer = self.rest.request("GET", f"/applications/{uuid}/metrics", query=query)
        return _read(ApplicationMetrics, answer)

    def server_replicas(self, uuid: str) -> list[ServerReplica]:
        """The replicas on a server, by application."""
        return _read(list[ServerReplica], self.rest.request("GET", f"/servers/{uuid}/replicas"))

    def events_of_all_servers(self, *, limit: int, before: datetime | None = None) -> list[RecordedEvent]:
        """What happened to any of the servers, newest first."""
        query = _page(limit, before)
        return _read(list[RecordedEvent], self.rest.request("GET", "/servers/events", query=query))

    def server_events(self, uuid: str, *, limit: int, before: datetime | None = None) -> list[RecordedEvent]:
        """What happened to the server, newest first."""
        query = _page(limit, before)
        return _read(list[RecordedEvent], self.rest.request("GET", f"/servers/{uuid}/events", query=query))

    def audit(self, *, resource_uuid: str, limit: int, before: datetime | None = None) -> list[AuditEvent]:
        """Who did what, newest first; with a uuid, only what was done to that."""
        query = {"resource_uuid": resource_uuid, **_page(limit, before)}
        return _read(list[AuditEvent], self.rest.request("GET", "/audit", query=query))

    def create_server(self, fields: Mapping[str, object]) -> Server:
        """Adds a server."""
        return _read(Server, self.rest.request("POST", "/servers", body=fields))

    def update_server(self, uuid: str, fields: Mapping[str, object]) -> Server:
        """Changes the given fields. A new way in is tried at once."""
        return _read(Server, self.rest.request("PATCH", f"/servers/{uuid}", body=fields))

    def validate_server(self, uuid: str) -> str:
        """Starts to make it usable; what was said. Raises ServerUnreachable at first contact."""
        answer = self.rest.request("POST", f"/servers/{uuid}/validate")
        return str(_read(dict[str, Any], answer).get("message", ""))

    def host_key(self, uuid: str) -> HostKeys:
        """What the server shows now. Raises ServerUnreachable."""
        return _read(HostKeys, self.rest.request("GET", f"/servers/{uuid}/host-key"))

    def accept_host_key(self, uuid: str, fingerprint: str) -> None:
        """Pins the key with this fingerprint. Raises Conflict where another one is shown."""
        self.rest.request("POST", f"/servers/{uuid}/host-key/accept", body={"fingerprint": fingerprint})

    def delete_server(self, uuid: str, *, delete_resources: bool, forget: bool = False) -> str:
        """Starts to remove a server; what is said about it. Raises NotPossibleNow while it is needed."""
        query = {"delete_resources": delete_resources, "forget": forget}
        answer = self.rest.request("DELETE", f"/servers/{uuid}", query=query)
        return str(_read(dict[str, Any], answer)["message"])

    def keys(self) -> list[PrivateKey]:
        """All private keys of the team."""
        return _read(list[PrivateKey], self.rest.request("GET", "/security/keys"))

    def create_key(
        self, name: str, private_key: str, description: str = "", *, passphrase: str = ""
    ) -> PrivateKey:
        """Stores a private key. Raises InvalidInput for `passphrase` where it needs one, or another."""
        body = {"name": name, "description": description, "private_key": private_key}
        body |= {"passphrase": passphrase} if passphrase else {}
        return _read(PrivateKey, self.rest.request("POST", "/security/keys", body=body))

    def generate_key(self, name: str, description: str = "") -> PrivateKey:
        """Makes an Ed25519 key."""
        body = {"name": name, "description": description}
        return _read(PrivateKey, self.rest.request("POST", "/security/keys/generate", body=body))

    def update_key(self, uuid: str, fields: Mapping[str, object]) -> PrivateKey:
        """Changes the given fields. Raises InvalidInput for `passphrase` as `create_key` does."""
        return _read(PrivateKey, self.rest.request("PATCH", f"/security/keys/{uuid}", body=fields))

    def delete_key(self, uuid: str) -> None:
        """Removes a private key that nothing uses."""
        self.rest.request("DELETE", f"/security/keys/{uuid}")

    def registries(self) -> list[Registry]:
        """All logins for registries of the team."""
        return _read(list[Registry], self.rest.request("GET", "/registries"))

    def create_registry(self, fields: Mapping[str, object]) -> Registry:
        """Adds a login for a registry. Raises Conflict where there is one already."""
        return _read(Registry, self.rest.request("POST", "/registries", body=fields))

    def update_registry(self, uuid: str, fields: Mapping[str, object]) -> Registry:
        """Changes the given fields. Raises InvalidInput for `password` where another host lacks its own."""
        return _read(Registry, self.rest.request("PATCH", f"/registries/{uuid}", body=fields))

    def check_registry(self, uuid: str, server_uuid: str | None = None) -> RegistryCheck:
        """Logs in to a registry from a server. One that is silent takes a while to be told of."""
        path, body = f"/registries/{uuid}/check", {"server_uuid": server_uuid}
        answer = self.rest.request("POST", path, body=body, answer_seconds=REGISTRY_SECONDS)
        return _read(RegistryCheck, answer)

    def delete_registry(self, uuid: str) -> None:
        """Forgets a login."""
        self.rest.request("DELETE", f"/registries/{uuid}")


def _page(limit: int, before: datetime | None) -> dict[str, object]:
    """So many events, only those before that moment, if one is given."""
    return {"limit": limit, "before": before and before.isoformat()}


def _read(shape: type[Model], answer: object) -> Model:
    try:
        return TypeAdapter(shape).validate_python(answer)
    except ValidationError as error:
        places = "; ".join(
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()[:3]
        )
        raise SeawayError(
            "Seaway answered something that this version of the command does not understand. "
            "Compare `seaway version` on both sides.",
            detail=places,
        ) from error
