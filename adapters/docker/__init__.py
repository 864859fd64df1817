"""The Docker Engine of one server, over its unix socket (a remote one is forwarded to a local path)."""

from adapters.docker.engine import DockerEngine
from adapters.docker.specifications import ContainerSpecification, MountSpecification
from adapters.docker.states import ContainerState, EngineFacts, LogEntry

__all__ = [
    "ContainerSpecification",
    "ContainerState",
    "DockerEngine",
    "EngineFacts",
    "LogEntry",
    "MountSpecification",
]
