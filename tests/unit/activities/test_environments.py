"""What builds and containers are told of where their application is visited."""

from __future__ import annotations

from pathlib import Path

import pytest

from activities.environments import build_environment, replica_environment
from activities.servers import Surroundings
from domain.configuration import ApplicationConfiguration, Domain, ImageSource, RoutingOptions
from store.store import Store
from store.tables import Deployment

SURROUNDINGS = Surroundings(work_folder=Path("/nowhere"), http_port=8081, https_port=8443)


@pytest.mark.parametrize(
    ("server", "url"), [("local", "http://shop.example.com:8081"), ("far", "http://shop.example.com")]
)
async def test_only_on_seaways_own_machine_its_proxys_ports_are_in_the_urls(
    servers_store: Store, server: str, url: str
) -> None:
    configuration = ApplicationConfiguration(
        application_id="shop",
        name="shop",
        team_id="team",
        project_id="project",
        server_ids=(server,),
        source=ImageSource(reference="shop:1"),
        routing=RoutingOptions(domains=(Domain(host="shop.example.com"),)),
    )
    arguments = await build_environment(servers_store, configuration, SURROUNDINGS, commit="c0ffee")
    deployment = Deployment(application_id="shop")
    environment = await replica_environment(servers_store, configuration, SURROUNDINGS, deployment, "shop-1")
    for name in ("SEAWAY_URL", "COOLIFY_URL"):
        assert arguments[name] == url
        assert environment[name].get_secret_value() == url
