"""A run's judges and everything they said, and the scores that follow from it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nightjar.jobs.identity import digest
from nightjar.pipeline.judging.checkup import Checkup
from nightjar.pipeline.judging.judged import JudgedAt
from nightjar.pipeline.judging.pairs import PairResult, score_pairs
from nightjar.pipeline.judging.panel import Panel
from nightjar.pipeline.judging.prompts import Verdict
from nightjar.pipeline.judging.rubric import Method, Rubric, Scope
from nightjar.pipeline.judging.verdicts import judge_scales, score_verdicts
from nightjar.pipeline.scores import JobScores, Scale
from nightjar.pipeline.transcripts import JobRow

NOBODY = Panel(judges=())


@dataclass(frozen=True, kw_only=True)
class VerdictCounts:
    """How far a judging is, a verdict being a judge job: all criteria of one text."""

    given: int
    asked: int


@dataclass(frozen=True, kw_only=True)
class JudgeResults:
    """The judges' results of a run; empty if it is not judged, though its judges may have been checked all the same."""

    rubric: Rubric | None = None
    prompt_digest: str | None = None
    panel: Panel = NOBODY
    files: Mapping[str, str] = field(default_factory=dict)
    """Judge -> digest of its file, if known."""
    grammar_engines: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Judge -> what held its verdicts to the schema in this run, if known; none for one at an endpoint."""
    against: str | None = None
    """Name of the run that replies were compared with."""
    verdicts: Mapping[JudgedAt, Mapping[str, list[Verdict]]] = field(default_factory=dict)
    """Text -> judge -> one verdict per criterion."""
    pairs: tuple[PairResult, ...] = ()
    pairs_of: Mapping[str, Mapping[int | None, list[PairResult]]] = field(default_factory=dict)
    """Job -> turn -> the pairs that it is part of."""
    unreferenced: Mapping[str, frozenset[int]] = field(default_factory=dict)
    """Sequence -> turns without the reference that the rubric requires."""
    checkups: tuple[Checkup, ...] = ()

    @property
    def judges(self) -> tuple[str, ...]:
        return self.panel.judges

    def score(self, job: JobRow) -> JobScores:
        """The judges' scores of a job's turns."""
        if self.rubric is None:
            return {}
        without = self.unreferenced.get(job.sequence, frozenset())
        if self.rubric.method is Method.PAIRWISE:
            return score_pairs(self.rubric, job, self.pairs_of.get(job.id, {}), self.panel, without)
        places: list[JudgedAt] = [(job.id, None), *((job.id, turn.index) for turn in job.turns)]
        given = {place[1]: self.verdicts[place] for place in places if place in self.verdicts}
        return score_verdicts(self.rubric, job, given, self.panel.seats(job.model), without)

    def with_scales(self, scales: dict[str, Scale]) -> dict[str, Scale]:
        """The metrics' scales together with the judges', which come first."""
        return scales if self.rubric is None else judge_scales(self.rubric) | scales

    def with_lines(self, turns: list[list[str]]) -> list[list[str]]:
        """For every turn, the names of the scores it should have, including the judges'."""
        if self.rubric is None:
            return turns
        names = list(judge_scales(self.rubric))
        last = len(turns) - 1
        everywhere = self.rubric.scope is Scope.TURN
        return [turn + names if everywhere or index == last else turn for index, turn in enumerate(turns)]

    @property
    def score_digest(self) -> str | None:
        """Digest of everything that determines a judge's score: prompts, scoring, who judged. None without judges."""
        if self.rubric is None:
            return None
        who = [(judge, sorted(self.panel.own.get(judge, ()))) for judge in self.judges]
        return digest("judge", self.prompt_digest, self.rubric.scoring_digest, who, self.against)
