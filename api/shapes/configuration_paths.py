"""One value deep within a configuration, by its dotted path."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel

from domain.errors import InvalidInput

Model = TypeVar("Model", bound=BaseModel)


def read_path(model: BaseModel, path: str) -> Any:
    """The value, or None where this kind of source has none."""
    value: Any = model
    for name in path.split("."):
        if name not in type(value).model_fields:
            return None
        value = getattr(value, name)
    return value


def replace_path(model: Model, path: str, value: Any) -> Model:
    """The model with another value there. Raises InvalidInput where this kind of source has none.

    Nothing is fine there too, because clients send fields that do not apply as null or empty.
    """
    name, _, rest = path.partition(".")
    if name not in type(model).model_fields:
        if value in (None, "", "HEAD", False):
            return model
        raise InvalidInput("An application from a Docker image has no such field.")
    return model.model_copy(update={name: replace_path(getattr(model, name), rest, value) if rest else value})
