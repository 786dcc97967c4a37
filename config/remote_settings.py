"""Requests to endpoints: `[remote]`, NIGHTJAR_REMOTE__*. Pure."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class RemoteSettings(BaseModel):
    """How long an endpoint is waited for, and how often it is asked again."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    auto: bool = False
    """A worker with `--model auto` takes models at endpoints, too."""
    connect_s: float = Field(10, gt=0, le=600)
    silence_s: float = Field(120, gt=0, le=3600)
    """A request that has brought nothing for so long is given up: for slow servers with long prompts, more."""
    tries: int = Field(3, ge=1, le=20)
    """How often one request is sent in a row where it fails in a way that may pass; then its job tries again later."""
    wait_s: float = Field(30, ge=0, le=3600)
    """An endpoint that asks for a longer pause than this gets the job back later instead."""
    pause_s: float = Field(300, ge=1, le=86_400)
    """A paused endpoint (wrong key, unknown model, no credit) is tried again after so long."""
