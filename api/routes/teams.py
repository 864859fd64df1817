"""The team that a token or session belongs to."""

from __future__ import annotations

from fastapi import APIRouter

from api.authentication import Reader
from api.context import ApiContext
from api.routes.parameters import ContextOf, Uuid
from api.shapes.answers import number_of
from api.shapes.teams import TeamAnswer, TeamMember
from domain.errors import NotFound

router = APIRouter(tags=["Teams"])


@router.get("/teams", summary="List teams")
async def list_teams(context: ContextOf, principal: Reader) -> list[TeamAnswer]:
    """The team of this token or session, which is the only one it can see."""
    return [await _team(context, principal.team_id)]


@router.get("/team", summary="The team of this token")
@router.get("/teams/current", summary="The team of this token", name="get_current_team")
async def get_token_team(context: ContextOf, principal: Reader) -> TeamAnswer:
    """The team that the token is bound to."""
    return await _team(context, principal.team_id)


@router.get("/team/members", summary="The members of this token's team")
@router.get(
    "/teams/current/members", summary="The members of this token's team", name="get_current_team_members"
)
async def get_token_team_members(context: ContextOf, principal: Reader) -> list[TeamMember]:
    """Everybody in the team."""
    return await _members(context, principal.team_id)


@router.get("/teams/{uuid}", summary="One team")
async def get_team_by_id(uuid: Uuid, context: ContextOf, principal: Reader) -> TeamAnswer:
    """By its public id or its number. Another team than the token's own is not found."""
    _require_own(uuid, principal.team_id)
    return await _team(context, principal.team_id)


@router.get("/teams/{uuid}/members", summary="The members of one team")
async def get_members_by_team_id(uuid: Uuid, context: ContextOf, principal: Reader) -> list[TeamMember]:
    """Everybody in the team."""
    _require_own(uuid, principal.team_id)
    return await _members(context, principal.team_id)


def _require_own(uuid: str, team_id: str) -> None:
    if uuid not in (team_id, str(number_of(team_id))):
        raise NotFound("There is no such team.")


async def _team(context: ApiContext, team_id: str) -> TeamAnswer:
    return TeamAnswer.of(await context.store.access.team(team_id), await _members(context, team_id))


async def _members(context: ApiContext, team_id: str) -> list[TeamMember]:
    return [
        TeamMember.of(user, membership) for user, membership in await context.store.access.members(team_id)
    ]
