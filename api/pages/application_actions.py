"""Deploy, restart, stop, start, scale and delete: each asks first, and then becomes a deployment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from api.authentication import Ability
from api.operation_requests import request_operation, require_deployed
from api.pages.application import OwnApplication, crumbs_of
from api.pages.application_views import application_url
from api.pages.forms import action_page, checked, filled, general_error, to
from api.pages.frames import Crumb
from api.pages.page_route import NOT_HERE, PageRoute
from api.pages.views import ActionForm, FieldView
from api.pages.visitors import Context, OwnForm, Visiting
from domain.configuration import ApplicationConfiguration, GitSource
from domain.deployments import OperationKind
from domain.errors import InvalidInput, NotFound, SeawayError
from domain.git_references import HEAD, validate_revision
from domain.identifiers import is_identifier, new_identifier
from store.tables import Application

router = APIRouter(route_class=PageRoute, include_in_schema=False)

MOST_REPLICAS = 100
Options = dict[str, object]


@dataclass(frozen=True)
class Action:
    """One kind of operation as a form: what it says, what may be chosen, and what that means."""

    kind: OperationKind
    title: str
    button: str
    explanation: tuple[str, ...]
    fields: Callable[[ApplicationConfiguration], tuple[FieldView, ...]]
    read: Callable[[ApplicationConfiguration, Mapping[str, str]], Options]
    is_dangerous: bool = False
    needs_release: bool = True
    ability: Ability = Ability.DEPLOY


def _no_fields(_configuration: ApplicationConfiguration) -> tuple[FieldView, ...]:
    return ()


def _no_options(_configuration: ApplicationConfiguration, _form: Mapping[str, str]) -> Options:
    return {}


def _deploy_fields(configuration: ApplicationConfiguration) -> tuple[FieldView, ...]:
    source = configuration.source
    if not isinstance(source, GitSource):
        return ()
    pinned = "" if source.commit == HEAD else source.commit
    return (
        FieldView("branch", "Branch or tag", placeholder=source.branch, is_code=True),
        FieldView("commit", "Commit", placeholder=pinned or "the newest", is_code=True),
        FieldView("force", "Build without the cache", kind="check", value="false"),
    )


def _deploy_options(_configuration: ApplicationConfiguration, form: Mapping[str, str]) -> Options:
    revisions = {}
    problems: dict[str, list[str]] = {}
    for name in ("branch", "commit"):
        given = form.get(name, "").strip()
        try:
            revisions[name] = validate_revision(given) if given else ""
        except InvalidInput as error:
            problems[name] = [error.message]
    if problems:
        raise InvalidInput("Look at the fields that are marked.", fields=problems)
    return {**revisions, "force": checked(form, "force")}


def _scale_fields(configuration: ApplicationConfiguration) -> tuple[FieldView, ...]:
    replicas = str(configuration.runtime.replicas)
    return (FieldView("replicas", "Replicas", kind="number", value=replicas, required=True, autofocus=True),)


def _scale_options(configuration: ApplicationConfiguration, form: Mapping[str, str]) -> Options:
    given = form.get("replicas", "").strip()
    if not (given.isascii() and given.isdigit() and len(given) <= 4 and 1 <= int(given) <= MOST_REPLICAS):
        raise InvalidInput(f"A whole number from 1 to {MOST_REPLICAS}.", field="replicas")
    if int(given) > 1 and configuration.runtime.port_mappings:
        raise InvalidInput("Replicas cannot share a port of the host: remove the mapping.", field="replicas")
    return {"replicas": int(given)}


def _delete_fields(configuration: ApplicationConfiguration) -> tuple[FieldView, ...]:
    return (
        FieldView(
            "name",
            f"Type {configuration.name} to confirm",
            placeholder=configuration.name,
            required=True,
            autofocus=True,
        ),
        FieldView(
            "delete_volumes",
            "Delete its volumes too",
            kind="check",
            value="false",
            hint="The data in them is lost for good.",
        ),
    )


def _delete_options(configuration: ApplicationConfiguration, form: Mapping[str, str]) -> Options:
    if form.get("name", "").strip() != configuration.name:
        raise InvalidInput(f"This is not the name. Type {configuration.name}.", field="name")
    return {"delete_volumes": checked(form, "delete_volumes")}


ACTIONS: Mapping[str, Action] = {
    "deploy": Action(
        OperationKind.DEPLOY,
        "Deploy",
        "Deploy",
        ("The new version takes over once it is healthy. Until then, what runs now keeps serving.",),
        _deploy_fields,
        _deploy_options,
        needs_release=False,
    ),
    "restart": Action(
        OperationKind.RESTART,
        "Restart",
        "Restart",
        ("Fresh containers of the same version take over, then the old ones stop. No request is lost.",),
        _no_fields,
        _no_options,
    ),
    "start": Action(
        OperationKind.START,
        "Start",
        "Start",
        ("The version that served last comes back.",),
        _no_fields,
        _no_options,
    ),
    "stop": Action(
        OperationKind.STOP,
        "Stop",
        "Stop it",
        (
            "Its addresses stop answering. Open requests may finish, then the containers stop.",
            "Volumes and images stay, so it can be started again.",
        ),
        _no_fields,
        _no_options,
        is_dangerous=True,
    ),
    "scale": Action(
        OperationKind.SCALE,
        "Scale",
        "Scale",
        ("How many containers of this application run on each server.",),
        _scale_fields,
        _scale_options,
    ),
    "delete": Action(
        OperationKind.DELETE,
        "Delete",
        "Delete for good",
        ("It stops serving, and its containers, images, routes, deployments and variables are removed.",),
        _delete_fields,
        _delete_options,
        is_dangerous=True,
        needs_release=False,
        ability=Ability.WRITE,
    ),
}


def action_of(action: str) -> Action:
    """The action of the address. Raises NotFound."""
    if action not in ACTIONS:
        raise NotFound(NOT_HERE)
    return ACTIONS[action]


OwnAction = Annotated[Action, Depends(action_of)]


def _form(
    action: Action, application: Application, configuration: ApplicationConfiguration, key: str
) -> ActionForm:
    return ActionForm(
        url=f"{application_url(application.id)}/{action.kind}",
        title=f"{action.title} {application.name}",
        button=action.button,
        back_url=application_url(application.id),
        explanation=action.explanation,
        fields=action.fields(configuration),
        is_dangerous=action.is_dangerous,
        idempotency_key=key,
    )


@router.get("/applications/{application_id}/{action}")
async def action_form(
    request: Request, context: Context, visitor: Visiting, application: OwnApplication, chosen: OwnAction
) -> Response:
    """The question."""
    visitor.must(chosen.ability)
    configuration, _ = context.store.applications.configured(application)
    form = _form(chosen, application, configuration, new_identifier())
    return action_page(request, visitor, form, crumbs_of(application, Crumb(chosen.title)))


@router.post("/applications/{application_id}/{action}")
async def act(
    request: Request,
    context: Context,
    visitor: Visiting,
    application: OwnApplication,
    chosen: OwnAction,
    form: OwnForm,
) -> Response:
    """The answer: queues the operation once, however often the form arrives."""
    visitor.must(chosen.ability)
    key = form.get("idempotency_key", "")
    key = key if is_identifier(key) else new_identifier()
    configuration, _ = context.store.applications.configured(application)
    try:
        if chosen.needs_release:
            require_deployed(application)
        queued = await request_operation(
            context,
            visitor.principal,
            application,
            chosen.kind,
            idempotency_key=key,
            **chosen.read(configuration, form),
        )
    except SeawayError as error:
        asked = _form(chosen, application, configuration, key)
        again = replace(
            asked,
            fields=filled(asked.fields, form, error),
            error=general_error(error, asked.fields),
            idempotency_key=new_identifier(),
        )
        crumbs = crumbs_of(application, Crumb(chosen.title))
        return action_page(request, visitor, again, crumbs, HTTPStatus(error.http_status))
    return to(f"/deployments/{queued.deployment.id}")
