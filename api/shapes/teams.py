"""Teams and their members."""

from __future__ import annotations

from datetime import datetime

from api.shapes.answers import Resource, number_of
from store.tables import Membership, Team, User


class TeamMember(Resource):
    """A person in a team."""

    name: str
    email: str
    role: str
    created_at: datetime

    @classmethod
    def of(cls, user: User, membership: Membership) -> TeamMember:
        """The answer for a member."""
        return cls(
            id=number_of(user.id),
            uuid=user.id,
            name=user.name or user.email,
            email=user.email,
            role=membership.role,
            created_at=user.created_at,
        )


class TeamAnswer(Resource):
    """A team."""

    name: str
    description: str | None
    personal_team: bool
    members: list[TeamMember]
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, team: Team, members: list[TeamMember]) -> TeamAnswer:
        """The answer for a team."""
        return cls(
            id=number_of(team.id),
            uuid=team.id,
            name=team.name,
            description=team.description or None,
            personal_team=len(members) == 1,
            members=members,
            created_at=team.created_at,
            updated_at=team.created_at,
        )
