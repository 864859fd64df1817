"""The empty home of the command's unit tests."""

from tests.unit.cli.conftest import home

__all__ = ["home"]
