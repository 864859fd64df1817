"""The prepared store of the API's unit tests."""

from tests.unit.api.conftest import prepared

__all__ = ["prepared"]
