"""Styles, scripts and pictures of the pages."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from starlette.staticfiles import StaticFiles

from ui.rendering import STATIC, static_version

router = APIRouter(include_in_schema=False)
_files = StaticFiles(directory=STATIC)
FOR_EVER = "public, max-age=31536000, immutable"


@router.get("/static/{version}/{name:path}")
async def static_file(request: Request, version: str, name: str) -> Response:
    """A static file. Browsers keep the present version for ever, and any other only for this once."""
    response = await _files.get_response(name, request.scope)
    response.headers["Cache-Control"] = FOR_EVER if version == static_version() else "no-cache"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
