"""How far a run has come and how it ended, as its document holds it. Pure."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from nightjar.jobs.ending import EndScore, GateVerdict


class Progress(BaseModel):
    """How far a run was when a dispatcher last saw it move."""

    turns: int
    """Committed."""
    jobs: int
    """Ended."""
    at: datetime


class RunOutcome(BaseModel):
    """How a run ended, or is ending."""

    verdict: GateVerdict | None = None
    """Of the gates, at its end."""
    answer: str | None = None
    """What its report says first, at its end."""
    scores: list[EndScore] = Field(default_factory=list)
    """Each model's mean behind that; empty in runs that earlier versions closed."""
    files: list[str] = Field(default_factory=list)
    """Of the report that was written at its end."""
    deadline_met: bool = False
    """It was stopped at its deadline; somebody who resumes it wants it to go on."""
    stalled_at: datetime | None = None
    """When it was first found stalled; that is told once."""
    untold: bool = False
    """It has ended, and whom to tell is not written yet."""
    finished_at: datetime | None = None
