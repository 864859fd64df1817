"""Logs of deployments, line by line."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import insert
from sqlmodel import col, delete, select

from store.database import Database
from store.tables import DeploymentStep, LogLine


class LogStore:
    """Appends and reads log lines. A step's newer attempt replaces what its older attempts wrote."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, deployment_id: str, step: str, server: str, attempt: int) -> None:
        """Clears what earlier attempts of this step wrote, so that no line stands twice."""
        async with self._database.writing() as session:
            await session.exec(
                delete(LogLine).where(
                    col(LogLine.deployment_id) == deployment_id,
                    col(LogLine.step) == step,
                    col(LogLine.server) == server,
                    col(LogLine.attempt) < attempt,
                )
            )

    async def append(
        self, deployment_id: str, step: str, server: str, attempt: int, lines: Sequence[tuple[datetime, str]]
    ) -> None:
        """Writes the lines in their order, unless a newer attempt of the step has begun meanwhile.

        A worker that was given up as dead may live, and must not write into the log of its successor.
        """
        rows = [
            {
                "deployment_id": deployment_id,
                "step": step,
                "server": server,
                "attempt": attempt,
                "text": text,
                "at": at,
            }
            for at, text in lines
        ]
        if not rows:
            return
        newest = select(DeploymentStep.attempt).where(
            DeploymentStep.deployment_id == deployment_id,
            DeploymentStep.name == step,
            DeploymentStep.server == server,
        )
        async with self._database.writing() as session:
            if ((await session.exec(newest)).first() or 0) <= attempt:
                await session.exec(insert(LogLine), params=rows)

    async def read(self, deployment_id: str, *, after: int = 0, limit: int = 1000) -> Sequence[LogLine]:
        """Up to `limit` lines after the line with id `after`, in order."""
        query = select(LogLine).where(LogLine.deployment_id == deployment_id, col(LogLine.id) > after)
        async with self._database.reading() as session:
            return (await session.exec(query.order_by(col(LogLine.id)).limit(limit))).all()

    async def of_step(self, deployment_id: str, step: str, server: str) -> Sequence[str]:
        """All lines of one step, in order."""
        query = select(LogLine.text).where(
            LogLine.deployment_id == deployment_id, LogLine.step == step, LogLine.server == server
        )
        async with self._database.reading() as session:
            return (await session.exec(query.order_by(col(LogLine.id)))).all()

    async def tail(self, deployment_id: str, *, limit: int) -> Sequence[LogLine]:
        """The last `limit` lines, in order."""
        query = select(LogLine).where(LogLine.deployment_id == deployment_id)
        async with self._database.reading() as session:
            newest_first = (await session.exec(query.order_by(col(LogLine.id).desc()).limit(limit))).all()
        return newest_first[::-1]
