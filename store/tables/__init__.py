"""All tables. Importing this package registers every one with SQLModel's metadata."""

from store.tables.access import ApiToken, Membership, Team, User
from store.tables.applications import Application, ClaimedDomain, Variable
from store.tables.audit import AuditEvent
from store.tables.deployments import DeletedApplication, Deployment, DeploymentStep, LogLine, ServerRelease
from store.tables.images import PulledName
from store.tables.metrics import MetricPoint
from store.tables.projects import Environment, Project
from store.tables.registries import Registry
from store.tables.servers import PrivateKey, Server, ServerStep
from store.tables.watch import ReplicaStanding, ServerEvent, ServerWatch

__all__ = [
    "ApiToken",
    "Application",
    "AuditEvent",
    "ClaimedDomain",
    "DeletedApplication",
    "Deployment",
    "DeploymentStep",
    "Environment",
    "LogLine",
    "Membership",
    "MetricPoint",
    "PrivateKey",
    "Project",
    "PulledName",
    "Registry",
    "ReplicaStanding",
    "Server",
    "ServerEvent",
    "ServerRelease",
    "ServerStep",
    "ServerWatch",
    "Team",
    "User",
    "Variable",
]
