"""What judging will cost at endpoints, from the prompts that the judges are to read: of replies that are there, or of
those that a run is expected to have.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nightjar.config.counting import how_many
from nightjar.config.errors import UsageError
from nightjar.jobs.documents import Run, SequenceDocument, SequenceRef
from nightjar.jobs.judgings import JudgeCheck, Judging
from nightjar.jobs.models import ModelFacts
from nightjar.jobs.mongo import Database
from nightjar.jobs.published import published
from nightjar.jobs.remote_models import usd_text
from nightjar.jobs.sequences import Mode
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.jobs.states import JobStatus
from nightjar.jobs.variants import Contestant
from nightjar.pipeline.judging.judged import JudgedJob, JudgedPair, judged_pairs
from nightjar.pipeline.judging.panel import Panel
from nightjar.pipeline.judging.plan import JudgeJobSpec, plan_judging, plan_pairs
from nightjar.pipeline.judging.prompts import JudgedTurn
from nightjar.pipeline.judging.read_judged import panel_of
from nightjar.pipeline.judging.rubric import Layout, Method, Rubric, read_rubric
from nightjar.pipeline.judging.write_jobs import Batches, check_batches, judging_batches
from nightjar.pipeline.runs.remote_plan import (
    ASSUMED_REPLY_TOKENS,
    CHARS_PER_TOKEN,
    DEFAULT_MAX_TOKENS,
    check_budget,
    expected_cost,
    planned_sequence,
)

ASSUMED_VERDICT_TOKENS = 100
"""For one criterion: a sentence and a number."""


@dataclass(frozen=True, kw_only=True)
class ExpectedJudging:
    """Of one judge at an endpoint, in US dollars."""

    judge: str
    verdicts: int
    usd: float | None
    """None: nobody knows its price."""
    most_usd: float | None
    replies_known: bool
    """False: the replies are not there yet, and their lengths are assumed."""

    def sentence(self) -> str:
        """With its assumptions."""
        verdicts = how_many(self.verdicts, "verdict")
        if self.usd is None or self.most_usd is None:
            return (
                f"Nobody knows the price of {self.judge}: what its {verdicts} cost will be unknown (`price` in "
                "models.toml)."
            )
        replies = "" if self.replies_known else f", replies of up to {ASSUMED_REPLY_TOKENS} tokens"
        return (
            f"{self.judge} will cost about {usd_text(self.usd)} for {verdicts}, assuming {CHARS_PER_TOKEN} characters "
            f"a token{replies} and {ASSUMED_VERDICT_TOKENS} tokens a criterion; {usd_text(self.most_usd)} if all use "
            "their max_tokens."
        )


async def expected_again(run: Run, asked: Judging, database: Database) -> list[ExpectedJudging]:
    """What another judging of a run's replies will cost at each judge that is at an endpoint; verdicts that are there
    already are not asked for again.
    """
    facts = await _at_endpoints(asked.judges, database)
    if not facts or asked.rubric is None:
        return []
    return await _expected_of(judging_batches(run, asked, asked.rubric, database), asked.rubric, facts, database)


async def expected_check(run: Run, check: JudgeCheck, database: Database) -> list[ExpectedJudging]:
    """The same of a check of judges."""
    facts = await _at_endpoints(check.judges, database)
    if not facts:
        return []
    return await _expected_of(check_batches(run, check, database), check.rubric, facts, database)


async def _expected_of(
    batches: Batches, stored: Mapping[str, Any], facts: Mapping[str, ModelFacts], database: Database
) -> list[ExpectedJudging]:
    rubric = read_rubric(stored)
    sums: dict[str, _JudgeSum] = {}
    async for batch in batches:
        specs = [spec for spec in batch if spec.judge in facts]
        given = {"_id": {"$in": [spec.id for spec in specs]}, "status": JobStatus.DONE}
        done = {row["_id"] async for row in database.jobs.find(given, {"_id": 1})}
        about = [spec for spec in specs if spec.id not in done]
        await asyncio.to_thread(_add, sums, about, facts, rubric, most=False)
        await asyncio.to_thread(_add, sums, about, facts, rubric, most=True)
    return [_expected(name, sums.get(name, _JudgeSum()), model, 1, known=True) for name, model in facts.items()]


async def expected_of_run(
    run: Run, sequences: Iterable[SequenceRef], models: Mapping[str, ModelFacts], database: Database
) -> list[ExpectedJudging]:
    """What judging the replies of a run will cost that is about to be written. `models`: facts of what replies."""
    judging = run.judging.current
    if judging is None or judging.rubric is None:
        return []
    facts = await _at_endpoints(judging.judges, database)
    if not facts:
        return []
    documents = sorted({sequence.document for sequence in sequences})
    asked = [document.sequence async for document in SequenceDocument.find({"_id": {"$in": documents}})]
    panel = await panel_of(run, judging.judges, database, self_judging=judging.self_judging)
    rubric = read_rubric(judging.rubric)
    sums: dict[str, _JudgeSum] = {}
    for most in (False, True):
        specs = _specs(run, asked, models, rubric, panel, most=most)
        await asyncio.to_thread(_add, sums, specs, facts, rubric, most=most)
    return [_expected(name, sums.get(name, _JudgeSum()), facts[name], run.repeats, known=False) for name in facts]


async def check_judges_budget(budget: float | None, judges: Sequence[str], database: Database) -> None:
    """Raises UsageError where the budget of a judging is none, or could not be kept: a judge's price is unknown."""
    if budget is not None and not budget > 0:
        raise UsageError(f"--budget is {budget:g}; it is an amount above 0, in US dollars.")
    check_budget(budget, (await _at_endpoints(judges, database)).values())


