"""Which application holds which public address."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.configuration import Domain
from domain.errors import DomainTaken, TakenDomain
from store.tables import Application, ClaimedDomain


async def claims_of(session: AsyncSession, application_id: str) -> Sequence[ClaimedDomain]:
    """What the application holds."""
    return (
        await session.exec(select(ClaimedDomain).where(ClaimedDomain.application_id == application_id))
    ).all()


async def claim_domains(
    session: AsyncSession, application: Application, domains: Sequence[Domain], *, configured: bool
) -> None:
    """Claims them, because they are configured or else about to be released.

    What is configured is the whole: claims that neither it nor the release needs are let go of. Within
    a team applications may share a host by paths; a host of another team is taken with all its paths.
    Raises DomainTaken, which names the owner of an address only where that is of the same team.
    """
    wanted = {(domain.host, domain.path) for domain in domains}
    await _refuse_taken(session, application, wanted)
    mine = {(claim.host, claim.path): claim for claim in await claims_of(session, application.id)}
    if configured:
        for address, claim in mine.items():
            claim.is_configured = address in wanted
            if not claim.is_configured and not claim.is_released:
                await session.delete(claim)
    for host, path in sorted(wanted):
        found = mine.get((host, path))
        if found is None:
            found = ClaimedDomain(application_id=application.id, host=host, path=path, is_configured=False)
        found.is_configured = found.is_configured or configured
        found.is_released = found.is_released or not configured
        session.add(found)
        try:
            await session.flush()
        except IntegrityError as error:
            # Somebody else was faster, between the look above and this write.
            raise DomainTaken([TakenDomain(_shown(host, path))]) from error


async def _refuse_taken(
    session: AsyncSession, application: Application, wanted: set[tuple[str, str]]
) -> None:
    query = (
        select(ClaimedDomain, Application)
        .join(Application, col(Application.id) == col(ClaimedDomain.application_id))
        .where(
            col(ClaimedDomain.host).in_(sorted({host for host, _ in wanted})),
            ClaimedDomain.application_id != application.id,
        )
        .order_by(col(ClaimedDomain.host), col(ClaimedDomain.path))
    )
    taken: dict[str, TakenDomain] = {}
    for claim, owner in (await session.exec(query)).all():
        if owner.team_id == application.team_id:
            if (claim.host, claim.path) in wanted:
                address = _shown(claim.host, claim.path)
                taken[address] = TakenDomain(address, owner.id, owner.name)
            continue
        # A page at another path of a host can act for its visitors, so a host belongs to one team.
        for host, path in sorted(wanted):
            if host == claim.host:
                taken[_shown(host, path)] = TakenDomain(_shown(host, path))
    if taken:
        raise DomainTaken(list(taken.values()))


def _shown(host: str, path: str) -> str:
    return host + path.rstrip("/")
