"""What each model of a run has to do yet, and how long its turns are: by those that were seen, else the longest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nightjar.jobs.documents import Run
from nightjar.jobs.mongo import Database
from nightjar.jobs.states import JobKind
from nightjar.jobs.status import census
from nightjar.jobs.status.forecast import AskedJobs, UsualTurn, asked_jobs, usual_turn
from nightjar.pipeline.runs.longest_turns import JudgedTexts, judge_work, longest_turn
from nightjar.pipeline.runs.preflight import layers_above, planned_documents
from nightjar.pipeline.runs.remote_plan import PlannedSequence


@dataclass(frozen=True, kw_only=True)
class ExpectedTurns:
    """Turns that a model has to make yet, as a contestant or as a judge."""

    count: int
    jobs: int
    """Conversations, of which some go side by side."""
    turn: UsualTurn | None
    """The mean one; None where nothing is known of it."""
    longest: bool = False
    """Nothing was seen yet: it is the longest that there may be."""


class TurnReader:
    """Reads what a run asks of its models. Its sequences are read once, and only where nothing was seen yet."""

    def __init__(self, run: Run, below: Mapping[str, Mapping[str, Any]], database: Database) -> None:
        """`below`: the registry's parameters by model."""
        self._run = run
        self._below = below
        self._database = database
        self._asked: list[AskedJobs] | None = None
        self._planned: dict[str, PlannedSequence] = {}

    async def replies(self, model: str) -> ExpectedTurns:
        """What the model has to reply yet."""
        run = self._run
        count = await self._left(model, JobKind.REPLY)
        if count == 0:
            return ExpectedTurns(count=0, jobs=0, turn=None)
        turn, longest = await self._reply(model)
        return ExpectedTurns(count=count, jobs=run.jobs_total // len(run.models), turn=turn, longest=longest)

    async def judging(self, judge: str) -> ExpectedTurns:
        """What the judge will be asked yet, of all replies that there will be."""
        from nightjar.pipeline.judging.read_judged import panel_of
        from nightjar.pipeline.judging.rubric import read_rubric

        run, judging = self._run, self._run.judging.wanted
        if judging is None or judging.rubric is None or judge not in judging.judges:
            return ExpectedTurns(count=0, jobs=0, turn=None)
        panel = await panel_of(run, judging.judges, self._database, self_judging=judging.self_judging)
        work = judge_work(
            await self._texts(),
            read_rubric(judging.rubric),
            panel.own.get(judge, frozenset()),
            repeats=run.repeats,
            against=judging.against is not None,
        )
        count = await self._left(judge, JobKind.JUDGE, of=None if run.judging.planned else work.calls)
        usual = await usual_turn(run, judge, self._database, kind=JobKind.JUDGE)
        return ExpectedTurns(count=count, jobs=work.jobs, turn=usual or work.call, longest=usual is None)

    async def _left(self, model: str, kind: JobKind, *, of: int | None = None) -> int:
        """Turns that are not committed yet: `of` so many, or of the jobs that are there."""
        made = (await census.count(self._run.id, self._database, model=model, kind=(kind,))).of().committed
        planned = of if of is not None else await census.planned_turns(self._run.id, model, (kind,), self._database)
        return max(0, planned - made)

    async def _reply(self, model: str) -> tuple[UsualTurn | None, bool]:
        usual = await usual_turn(self._run, model, self._database)
        if usual is not None:
            return usual, False
        sequences = [self._planned[group.document] for group in await self._groups() if group.model == model]
        turn = longest_turn(sequences, layers_above(self._run, model), self._below.get(model, {}))
        return turn, turn is not None

    async def _texts(self) -> list[JudgedTexts]:
        """What is judged, with replies as long as they were or may be."""
        groups = await self._groups()
        turns = {model: (await self._reply(model))[0] for model in {group.model for group in groups}}
        return [
            JudgedTexts(
                asked_as=group.asked_as,
                sequence=self._planned[group.document],
                jobs=group.jobs,
                reply_tokens=turn.reply_tokens if (turn := turns[group.model]) is not None else 0.0,
            )
            for group in groups
        ]

    async def _groups(self) -> Sequence[AskedJobs]:
        """Without those whose sequence is gone."""
        if self._asked is None:
            asked = await asked_jobs(self._run.id, self._database)
            self._planned = await planned_documents((group.document for group in asked), self._database)
            self._asked = [group for group in asked if group.document in self._planned]
        return self._asked
