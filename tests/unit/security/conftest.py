"""The API and its tenants, as the tests of the API have them."""

from __future__ import annotations

from tests.integration.api.conftest import app, application, client, prepared, refilled, seaway

__all__ = ["app", "application", "client", "prepared", "refilled", "seaway"]
