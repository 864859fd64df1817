"""Settings: from the command line, else the environment (`SEAWAY_…`, `TEMPORAL_…`), else defaults."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from domain.metrics import Resolution, resolutions


def default_data_folder() -> Path:
    """Where Seaway keeps everything, for the user that it runs as."""
    if os.geteuid() == 0:
        return Path("/var/lib/seaway")
    return Path.home() / ".local" / "share" / "seaway"


class Settings(BaseSettings):
    """Everything that can be set; `docs/settings.md` is the table of these."""

    model_config = SettingsConfigDict(env_prefix="SEAWAY_", populate_by_name=True, extra="ignore")

    data_dir: Path = Field(default_factory=default_data_folder)
    instance: str = Field(default="seaway", pattern=r"^[a-z][a-z0-9-]{0,30}$")
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    public_url: str = ""
    http_port: int = Field(default=80, ge=1, le=65535)
    https_port: int = Field(default=443, ge=1, le=65535)
    proxy_api_port: int = Field(default=8089, ge=1, le=65535)
    edge_port: int = Field(default=9480, ge=1, le=65535)
    wildcard_domain: str = ""
    database_url: str = ""
    secret_keys: SecretStr = SecretStr("")
    docker_socket: str = Field(default="", validation_alias=AliasChoices("SEAWAY_DOCKER_SOCKET"))
    local_server: bool = Field(default=True, description="Use this machine's engine, if there is one.")
    temporal_port: int = Field(default=7233, ge=1, le=65535)
    temporal_ui_port: int = Field(default=8233, ge=1, le=65535)
    temporal_address: str = Field(
        default="", validation_alias=AliasChoices("temporal_address", "TEMPORAL_ADDRESS")
    )
    temporal_namespace: str = Field(
        default="default", validation_alias=AliasChoices("temporal_namespace", "TEMPORAL_NAMESPACE")
    )
    temporal_ui_url: str = ""
    admin_email: str = "admin@seaway.localhost"
    admin_password: SecretStr = SecretStr("")
    shutdown_seconds: int = Field(default=10, ge=0)
    requests_per_minute: int = Field(default=200, ge=1, description="Of one API token.")
    watch_seconds: int = Field(default=10, ge=1, le=60)
    disk_threshold_percent: int = Field(default=85, ge=1, le=100)
    metrics_measured_hours: int = Field(default=2, ge=1, le=24)
    metrics_minutes_days: int = Field(default=2, ge=1, le=31)
    metrics_quarters_days: int = Field(default=30, ge=1, le=3650)
    server_check_seconds: int = Field(default=60, ge=1)
    lost_server_seconds: int = Field(default=600, ge=1)
    minimum_free_disk_mb: int = Field(default=1000, ge=0, description="For a build; 0 looks at nothing.")
    clean_up_minutes: int = Field(default=60, ge=0, description="Between two clean-ups; 0 is never.")
    build_cache_gb: int = Field(default=20, ge=1, description="Kept on a server that is Seaway's alone.")
    build_cpu_percent: int = Field(default=90, ge=0, le=100, description="Of a server; 0 is no limit.")
    build_memory_percent: int = Field(default=75, ge=0, le=100, description="Of a server; 0 is no limit.")
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @property
    def effective_database_url(self) -> str:
        """The database, by default a SQLite file in the data folder."""
        return self.database_url or f"sqlite:///{self.data_dir / 'seaway.db'}"

    @property
    def effective_public_url(self) -> str:
        """Where people reach the dashboard."""
        # Listening everywhere is no address that a browser could go to.
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104
        host = f"[{host}]" if ":" in host else host
        return self.public_url.rstrip("/") or f"http://{host}:{self.port}"

    @property
    def effective_temporal_ui_url(self) -> str:
        """Where people reach Temporal's web UI; empty when it is not known."""
        if self.temporal_ui_url or self.temporal_address:
            return self.temporal_ui_url.rstrip("/")
        return f"http://127.0.0.1:{self.temporal_ui_port}"

    @property
    def effective_docker_socket(self) -> str:
        """The path of the local engine's unix socket."""
        if self.docker_socket:
            return self.docker_socket
        host = os.environ.get("DOCKER_HOST", "")
        return host.removeprefix("unix://") if host.startswith("unix://") else "/var/run/docker.sock"

    @property
    def proxy_container(self) -> str:
        """The name of the proxy's container on the local server."""
        return f"{self.instance}-proxy"

    @property
    def mirrors_folder(self) -> Path:
        """Where the worker keeps the repositories that it builds from."""
        return self.data_dir / "mirrors"

    @property
    def commands_folder(self) -> Path:
        """Where the processes that run one-off commands show that they live."""
        return self.data_dir / "commands"

    @property
    def kept_metrics(self) -> tuple[Resolution, ...]:
        """How long what servers use is kept, finest first."""
        return resolutions(
            measured=timedelta(hours=self.metrics_measured_hours),
            minutes=timedelta(days=self.metrics_minutes_days),
            quarters=timedelta(days=self.metrics_quarters_days),
        )

    @property
    def credentials_path(self) -> Path:
        """Where the first account's log-in and token are kept for the `seaway` command (mode 0600)."""
        return self.data_dir / "credentials.json"
