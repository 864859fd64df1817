"""Whether the API answers, and which version it is."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse

from api.authentication import Reader
from api.routes.parameters import ContextOf

router = APIRouter(tags=["Default"])
open_router = APIRouter(tags=["Default"])


@open_router.get("/health", response_class=PlainTextResponse, summary="Whether the API answers")
async def healthcheck() -> str:
    """Answers `OK` to everybody."""
    return "OK"


@router.get("/version", response_class=PlainTextResponse, summary="The version of Seaway")
async def version(context: ContextOf, principal: Reader) -> str:
    """The version as plain text."""
    return context.settings.version
