"""What servers and replicas used, in points of growing steps."""

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel


class MetricPoint(SQLModel, table=True):
    """What a server (no replica named) or a replica used from `at` on for one step.

    `at` is in whole seconds since 1970, because both databases reckon steps with numbers the same way. There
    is no foreign key: what belongs to nothing any more goes with the next clean-up.
    """

    __tablename__ = "metric_point"
    __table_args__ = (
        Index("ix_metric_point_step_seconds", "step_seconds", "at"),
        Index("ix_metric_point_application_id", "application_id", "step_seconds", "at"),
        {"sqlite_with_rowid": False},
    )

    server_id: str = Field(primary_key=True)
    application_id: str = Field(default="", primary_key=True)
    replica: str = Field(default="", primary_key=True)
    step_seconds: int = Field(primary_key=True)
    at: int = Field(primary_key=True, sa_type=BigInteger)
    samples: int
    memory_total_bytes: int = Field(default=0, sa_type=BigInteger)
    disk_total_bytes: int = Field(default=0, sa_type=BigInteger)
    cpu_percent: float
    cpu_percent_maximum: float
    memory_bytes: float
    memory_bytes_maximum: float
    disk_bytes: float
    disk_bytes_maximum: float
    load: float
    load_maximum: float
    received_bytes_per_second: float
    received_bytes_per_second_maximum: float
    sent_bytes_per_second: float
    sent_bytes_per_second_maximum: float
