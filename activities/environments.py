"""The environment that builds and replicas of an application get."""

from __future__ import annotations

from pydantic import SecretStr

from activities.servers import Surroundings
from domain.configuration import ApplicationConfiguration, GitSource
from domain.domains import public_url
from domain.environment import build_arguments, given_variables, runtime_environment
from store.tables import Deployment


def _public_urls(configuration: ApplicationConfiguration, surroundings: Surroundings) -> list[str]:
    return [
        public_url(domain, surroundings.http_port, surroundings.https_port)
        for domain in configuration.routing.domains
    ]


def build_environment(
    configuration: ApplicationConfiguration, surroundings: Surroundings, *, commit: str
) -> dict[str, str]:
    """The build arguments of a commit, without secrets and without what differs in every deployment."""
    source = configuration.source
    given = given_variables(
        configuration,
        commit=commit,
        branch=source.branch if isinstance(source, GitSource) else "",
        public_urls=_public_urls(configuration, surroundings),
        container_name="",
        deployment_id="",
    )
    return build_arguments(configuration, given)


def replica_environment(
    configuration: ApplicationConfiguration,
    surroundings: Surroundings,
    deployment: Deployment,
    container_name: str,
) -> dict[str, SecretStr]:
    """What one container of a release sees."""
    given = given_variables(
        configuration,
        commit=deployment.commit,
        branch=deployment.branch,
        public_urls=_public_urls(configuration, surroundings),
        container_name=container_name,
        deployment_id=deployment.id,
    )
    environment = runtime_environment(configuration, given)
    return {key: SecretStr(value) for key, value in environment.items()}
