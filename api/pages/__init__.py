"""The pages of the web interface: HTML for people, on the same store and operations as the API."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from api.pages import (
    application,
    application_actions,
    applications,
    deployment_actions,
    deployments,
    login,
    metrics,
    new_application,
    new_server,
    private_keys,
    registries,
    runtime_logs,
    server_actions,
    servers,
    settings,
    static_files,
    variables,
)
from api.pages.page_route import NOT_HERE, PageRoute
from domain.errors import NotFound

API_PREFIX = "/api/"


def pages_router() -> APIRouter:
    """Every page. It must be included last: its last route answers for whatever is nowhere else."""
    router = APIRouter(include_in_schema=False)
    for module in (
        static_files,
        login,
        applications,
        new_application,
        application,
        variables,
        settings,
        runtime_logs,
        metrics,
        application_actions,
        deployments,
        deployment_actions,
        new_server,
        servers,
        server_actions,
        private_keys,
        registries,
    ):
        router.include_router(module.router)
    router.add_api_route("/{path:path}", _nowhere, methods=["GET"], route_class_override=PageRoute)
    return router


async def _nowhere(request: Request) -> Response:
    """A page that does not exist."""
    if request.url.path.startswith(API_PREFIX):
        raise HTTPException(404)
    raise NotFound(NOT_HERE)
