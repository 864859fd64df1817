"""Forms: fields with what was typed into them and what is wrong, and the answer to a refusal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, ValidationError

from api.pages.frames import Crumb, frame_of, page, wants_fragment
from api.pages.views import ActionForm, FieldView
from api.pages.visitors import Visitor
from domain.errors import InvalidInput, SeawayError
from ui.rendering import render

CHECKED = "true"
Body = TypeVar("Body", bound=BaseModel)


def checked(form: Mapping[str, str], name: str) -> bool:
    """Whether a box was ticked; browsers leave out those that are not."""
    return form.get(name) == CHECKED


def read_body(model: type[Body], values: Mapping[str, Any]) -> Body:
    """The values as the API takes them. Raises InvalidInput that names every wrong field."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems: dict[str, list[str]] = {}
        for problem in error.errors():
            problems.setdefault(str(problem["loc"][0]), []).append(f"{problem['msg']}.")
        raise InvalidInput("Look at the fields that are marked.", fields=problems) from error


def value_of(field: FieldView, form: Mapping[str, str]) -> str | bool | None:
    """What was typed into a field, as the API takes it: nothing typed is null where a number is meant."""
    if field.kind == "check":
        return checked(form, field.name)
    given = form.get(field.name, "").strip()
    if field.kind == "number" or field.is_optional:
        return given or None
    return ",".join(given.splitlines()) if field.is_list else given


def filled(
    fields: Iterable[FieldView], form: Mapping[str, str], error: SeawayError | None
) -> tuple[FieldView, ...]:
    """The fields as they were sent, each with what is wrong with it beside it."""
    problems = error.fields if isinstance(error, InvalidInput) else {}
    return tuple(
        replace(
            field,
            value=form.get(field.name, "false" if field.kind == "check" else ""),
            error=" ".join(problems.get(field.name, ())),
        )
        for field in fields
    )


def general_error(error: SeawayError, fields: Iterable[FieldView]) -> str:
    """What cannot be said beside a field; where all can, only that something is wrong."""
    problems = error.fields if isinstance(error, InvalidInput) else {}
    elsewhere = [
        f"{name}: {' '.join(messages)}"
        for name, messages in problems.items()
        if name not in {field.name for field in fields}
    ]
    if elsewhere:
        return " ".join(elsewhere)
    return "Look at the fields that are marked." if problems else error.message


def to(url: str, done: str = "") -> Response:
    """On to the next page, with a notice."""
    return RedirectResponse(f"{url}?done={quote(done)}" if done else url, HTTPStatus.SEE_OTHER)


def action_page(
    request: Request,
    visitor: Visitor,
    action: ActionForm,
    crumbs: tuple[Crumb, ...],
    status: HTTPStatus = HTTPStatus.OK,
    *,
    section: str = "applications",
) -> Response:
    """A form that asks for confirmation: a page of its own, or only its inside for a dialog."""
    frame = frame_of(request, visitor, title=action.title, crumbs=crumbs, section=section)
    if wants_fragment(request):
        return HTMLResponse(render("fragments/action.html", frame=frame, action=action), status)
    return page("action", frame, status, action=action)
