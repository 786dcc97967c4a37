"""Users, tokens, sessions, one-time keys and the audit, as they are stored: who is known, and what was done.

Secrets come in as what the caller made, and are kept as their SHA-256 or argon2 digest.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from nightjar.config.errors import UnknownNameError, UsageError
from nightjar.jobs.accounts.documents import (
    NO_LIMITS,
    ApiToken,
    AuditEntry,
    OneTimeKey,
    Role,
    TokenLimits,
    TokenScope,
    User,
    WebSession,
)
from nightjar.jobs.mongo import Database, DuplicateKeyError, utc_now

SECRET_BYTES = 32
KEY_LIFE = timedelta(minutes=10)
SESSION_LIFE = timedelta(days=14)
USED_EVERY_S = 60
"""How exactly a token's last use is kept."""


def new_secret() -> str:
    """A secret nobody can guess, for a URL, a cookie or a header."""
    return secrets.token_urlsafe(SECRET_BYTES)


def digest_of(secret: str) -> str:
    """What is stored of a secret of `new_secret`; it is long enough to need no salt."""
    return hashlib.sha256(secret.encode()).hexdigest()


async def has_users() -> bool:
    """Whether the home belongs to users by now, and not to whoever runs it."""
    return await User.find_one() is not None


async def first_admin() -> str | None:
    """The one who has been admin longest; None while there are no users."""
    admins = await User.find({"role": Role.ADMIN}).sort("+created_at").to_list()
    return admins[0].id if admins else None


async def find_user(name: str) -> User:
    """Raises UnknownNameError with the nearest names."""
    user = await User.get(name)
    if user is None:
        raise UnknownNameError("user", name, [other.id for other in await User.find_all().to_list()])
    return user


async def add_user(name: str, role: Role, password: str, database: Database) -> User:
    """Stores a user with the digest of the password. The first must be an admin, who takes over what was the owner's.

    Raises UsageError for a name that is taken, or a first user who could manage nothing.
    """
    if role is not Role.ADMIN and not await has_users():
        raise UsageError("The first user must be an admin, or nobody could add another: --role admin.")
    now = utc_now()
    user = User(id=name, role=role, password=password, created_at=now, changed_at=now)
    try:
        await user.insert()
    except DuplicateKeyError:
        raise UsageError(f"There is a user {name!r} already. `nightjar user passwd {name}` sets a password.") from None
    await database.raw["web_sessions"].delete_many({"user": None})
    await database.raw["api_tokens"].update_many({"user": None}, {"$set": {"user": name}})
    return user


async def change_user(name: str, database: Database, *, role: Role | None = None, password: str | None = None) -> None:
    """Sets role, password's digest, or both; sessions of before end. Raises UnknownNameError, UsageError."""
    user = await find_user(name)
    if role not in (None, Role.ADMIN):
        await _check_not_last_admin(user)
    given = {"role": role, "password": password}
    changes = {field: value for field, value in given.items() if value is not None} | {"changed_at": utc_now()}
    await database.raw["users"].update_one({"_id": name}, {"$set": changes})
    await database.raw["web_sessions"].delete_many({"user": name})


async def remove_user(name: str, database: Database) -> None:
    """With their sessions, tokens and memories. Raises UnknownNameError, and UsageError for the last admin."""
    await _check_not_last_admin(await find_user(name))
    for collection in ("web_sessions", "api_tokens", "facts", "cached_replies"):
        await database.raw[collection].delete_many({"user": name})
    await database.raw["users"].delete_one({"_id": name})


async def count_sessions(user: str, database: Database) -> int:
    """How many browsers are logged in by that name."""
    alive = {"user": user, "$expr": {"$gt": ["$expires_at", "$$NOW"]}}
    return await database.raw["web_sessions"].count_documents(alive)


async def _check_not_last_admin(user: User) -> None:
    admins = await User.find({"role": Role.ADMIN}).to_list()
    if [admin.id for admin in admins] == [user.id]:
        raise UsageError(f"{user.id!r} is the only admin. Make another first: `nightjar user add NAME --role admin`.")


async def add_key() -> str:
    """A new one-time key."""
    secret = new_secret()
    await OneTimeKey(id=digest_of(secret), expires_at=utc_now() + KEY_LIFE).insert()
    return secret


