"""The web application: the REST API, its description, and the pages if they are given."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline

from api.context import ApiContext
from api.description import describe
from api.errors import install_error_handlers
from api.response_headers import ResponseHeaders
from api.routes import (
    application_creation,
    applications,
    audit,
    deploy,
    deployment_logs,
    deployments,
    environment_variables,
    environments,
    health,
    metrics,
    operations,
    private_keys,
    projects,
    registries,
    runtime_logs,
    server_clean_up,
    server_details,
    servers,
    storages,
    teams,
    terminals,
)
from api.streams import allow_streams
from api.terminals import TerminalPlaces
from api.throttling import LoginThrottle, RequestLimiter

PREFIX = "/api/v1"
MAXIMUM_BODY_BYTES = 8 * 1024**2

ROUTERS = (
    health.router,
    teams.router,
    audit.router,
    projects.router,
    environments.router,
    # Before the servers: /servers/events is no server.
    metrics.router,
    servers.router,
    server_details.router,
    server_clean_up.router,
    private_keys.router,
    registries.router,
    application_creation.router,
    applications.router,
    runtime_logs.router,
    environment_variables.router,
    storages.router,
    operations.router,
    deploy.router,
    deployments.router,
    deployment_logs.router,
)

DESCRIPTION = """Names and shapes are those of Coolify's API where it has the operation.
Answers to a creation or a change hold the whole resource. Send `Idempotency-Key` with an operation
and repeat it as often as you like. `/deployments/{uuid}/stream` follows a deployment live."""


def create_api(context: ApiContext, *, pages: APIRouter | None = None) -> FastAPI:
    """The application for an ASGI server. `pages` is the user interface, below `/`."""
    # The same as FastAPI's own class, with the page at /docs served from here instead of a CDN.
    app = FastAPIOffline(
        title="Seaway",
        version=context.settings.version,
        description=DESCRIPTION,
        redoc_url=None,
        generate_unique_id_function=_operation_id,
    )
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]  # FastAPI's own way to extend it
    app.state.context = context
    app.state.request_limiter = RequestLimiter(context.settings.requests_per_minute)
    app.state.login_throttle = LoginThrottle()
    app.state.terminal_places = TerminalPlaces()
    install_error_handlers(app)
    app.add_middleware(ResponseHeaders)
    allow_streams()
    app.include_router(health.open_router, prefix="/api", include_in_schema=False)
    app.include_router(health.open_router, prefix=PREFIX)
    for router in ROUTERS:
        app.include_router(router, prefix=PREFIX, max_body_size=MAXIMUM_BODY_BYTES)
    app.include_router(terminals.router, prefix=PREFIX)
    if pages is not None:
        app.include_router(pages, include_in_schema=False)
    return app


def _operation_id(route: APIRoute) -> str:
    """The names of Coolify's description, from which clients are generated."""
    return route.name.replace("_", "-")
