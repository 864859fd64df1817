"""Names on the wire: workflow types, updates, queries, ids and search attributes."""

from __future__ import annotations

from temporalio.common import SearchAttributeKey

TASK_QUEUE = "seaway"
APPLICATION_WORKFLOW = "application"
DEPLOYMENT_WORKFLOW = "deployment"
SERVER_WORKFLOW = "server"
CLEAN_UP_WORKFLOW = "clean-up-servers"
SUBMIT_UPDATE = "submit"
CANCEL_UPDATE = "cancel"
PROVISION_UPDATE = "provision"
REMOVE_UPDATE = "remove"
LEASE_BUILD_SLOT_UPDATE = "lease-build-slot"
RELEASE_BUILD_SLOT_SIGNAL = "release-build-slot"
BUILD_SLOT_GRANTED_SIGNAL = "build-slot-granted"
PROGRESS_QUERY = "progress"

TEAM = SearchAttributeKey.for_keyword("SeawayTeam")
PROJECT = SearchAttributeKey.for_keyword("SeawayProject")
APPLICATION = SearchAttributeKey.for_keyword("SeawayApplication")
SERVER = SearchAttributeKey.for_keyword("SeawayServer")
KIND = SearchAttributeKey.for_keyword("SeawayKind")
OUTCOME = SearchAttributeKey.for_keyword("SeawayOutcome")
GIT_REFERENCE = SearchAttributeKey.for_keyword("SeawayGitRef")
LONGEST_KEYWORD = 255
"""Characters; Temporal's SQL stores take no longer one."""

SEARCH_ATTRIBUTES = (TEAM, PROJECT, APPLICATION, SERVER, KIND, OUTCOME, GIT_REFERENCE)


def application_workflow_id(application_id: str) -> str:
    """The id of an application's one queue."""
    return f"application/{application_id}"


def deployment_workflow_id(deployment_id: str) -> str:
    """The id of a deployment's workflow."""
    return f"deployment/{deployment_id}"


def clean_up_workflow_id(server_id: str) -> str:
    """The id of the clean-up of one server that somebody asked for."""
    return f"{CLEAN_UP_WORKFLOW}/{server_id}"


def server_workflow_id(server_id: str) -> str:
    """The id of a server's workflow."""
    return f"server/{server_id}"
