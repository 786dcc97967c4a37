"""MongoDB documents of those who use the web page and the HTTP service. No secret is stored, only what checks one."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field
from pymongo import ASCENDING, DESCENDING, IndexModel

from nightjar.jobs.stored import StoredDocument

AUDIT_DAYS = 400
"""A year's changes and some weeks more can be looked up."""


class Role(StrEnum):
    """Each may do what the one before it may."""

    NOBODY = "nobody"
    """Whoever has not said who they are; no user has this role."""
    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


class TokenScope(StrEnum):
    """What a token is good for."""

    READ = "read"
    RUN = "run"
    V1 = "v1"
    METRICS = "metrics"
    ADMIN = "admin"


class User(StoredDocument):
    """A person; `_id` is the name."""

    id: str  # type: ignore[assignment]
    role: Role
    password: str
    """argon2's encoded digest."""
    created_at: datetime
    changed_at: datetime
    """When role or password last changed."""

    class Settings:
        name = "users"


class OneTimeKey(StoredDocument):
    """A key that becomes a session, once; `_id` is its SHA-256."""

    id: str  # type: ignore[assignment]
    expires_at: datetime

    class Settings:
        name = "one_time_keys"
        indexes: ClassVar = [IndexModel([("expires_at", ASCENDING)], name="expiry", expireAfterSeconds=0)]


class WebSession(StoredDocument):
    """A browser that is logged in; `_id` is the SHA-256 of what its cookie holds."""

    id: str  # type: ignore[assignment]
    user: str | None
    """None: the owner of a home that has no users yet."""
    host: str
    """The Host header, with its port, by which it was made: cookies ignore ports, this does not."""
    created_at: datetime
    expires_at: datetime

    class Settings:
        name = "web_sessions"
        indexes: ClassVar = [
            IndexModel([("expires_at", ASCENDING)], name="expiry", expireAfterSeconds=0),
            IndexModel([("user", ASCENDING)], name="user"),
        ]


class TokenLimits(BaseModel):
    """What a token's live requests may come to in a day and in a calendar month (UTC); None: no limit."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    usd_day: float | None = Field(None, gt=0)
    """US dollars that endpoints are paid."""
    usd_month: float | None = Field(None, gt=0)
    tokens_day: int | None = Field(None, ge=1)
    """Of prompts and replies together, of local models, too."""
    tokens_month: int | None = Field(None, ge=1)

    @property
    def in_money(self) -> bool:
        return self.usd_day is not None or self.usd_month is not None


NO_LIMITS = TokenLimits()


class ApiToken(StoredDocument):
    """A program's key; `_id` is its name."""

    id: str  # type: ignore[assignment]
    digest: str
    """SHA-256."""
    user: str | None
    """On whose behalf it acts; None: the owner's, of a home that has no users yet."""
    scopes: list[TokenScope]
    per_minute: int | None = None
    """Requests; None: as many as it likes."""
    limits: TokenLimits = NO_LIMITS
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    last_used_from: str | None = None

    class Settings:
        name = "api_tokens"
        indexes: ClassVar = [IndexModel([("digest", ASCENDING)], name="digest", unique=True)]


class AuditEntry(StoredDocument):
    """Something that was changed through the web, or of users and tokens by a command, or tried: who, what, when, from
    where."""

    at: datetime
    who: str
    address: str
    action: str
    about: str = ""
    """The run, schedule, user or token."""
    details: dict[str, Any] = Field(default_factory=dict)
    outcome: str
    """"done", or why not."""
    request: str = ""
    """Id of the request, as the log has it."""

    class Settings:
        name = "audit"
        indexes: ClassVar = [IndexModel([("at", DESCENDING)], name="age", expireAfterSeconds=AUDIT_DAYS * 86_400)]
