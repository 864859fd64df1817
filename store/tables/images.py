"""What of a server's images is there because of Seaway alone."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from store.columns import UtcDateTime, now


class PulledName(SQLModel, table=True):
    """The server had no image of this name before an application's deployment pulled it.

    Written before the pull and removed with the name, so that whatever dies between them, the name goes.
    """

    __tablename__ = "pulled_name"

    server_id: str = Field(primary_key=True)
    reference: str = Field(primary_key=True)
    application_id: str = Field(primary_key=True)
    since: datetime = Field(default_factory=now, sa_type=UtcDateTime)
