"""Parameters that many routes take."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Header, Path, Query
from pydantic import AfterValidator

from api.context import ApiContext, context_of
from api.shown_metrics import aware


def _in_utc(moment: datetime | None) -> datetime | None:
    try:
        return moment and aware(moment)
    except OverflowError as error:
        raise ValueError("In UTC this is outside the calendar.") from error


ContextOf = Annotated[ApiContext, Depends(context_of)]

# The patterns keep out what a database refuses to compare with; what does not match is not found.
Uuid = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="The public id.")]
NameOrUuid = Annotated[
    str, Path(pattern=r"^[^\x00-\x1f\x7f/]{1,255}$", description="The name or the public id.")
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{1,255}$",
        description="The same key twice is one operation, however often the request is repeated.",
    ),
]
Skip = Annotated[int, Query(ge=0, le=10**9, description="So many of the newest are left out.")]
Take = Annotated[int, Query(ge=1, le=100, description="So many are answered at most.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="So many at most, the newest first.")]
Moment = Annotated[datetime | None, AfterValidator(_in_utc)]
Before = Annotated[Moment, Query(description="Only what happened earlier.")]
Ignored = Annotated[bool, Query(description="Coolify's; taken, and means what always happens.")]
