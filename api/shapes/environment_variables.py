"""Environment variables of an application."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field, SecretStr

from api.shapes.answers import Body, Resource, number_of
from domain.configuration import EnvironmentVariable
from domain.errors import InvalidInput
from domain.names import validate_variable_key
from store.tables import Variable

MAXIMUM_VALUE_BYTES = 128 * 1024 - 1024
"""Linux gives a process at most 128 KiB for one variable (MAX_ARG_STRLEN), its name included."""


class WriteVariable(Body):
    """A variable. What is left out keeps its value where the variable exists."""

    key: str
    value: SecretStr | None = None
    is_preview: bool = False
    is_runtime: bool | None = None
    is_buildtime: bool | None = None
    is_literal: bool | None = None
    is_multiline: bool | None = None
    is_shown_once: bool | None = Field(default=None, description="Never show the value again.")
    is_build_secret: bool | None = Field(
        default=None, description="Reaches the build by its session, never as an argument."
    )
    comment: str | None = None


class WriteVariables(Body):
    """Several variables; all of them are written, or none."""

    data: list[WriteVariable] = Field(max_length=1000)


class VariableAnswer(Resource):
    """A variable. Its value is shown only to those who may see secrets, and never if `is_shown_once`."""

    key: str
    value: str | None
    real_value: str | None
    is_preview: bool
    is_runtime: bool
    is_buildtime: bool
    is_literal: bool
    is_multiline: bool
    is_shown_once: bool
    is_build_secret: bool
    is_shared: bool = False
    comment: str | None
    version: str
    resourceable_type: str = "application"
    resourceable_id: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: Variable, revealed: EnvironmentVariable, *, with_secrets: bool) -> VariableAnswer:
        """The answer for a variable."""
        is_shown = with_secrets and not row.is_shown_once
        value = revealed.value.get_secret_value() if is_shown else None
        return cls(
            id=number_of(row.id),
            uuid=row.id,
            key=row.key,
            value=value,
            real_value=value,
            is_preview=row.is_preview,
            is_runtime=row.is_runtime,
            is_buildtime=row.is_buildtime,
            is_literal=row.is_literal,
            is_multiline=row.is_multiline,
            is_shown_once=row.is_shown_once,
            is_build_secret=row.is_build_secret,
            comment=row.comment or None,
            version="1",
            resourceable_id=number_of(row.application_id),
            created_at=row.created_at,
            updated_at=row.updated_at,
        )


def variable_to_write(
    body: WriteVariable, known: Variable | None, known_value: SecretStr | None
) -> tuple[Variable, SecretStr]:
    """The row and value to write. Raises InvalidInput."""
    row = Variable(application_id="", key=validate_variable_key(body.key), value_sealed="")
    row.is_preview = body.is_preview
    for name in (
        "is_runtime",
        "is_buildtime",
        "is_literal",
        "is_multiline",
        "is_shown_once",
        "is_build_secret",
        "comment",
    ):
        given = getattr(body, name)
        if given is not None:
            setattr(row, name, given)
        elif known is not None:
            setattr(row, name, getattr(known, name))
    if row.is_build_secret and not row.is_buildtime:
        raise InvalidInput("A build secret must be there at build time.", field="is_build_secret")
    if "\0" in row.comment or len(row.comment) > 4096:
        raise InvalidInput("A comment has at most 4096 characters, none of them null.", field="comment")
    # An empty value is a value, and falsy.
    value = known_value if body.value is None else body.value
    return row, _checked_value(SecretStr("") if value is None else value)


def _checked_value(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if "\0" in text:
        raise InvalidInput("A value cannot hold a null character.", field="value")
    if len(text.encode()) > MAXIMUM_VALUE_BYTES:
        raise InvalidInput(f"A value has at most {MAXIMUM_VALUE_BYTES} bytes.", field="value")
    return value
