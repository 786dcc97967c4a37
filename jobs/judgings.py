"""The judgings of a run, each a document of its own inside the run's: what was asked of whom, and what came of it.

They lie in the run, since a run and its judging change together: one compare-and-set begins, shows or cancels one.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, Field

from nightjar.jobs.ending import EndScore, GateVerdict

OUTLINE = ("shown", "planned", "check", "passes.number", "passes.judges", "passes.status")
"""Fields of a run's `judging` that say who is at it; without rubrics, verdicts and files it is little to read often."""


class JudgingStatus(StrEnum):
    """How far a judging is."""

    OPEN = "OPEN"
    COMPLETE = "COMPLETE"
    """All its jobs have ended. What it found may still grow with the run."""
    FAILED = "FAILED"
    """One of its judges gave no verdict at all; it is never shown instead of what there was."""
    CANCELLING = "CANCELLING"
    """Its open jobs are being dropped. Whoever comes by finishes that; see `jobs.runs.judging_moves`."""
    CANCELLED = "CANCELLED"


class Judging(BaseModel):
    """One pass of judges over a run's replies."""

    number: int
    """1, 2, ... in the order in which they were asked for."""
    judges: list[str]
    rubric: dict[str, Any] | None = None
    self_judging: bool = False
    """A judge may judge replies of its own."""
    against: str | None = None
    """Id of a run whose replies a pairwise rubric compares with; None: the run's models with each other."""
    status: JudgingStatus = JudgingStatus.OPEN
    reason: str | None = None
    """Why FAILED or CANCELLED."""
    verdict: GateVerdict | None = None
    """Of the run's gates, by this judging; this, the answer and the files are written when it is COMPLETE."""
    answer: str | None = None
    scores: list[EndScore] = Field(default_factory=list)
    files: list[str] = Field(default_factory=list)
    begun_at: datetime | None = None
    """When it was asked for; None where that was with the run."""
    ended_at: datetime | None = None


class JudgeCheck(BaseModel):
    """Judges to be asked about spoilt replies beside real ones."""

    judges: list[str]
    rubric: dict[str, Any]
    seed: int
    sequences: int
    """At most this many are taken."""
    self_judging: bool = False
    planned: bool = False
    """Its jobs are inserted; a run that grows later is not checked again."""


class RunJudging(BaseModel):
    """Who judged a run's replies, and by what: every judging, and the one that counts."""

    passes: list[Judging] = Field(default_factory=list)
    """All of them; number N stands at N - 1, and none is ever taken out."""
    shown: int | None = None
    """The number of the one whose verdicts count; None: none does."""
    check: JudgeCheck | None = None
    """The newest check of judges; the controls of earlier ones stay."""
    planned: bool = False
    """All jobs of judges and of the embedding model are inserted."""

    @property
    def current(self) -> Judging | None:
        """The judging whose verdicts count."""
        return None if self.shown is None else self.passes[self.shown - 1]

    @property
    def under_way(self) -> Judging | None:
        """The judging that has neither been completed nor given up."""
        last = self.passes[-1] if self.passes else None
        return last if last is not None and last.status in (JudgingStatus.OPEN, JudgingStatus.CANCELLING) else None

    @property
    def wanted(self) -> Judging | None:
        """The judging whose jobs are to be written: the open one, else the one that counts, for replies that came."""
        last = self.under_way
        return last if last is not None and last.status is JudgingStatus.OPEN else self.current

    @property
    def again(self) -> bool:
        """Another judging than the one that counts is under way."""
        return self.under_way is not None and self.under_way.number != self.shown

    @property
    def cancelling(self) -> bool:
        last = self.under_way
        return last is not None and last.status is JudgingStatus.CANCELLING

    @property
    def judges(self) -> list[str]:
        """Of the judging that counts, as are the following."""
        return [] if self.current is None else self.current.judges

    @property
    def rubric(self) -> dict[str, Any] | None:
        return None if self.current is None else self.current.rubric

    @property
    def self_judging(self) -> bool:
        return self.current is not None and self.current.self_judging

    @property
    def against(self) -> str | None:
        return None if self.current is None else self.current.against

    @property
    def at_work(self) -> list[str]:
        """The judges that have, or are about to have, something to do."""
        wanted = [] if self.wanted is None else self.wanted.judges
        return list(dict.fromkeys([*wanted, *(self.check.judges if self.check is not None else ())]))

    def numbers(self) -> dict[str, Any]:
        """The judging that counts and the one that is under way, for those who show a run."""
        now = self.under_way
        return {"judging_shown": self.shown, "judging_under_way": None if now is None else now.number}

    def showing(self, number: int | None) -> RunJudging:
        """The same, as though the verdicts of that judging counted."""
        return self.model_copy(update={"shown": number})


def first_judging(judges: list[str], rubric: dict[str, Any] | None = None, **more: Any) -> RunJudging:
    """The judging that a run is enqueued with. Its verdicts count as they come: there are no earlier ones."""
    if not judges:
        return RunJudging()
    return RunJudging(passes=[Judging(number=1, judges=judges, rubric=rubric, **more)], shown=1)