async def redeem_key(secret: str, database: Database) -> bool:
    """Whether the key was good; from now on it is not."""
    alive = {"_id": digest_of(secret), "$expr": {"$gt": ["$expires_at", "$$NOW"]}}
    return (await database.raw["one_time_keys"].delete_one(alive)).deleted_count == 1


async def begin_session(user: str | None, host: str, *, instead_of: str | None, database: Database) -> str:
    """A new session's secret. The one that the browser had before ends: what it knew of us is worth nothing."""
    if instead_of is not None:
        await end_session(instead_of, database)
    secret, now = new_secret(), utc_now()
    session = WebSession(id=digest_of(secret), user=user, host=host, created_at=now, expires_at=now + SESSION_LIFE)
    await session.insert()
    return secret


async def find_session(secret: str, host: str) -> WebSession | None:
    """The session of a cookie that was sent to this host and port; None where there is none that lives."""
    session = await WebSession.get(digest_of(secret))
    return session if session is not None and session.host == host and session.expires_at > utc_now() else None


async def end_session(secret: str, database: Database) -> None:
    """Nobody can use it any more."""
    await database.raw["web_sessions"].delete_one({"_id": digest_of(secret)})


async def token_owner(user: str | None) -> str | None:
    """On whose behalf a new token acts: a user where there are any, else the owner (None).

    Raises UsageError, UnknownNameError.
    """
    if user is not None:
        return (await find_user(user)).id
    if await has_users():
        raise UsageError("Say on whose behalf the token acts: --user NAME.")
    return None


async def add_token(
    name: str,
    user: str | None,
    scopes: Collection[TokenScope],
    *,
    database: Database,
    per_minute: int | None = None,
    days: int | None = None,
    limits: TokenLimits = NO_LIMITS,
    replace: bool = False,
) -> str:
    """A new token's secret, shown once. Raises UsageError for a name that is taken, unless told to `replace`."""
    if replace:
        await database.raw["api_tokens"].delete_one({"_id": name})
    secret, now = f"nj_{new_secret()}", utc_now()
    token = ApiToken(
        id=name,
        digest=digest_of(secret),
        user=user,
        scopes=sorted(set(scopes)),
        per_minute=per_minute,
        limits=limits,
        created_at=now,
        expires_at=None if days is None else now + timedelta(days=days),
    )
    try:
        await token.insert()
    except DuplicateKeyError:
        raise UsageError(f"There is a token {name!r} already. Remove it first: `nightjar token rm {name}`.") from None
    return secret


async def limit_token(name: str, limits: TokenLimits, database: Database) -> None:
    """Sets all of the token's budgets; its secret stays. Raises UnknownNameError."""
    done = await database.raw["api_tokens"].update_one({"_id": name}, {"$set": {"limits": limits.model_dump()}})
    if not done.matched_count:
        raise UnknownNameError("token", name, await database.raw["api_tokens"].distinct("_id"))


async def find_token(secret: str) -> ApiToken | None:
    """The token with this secret; None where there is none that counts."""
    token = await ApiToken.find_one({"digest": digest_of(secret)})
    return token if token is not None and (token.expires_at is None or token.expires_at > utc_now()) else None


async def note_use(token: ApiToken, address: str, database: Database) -> None:
    """Keeps when and from where it was last used, to the minute."""
    now = utc_now()
    if token.last_used_at is None or (now - token.last_used_at).total_seconds() > USED_EVERY_S:
        used = {"last_used_at": now, "last_used_from": address}
        await database.raw["api_tokens"].update_one({"_id": token.id}, {"$set": used})


async def remove_token(name: str, database: Database) -> None:
    """Raises UnknownNameError."""
    if not (await database.raw["api_tokens"].delete_one({"_id": name})).deleted_count:
        raise UnknownNameError("token", name, await database.raw["api_tokens"].distinct("_id"))


async def audit(
    who: str, address: str, action: str, about: str, outcome: str, *, request: str = "", details: Mapping[str, Any] = {}
) -> None:
    """Writes down what somebody changed, or tried to. Never a secret: `details` are the caller's care."""
    entry = AuditEntry(
        at=utc_now(),
        who=who,
        address=address,
        action=action,
        about=about,
        details=dict(details),
        outcome=outcome,
        request=request,
    )
    await entry.insert()
