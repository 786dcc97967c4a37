"""The judges of a run as the collector meets them: their verdicts, read from their jobs."""

from __future__ import annotations

from dataclasses import dataclass, field

from jobs.database import Database
from jobs.documents import Run
from jobs.states import JobKind, JobStatus
from pipeline.scoring.judge_prompts import Verdict, read_verdicts
from pipeline.scoring.rubric import Rubric, Scope, read_rubric
from pipeline.scoring.scorer import Scale
from pipeline.scoring.verdicts import judge_scales, score_verdicts
from pipeline.transcripts import JobRow

_FIELDS = dict.fromkeys("model status reason payload turns.name turns.draws.reply".split(), 1)
Place = tuple[str, int | None]
"""Judged job and turn; None for the whole conversation."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A run's rubric, judges and verdicts; empty for a run that is not judged."""

    rubric: Rubric | None = None
    judges: tuple[str, ...] = ()
    self_judging: bool = False
    verdicts: dict[Place, dict[str, list[Verdict]]] = field(default_factory=dict)

    def score(self, job: JobRow) -> None:
        """Adds the judges' scores to a job's turns, in place."""
        if self.rubric is None:
            return
        own = () if self.self_judging else (job.model,)
        judges = [judge for judge in self.judges if judge not in own]
        found = {turn: given for (judged, turn), given in self._of(job).items() if judged == job.id}
        score_verdicts(self.rubric, job, found, judges)

    def with_scales(self, scales: dict[str, Scale]) -> dict[str, Scale]:
        """The metrics' scales with those of the judges, judges first."""
        return scales if self.rubric is None else judge_scales(self.rubric) | scales

    def with_lines(self, turns: list[list[str]]) -> list[list[str]]:
        """For every turn the names of the scores it should have, the judges' included."""
        if self.rubric is None:
            return turns
        names = list(judge_scales(self.rubric))
        last = len(turns) - 1
        everywhere = self.rubric.scope is Scope.TURN
        return [turn + names if everywhere or index == last else turn for index, turn in enumerate(turns)]

    def _of(self, job: JobRow) -> dict[Place, dict[str, list[Verdict]]]:
        places: list[Place] = [(job.id, None), *((job.id, turn.index) for turn in job.turns)]
        return {place: self.verdicts[place] for place in places if place in self.verdicts}


async def read_verdicts_of(run: Run, database: Database) -> Bench:
    """The verdicts by the run's present rubric."""
    if run.rubric is None or not run.judges:
        return Bench()
    rubric = read_rubric(run.rubric, f"the rubric of run {run.name}")
    bench = Bench(rubric=rubric, judges=tuple(run.judges), self_judging=run.self_judging)
    query = {"run": run.id, "kind": JobKind.JUDGE, "payload.rubric": rubric.digest}
    async for raw in database.jobs.find(query, _FIELDS):
        place = (raw["payload"]["job"], raw["payload"]["turn"])
        if raw["status"] == JobStatus.DONE:
            replies = {turn["name"]: turn["draws"][0]["reply"] for turn in raw["turns"]}
            verdicts = read_verdicts(rubric, replies)
        else:
            verdicts = _without(rubric, f"judge job is {raw['status']}: {raw.get('reason') or 'not finished'}")
        bench.verdicts.setdefault(place, {})[raw["model"]] = verdicts
    return bench


def _without(rubric: Rubric, reason: str) -> list[Verdict]:
    return [Verdict(criterion=one.name, value=None, reason=reason) for one in rubric.criteria]