@dataclass
class _JudgeSum:
    verdicts: int = 0
    usd: float = 0.0
    most_usd: float = 0.0


async def _at_endpoints(judges: Sequence[str], database: Database) -> dict[str, ModelFacts]:
    facts = {name: model.facts for name, model in (await published(judges, database)).items()}
    return {name: facts[name] for name in judges if name in facts and facts[name].remote is not None}


def _add(
    sums: dict[str, _JudgeSum],
    specs: Iterable[JudgeJobSpec],
    facts: Mapping[str, ModelFacts],
    rubric: Rubric,
    *,
    most: bool,
) -> None:
    """`most`: the most that these verdicts can cost; else about what they will."""
    tokens = ASSUMED_VERDICT_TOKENS * (len(rubric.criteria) if rubric.layout is Layout.ALL else 1)
    for spec in specs:
        if spec.judge not in facts:
            continue
        total = sums.setdefault(spec.judge, _JudgeSum())
        total.verdicts += not most
        remote = facts[spec.judge].remote
        if remote is None or remote.price is None:
            continue
        asked = planned_sequence(spec.sequence.model_dump(mode="python"))
        cost = expected_cost(spec.judge, remote.price, [asked], [{}], below={}, repeats=1, reply_tokens=tokens)
        if most:
            total.most_usd += cost.most_usd
        else:
            total.usd += cost.usd


def _expected(name: str, total: _JudgeSum, facts: ModelFacts, repeats: int, *, known: bool) -> ExpectedJudging:
    priced = facts.remote is not None and facts.remote.price is not None
    return ExpectedJudging(
        judge=name,
        verdicts=total.verdicts * repeats,
        usd=total.usd * repeats if priced else None,
        most_usd=total.most_usd * repeats if priced else None,
        replies_known=known,
    )


def _specs(
    run: Run,
    sequences: Iterable[PromptSequence],
    models: Mapping[str, ModelFacts],
    rubric: Rubric,
    panel: Panel,
    *,
    most: bool,
) -> Iterator[JudgeJobSpec]:
    """The judge jobs of one repeat, on replies of the assumed lengths."""
    jobs: list[JudgedJob] = []
    pairs: list[JudgedPair] = []
    for sequence in sequences:
        mine = [_assumed(run, contestant, sequence, models, most=most) for contestant in run.contestants]
        jobs += mine
        for at, job in enumerate(mine):
            pairs += judged_pairs([job], mine[at + 1 :], rubric) if rubric.method is Method.PAIRWISE else ()
    if rubric.method is Method.PAIRWISE:
        yield from plan_pairs(run.id, pairs, rubric, panel)
    else:
        yield from plan_judging(run.id, jobs, rubric, panel)


def _assumed(
    run: Run, contestant: Contestant, sequence: PromptSequence, models: Mapping[str, ModelFacts], *, most: bool
) -> JudgedJob:
    """A conversation as it may become. Texts of contestants differ: equal ones need no judge."""
    variant = run.variant(contestant.variant)
    below = models[contestant.model].registry_parameters if contestant.model in models else {}
    above = {**run.set_parameters, **run.set_model_parameters.get(contestant.model, {})}
    own = variant.parameters if variant is not None else {}
    turns = []
    for index, turn in enumerate(sequence.turns):
        values = {**below, **sequence.parameters, **turn.parameters, **own, **above}
        limit = values.get("max_tokens", DEFAULT_MAX_TOKENS)
        tokens = limit if most else min(ASSUMED_REPLY_TOKENS, limit)
        turns.append(
            JudgedTurn(
                index=index,
                prompt=sequence.prompt_text(index),
                reply="x" * (tokens * CHARS_PER_TOKEN),
                chain=f"{contestant.name} {sequence.id} {index}",
                reference=turn.reference,
            )
        )
    return JudgedJob(
        id=f"{contestant.name} {sequence.id}",
        model=contestant.model,
        variant=contestant.variant,
        sequence=sequence.id,
        repeat=0,
        tags=(),
        system=sequence.opening,
        independent=sequence.mode is Mode.INDEPENDENT,
        turns=tuple(turns),
    )
