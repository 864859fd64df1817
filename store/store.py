"""All stores on one database."""

from __future__ import annotations

from store.access import AccessStore
from store.applications import ApplicationStore
from store.audit import AuditStore
from store.builds import BuildStore
from store.database import Database
from store.deletions import DeletionStore
from store.deployments import DeploymentStore
from store.encryption import KeyRing
from store.locations import LocationStore
from store.logs import LogStore
from store.metrics import MetricStore
from store.projects import ProjectStore
from store.pulled_names import PulledNameStore
from store.registries import RegistryStore
from store.releases import ReleaseStore
from store.replicas import ReplicaStore
from store.servers import ServerStore
from store.watch import WatchStore


class Store:
    """The door to everything that Seaway remembers."""

    def __init__(self, database: Database, keys: KeyRing) -> None:
        self.database = database
        self.encryption = keys
        self.access = AccessStore(database)
        self.applications = ApplicationStore(database, keys)
        self.audit = AuditStore(database)
        self.builds = BuildStore(database)
        self.deletions = DeletionStore(database)
        self.deployments = DeploymentStore(database, keys)
        self.locations = LocationStore(database, self.applications, self.deployments)
        self.logs = LogStore(database)
        self.metrics = MetricStore(database)
        self.projects = ProjectStore(database)
        self.pulled_names = PulledNameStore(database)
        self.releases = ReleaseStore(database)
        self.replicas = ReplicaStore(database)
        self.registries = RegistryStore(database, keys)
        self.servers = ServerStore(database, keys)
        self.watch = WatchStore(database)
