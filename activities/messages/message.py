"""What all messages have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Message(BaseModel):
    """An immutable message."""

    model_config = ConfigDict(frozen=True)


class Nothing(Message):
    """An answer without content."""
