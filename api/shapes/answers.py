"""Shapes that every resource shares."""

from __future__ import annotations

import hashlib
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator


class Body(BaseModel):
    """What a request carries. Unknown fields are refused, because a typo must not pass as done."""

    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)
    may_hold_null: ClassVar[frozenset[str]] = frozenset()
    """Fields that reach the database only sealed."""

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_what_no_text_holds(cls, value: object, info: ValidationInfo) -> object:
        """JSON can hold halves of surrogate pairs (RFC 8259, section 8.2), which UTF-8 cannot, and null
        characters, which PostgreSQL neither keeps nor compares with.
        """
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and any("\ud800" <= character <= "\udfff" for character in text):
                raise ValueError("This holds half of a character, which no text can.")
            if isinstance(text, str) and "\0" in text and info.field_name not in cls.may_hold_null:
                raise ValueError("This holds a null character.")
        return value


class Answer(BaseModel):
    """What the API answers."""

    model_config = ConfigDict(from_attributes=True)


class Resource(Answer):
    """A thing with a public id. `id` is a number only for clients that must have one."""

    id: int = Field(description="A number derived from the uuid. Use the uuid.")
    uuid: str


class Done(Answer):
    """That it is done."""

    message: str


class Queued(Answer):
    """An operation was accepted; its deployment tells how it goes."""

    message: str
    deployment_uuid: str


class Problem(Answer):
    """Why it was not done. `code` is stable, `message` is for people."""

    message: str
    code: str
    detail: str | None = None


class ValidationProblem(Problem):
    """Which parts of the request are wrong, and why."""

    errors: dict[str, list[str]] = Field(default_factory=dict)


class DomainConflict(Answer):
    """An address that another application has. Its name is shown only within its team."""

    domain: str
    resource_name: str | None
    resource_uuid: str | None
    resource_type: str
    message: str


class DomainConflicts(Problem):
    """Which addresses are taken."""

    warning: str
    conflicts: list[DomainConflict]


def number_of(uuid: str) -> int:
    """A number for a public id, always the same, below 2^48 so that JavaScript can hold it."""
    return int.from_bytes(hashlib.sha256(uuid.encode()).digest()[:6], "big")
