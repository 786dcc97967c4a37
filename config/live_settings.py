"""Live requests, which somebody waits for: `[live]`, NIGHTJAR_LIVE__*. Pure."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class LiveSettings(BaseModel):
    """How long a live request waits, how many may, and how long its conversation is kept."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    wait_s: float = Field(60, ge=1, le=3600)
    """How long a request waits for its model to be loaded, or for a worker to take it."""
    keep_s: float = Field(3600, ge=0, le=31_536_000)
    """A conversation is removed so long after its reply."""
    queue: int = Field(64, ge=1, le=10_000)
    """Requests of one model that wait or are replied to; more are refused."""
    queue_of_user: int = Field(16, ge=1, le=10_000)
    """The same of one user, over all models."""
    idle_s: float = Field(300, ge=0, le=86_400)
    """A model that was loaded for a live request is kept so long after the last one, before any backlog gets the
    place."""
    cache_s: float = Field(86_400, ge=0, le=31_536_000)
    """A reply that may be given again (`jobs.live.reply_key`) is kept so long; 0: none is."""
    cache_mb: float = Field(64, gt=0, le=100_000)
    """All of these together; the oldest go first."""
