"""All tables. Importing this package registers every one with SQLModel's metadata."""

from store.tables.access import ApiToken, Membership, Team, User
from store.tables.applications import Application, ClaimedDomain, Variable
from store.tables.audit import AuditEvent
from store.tables.deployments import Deployment, DeploymentStep, LogLine
from store.tables.projects import Environment, Project
from store.tables.servers import PrivateKey, Server, ServerStep

__all__ = [
    "ApiToken",
    "Application",
    "AuditEvent",
    "ClaimedDomain",
    "Deployment",
    "DeploymentStep",
    "Environment",
    "LogLine",
    "Membership",
    "PrivateKey",
    "Project",
    "Server",
    "ServerStep",
    "Team",
    "User",
    "Variable",
]
