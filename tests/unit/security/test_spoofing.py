"""No application can pass for another one, for Seaway's own parts, or for the dashboard."""

from __future__ import annotations

import pytest

from domain.errors import InvalidInput
from domain.identifiers import new_identifier
from domain.names import validate_network_alias
from domain.replicas import release_command_name, replica_name


def test_no_alias_is_the_name_of_a_container_that_the_proxy_sends_visitors_to() -> None:
    victim, release = new_identifier(), new_identifier()
    for name in (replica_name(victim, release, 1), release_command_name(victim, release)):
        for alias in (name, name.upper(), f" {name} "):
            with pytest.raises(InvalidInput, match="container of Seaway"):
                validate_network_alias(alias)


@pytest.mark.parametrize("alias", ["database", "my-api.internal", f"{'a' * 24}-{'b' * 23}"])
def test_other_aliases_are_taken(alias: str) -> None:
    assert validate_network_alias(alias) == alias
