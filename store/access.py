"""Teams, users and tokens."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from pydantic import SecretStr
from sqlmodel import col, select

from domain.errors import NotFound
from store.columns import now
from store.database import Database
from store.tables import ApiToken, Membership, Team, User

LAST_USED_GRANULARITY = timedelta(minutes=1)
PASSWORDS_AT_ONCE = 2
"""Each takes 64 MiB and a thread that files and names are read in too, and anybody may send one."""

_hasher = PasswordHasher()
_ABSENT_USER_HASH = _hasher.hash("nobody")


@dataclass(frozen=True)
class Principal:
    """Who is asking: a user, in a team, with a role and (for tokens) abilities."""

    user_id: str
    user_email: str
    team_id: str
    role: str
    abilities: frozenset[str]


def _secret_hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


async def _hash_password(password: SecretStr) -> str:
    return await asyncio.to_thread(_hasher.hash, password.get_secret_value())


def _matches(expected_hash: str, password: SecretStr) -> bool:
    try:
        return _hasher.verify(expected_hash, password.get_secret_value())
    except VerificationError:
        return False


class AccessStore:
    """Answers who a token or a password belongs to, in constant time for wrong ones."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._passwords = asyncio.Semaphore(PASSWORDS_AT_ONCE)

    async def has_users(self) -> bool:
        """Whether the first account exists."""
        async with self._database.reading() as session:
            return (await session.exec(select(User.id).limit(1))).first() is not None

    async def create_user(
        self, *, email: str, password: SecretStr, team_name: str, role: str = "owner"
    ) -> tuple[User, Team]:
        """A user with a team of their own."""
        user = User(email=email.strip().lower(), password_hash=await _hash_password(password))
        team = Team(name=team_name)
        async with self._database.writing() as session:
            session.add(user)
            session.add(team)
            await session.flush()
            session.add(Membership(team_id=team.id, user_id=user.id, role=role))
        return user, team

    async def check_password(self, email: str, password: SecretStr) -> Principal | None:
        """The principal, or None when the e-mail or password is wrong."""
        async with self._database.reading() as session:
            user = (await session.exec(select(User).where(User.email == email.strip().lower()))).first()
        expected = user.password_hash if user else _ABSENT_USER_HASH
        async with self._passwords:
            matches = await asyncio.to_thread(_matches, expected, password)
        return await self.principal_of_user(user.id) if user and matches else None

    async def principal_of_user(self, user_id: str) -> Principal | None:
        """The user in their first team, with every ability of their role."""
        query = (
            select(User, Membership)
            .join(Membership, col(Membership.user_id) == col(User.id))
            .where(User.id == user_id)
        )
        async with self._database.reading() as session:
            found = (await session.exec(query)).first()
        if found is None:
            return None
        user, membership = found
        abilities = {"read"} if membership.role == "member" else {"root"}
        return Principal(user.id, user.email, membership.team_id, membership.role, frozenset(abilities))

    async def user(self, user_id: str) -> User | None:
        """The account, or None."""
        async with self._database.reading() as session:
            return await session.get(User, user_id)

    async def team(self, team_id: str) -> Team:
        """The team. Raises NotFound."""
        async with self._database.reading() as session:
            row = await session.get(Team, team_id)
        if row is None:
            raise NotFound("There is no such team.")
        return row

    async def members(self, team_id: str) -> Sequence[tuple[User, Membership]]:
        """The team's people and their roles, by e-mail."""
        query = (
            select(User, Membership)
            .join(Membership, col(Membership.user_id) == col(User.id))
            .where(Membership.team_id == team_id)
        )
        async with self._database.reading() as session:
            return [(user, one) for user, one in (await session.exec(query.order_by(col(User.email)))).all()]

    async def end_sessions(self, user_id: str) -> None:
        """No cookie that was given to this user until now opens anything any more."""
        async with self._database.writing() as session:
            user = await session.get(User, user_id)
            if user is not None:
                user.session_epoch += 1
                session.add(user)

    async def create_token(
        self, *, team_id: str, user_id: str, name: str, abilities: Sequence[str]
    ) -> SecretStr:
        """A new bearer token, shown only this once, as `id|secret`."""
        secret = secrets.token_urlsafe(32)
        token = ApiToken(
            team_id=team_id,
            user_id=user_id,
            name=name,
            secret_hash=_secret_hash(secret),
            abilities=list(abilities),
        )
        async with self._database.writing() as session:
            session.add(token)
        return SecretStr(f"{token.id}|{secret}")

    async def check_token(self, bearer: str) -> Principal | None:
        """The principal of a bearer token, or None when it is unknown or expired."""
        token_id, _, secret = bearer.partition("|")
        query = (
            select(ApiToken, User, Membership)
            .join(User, col(User.id) == col(ApiToken.user_id))
            .join(
                Membership,
                (col(Membership.user_id) == col(ApiToken.user_id))
                & (col(Membership.team_id) == col(ApiToken.team_id)),
            )
            .where(ApiToken.id == token_id)
        )
        async with self._database.reading() as session:
            found = (await session.exec(query)).first()
        expected = found[0].secret_hash if found else _secret_hash("")
        if not hmac.compare_digest(expected, _secret_hash(secret)) or found is None:
            return None
        token, user, membership = found
        if token.expires_at is not None and token.expires_at <= now():
            return None
        await self._touch(token)
        abilities = frozenset(token.abilities)
        if membership.role == "member":
            abilities = frozenset({"read"} if abilities & {"read", "root"} else ())
        return Principal(user.id, user.email, token.team_id, membership.role, abilities)

    async def _touch(self, token: ApiToken) -> None:
        if token.last_used_at is not None and now() - token.last_used_at < LAST_USED_GRANULARITY:
            return
        async with self._database.writing() as session:
            row = await session.get(ApiToken, token.id)
            if row is not None:
                row.last_used_at = now()
                session.add(row)
