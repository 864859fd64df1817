"""The environment of builds and replicas: who wins, what is expanded, and where secrets may go."""

from __future__ import annotations

import pytest
from hypothesis import given as forall
from hypothesis import strategies as st
from pydantic import SecretStr

from domain.configuration import ApplicationConfiguration, EnvironmentVariable, ImageSource, RuntimeOptions
from domain.environment import build_arguments, build_secrets, given_variables, runtime_environment

TOKEN = "t0p-secret"


def variable(key: str, value: str, **flags: bool) -> EnvironmentVariable:
    return EnvironmentVariable(key=key, value=SecretStr(value), **flags)


def application(*variables: EnvironmentVariable) -> ApplicationConfiguration:
    return ApplicationConfiguration(
        application_id="a" * 24,
        name="shop",
        team_id="t" * 24,
        project_id="p" * 24,
        server_ids=("s" * 24,),
        source=ImageSource(reference="shop:1"),
        runtime=RuntimeOptions(port=8080),
        environment=variables,
    )


def given_to(configuration: ApplicationConfiguration) -> dict[str, str]:
    return given_variables(
        configuration,
        commit="c" * 40,
        branch="main",
        public_urls=("https://a.com", "http://b.com:8080/api", "http://a.com"),
        container_name="shop-1",
        deployment_id="d" * 24,
    )


def test_an_application_is_told_who_and_where_it_is_under_both_names() -> None:
    urls = "https://a.com,http://b.com:8080/api,http://a.com"
    assert given_to(application()) == {
        "PORT": "8080",
        "HOST": "0.0.0.0",
        "SOURCE_COMMIT": "c" * 40,
        "SEAWAY_URL": urls,
        "SEAWAY_FQDN": "a.com,b.com",
        "SEAWAY_BRANCH": "main",
        "SEAWAY_RESOURCE_UUID": "a" * 24,
        "SEAWAY_CONTAINER_NAME": "shop-1",
        "SEAWAY_DEPLOYMENT_UUID": "d" * 24,
        "COOLIFY_URL": urls,
        "COOLIFY_FQDN": "a.com,b.com",
        "COOLIFY_BRANCH": "main",
        "COOLIFY_RESOURCE_UUID": "a" * 24,
        "COOLIFY_CONTAINER_NAME": "shop-1",
    }


def test_the_owners_variables_win_over_the_given_ones_where_they_apply() -> None:
    configuration = application(variable("HOST", "::"), variable("PORT", "1", is_runtime=False))
    given = given_to(configuration)
    assert runtime_environment(configuration, given)["HOST"] == "::"
    assert runtime_environment(configuration, given)["PORT"] == "8080"
    assert build_arguments(configuration, given)["PORT"] == "1"


@pytest.mark.parametrize(
    ("value", "expanded"),
    [
        ("http://$HOST:${PORT}/", "http://0.0.0.0:8080/"),
        ("$OTHER-x", "$PORT-x"),
        ("$UNKNOWN ${UNKNOWN} $ $$ ${", "$UNKNOWN ${UNKNOWN} $ $$ ${"),
        ("$2y$10$hash", "$2y$10$hash"),
        ("${PORT:-1}", "${PORT:-1}"),
        ("$VALUE", "$VALUE"),
        ("$PORTAL", "$PORTAL"),
        ("${PORT}AL", "8080AL"),
    ],
)
def test_a_reference_is_replaced_once_and_an_unknown_one_is_left(value: str, expanded: str) -> None:
    configuration = application(variable("VALUE", value), variable("OTHER", "$PORT"))
    assert runtime_environment(configuration, given_to(configuration))["VALUE"] == expanded


def test_a_literal_value_is_never_touched() -> None:
    configuration = application(variable("VALUE", "$PORT", is_literal=True))
    assert runtime_environment(configuration, given_to(configuration))["VALUE"] == "$PORT"


def test_a_variable_that_names_itself_means_the_given_one() -> None:
    configuration = application(variable("HOST", "$HOST,::1"))
    assert runtime_environment(configuration, given_to(configuration))["HOST"] == "0.0.0.0,::1"


def test_a_build_secret_reaches_no_argument_by_any_way() -> None:
    configuration = application(
        variable("TOKEN", TOKEN, is_build_secret=True),
        variable("URL", "https://$TOKEN@host/${TOKEN}"),
        variable("ONLY_RUNTIME", "x", is_buildtime=False),
        variable("PLAIN", "y"),
    )
    arguments = build_arguments(configuration, given_to(configuration) | {"TOKEN": "given"})
    assert not any(TOKEN in value for value in arguments.values())
    assert "TOKEN" not in arguments
    assert "ONLY_RUNTIME" not in arguments
    assert arguments["PLAIN"] == "y"


def test_arguments_do_not_change_between_deployments_of_one_commit() -> None:
    configuration = application()
    first = given_to(configuration)
    second = first | {
        "SEAWAY_CONTAINER_NAME": "shop-2",
        "COOLIFY_CONTAINER_NAME": "shop-2",
        "SEAWAY_DEPLOYMENT_UUID": "e" * 24,
    }
    assert build_arguments(configuration, first) == build_arguments(configuration, second)


def test_build_secrets_are_secret_and_expanded() -> None:
    configuration = application(
        variable("USER", "me"),
        variable("LOGIN", f"$USER:{TOKEN}", is_build_secret=True),
        variable("LATER", "x", is_build_secret=True, is_buildtime=False),
    )
    secrets = build_secrets(configuration)
    assert {key: value.get_secret_value() for key, value in secrets.items()} == {"LOGIN": f"me:{TOKEN}"}
    assert TOKEN not in repr(secrets)


@forall(st.dictionaries(st.sampled_from("ABCD"), st.text(alphabet="$ABCD{} "), max_size=4))
def test_expansion_ends_and_keeps_every_key(values: dict[str, str]) -> None:
    configuration = application(*(variable(key, value) for key, value in values.items()))
    assert runtime_environment(configuration, {}).keys() == values.keys()
