"""The environment that builds and replicas of an application get."""

from __future__ import annotations

from pydantic import SecretStr

from activities.servers import Surroundings
from domain.configuration import ApplicationConfiguration, GitSource
from domain.domains import public_urls
from domain.environment import build_arguments, given_variables, runtime_environment
from store.store import Store
from store.tables import Deployment


async def _public_urls(
    store: Store, configuration: ApplicationConfiguration, surroundings: Surroundings
) -> list[str]:
    local_ids = await store.servers.local_ids()
    return public_urls(configuration, local_ids, surroundings.http_port, surroundings.https_port)


async def build_environment(
    store: Store, configuration: ApplicationConfiguration, surroundings: Surroundings, *, commit: str
) -> dict[str, str]:
    """The build arguments of a commit, without secrets and without what differs in every deployment."""
    source = configuration.source
    given = given_variables(
        configuration,
        commit=commit,
        branch=source.branch if isinstance(source, GitSource) else "",
        public_urls=await _public_urls(store, configuration, surroundings),
        container_name="",
        deployment_id="",
    )
    return build_arguments(configuration, given)


async def replica_environment(
    store: Store,
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
        public_urls=await _public_urls(store, configuration, surroundings),
        container_name=container_name,
        deployment_id=deployment.id,
    )
    environment = runtime_environment(configuration, given)
    return {key: SecretStr(value) for key, value in environment.items()}
