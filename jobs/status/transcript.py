"""What was asked and answered: the conversations of one prompt sequence in a run, with their stored scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nightjar.config.counting import how_many
from nightjar.jobs.documents import Job, Run, SequenceDocument
from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.parameters import ParameterSource
from nightjar.jobs.records import FAULTS, Likelihoods, TurnRecord
from nightjar.jobs.routing.routed import JobRoute, contestant_query
from nightjar.jobs.sequences import Choices, TurnSpec
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.jobs.states import JobKind, JobStatus
from nightjar.jobs.variants import Contestant, contestant_name, varied


@dataclass(frozen=True, kw_only=True)
class ShownScore:
    """A stored score. `reason`: why `value` is None, else what the scorer or judge said of it, if anything."""

    value: float | None
    state: str
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class ShownSummary:
    """What stood in a prompt for what did not fit. `turns` count from 1; empty for a document."""

    turns: tuple[int, ...]
    document: str | None
    text: str
    tokens_before: int
    tokens_after: int


@dataclass(frozen=True, kw_only=True)
class ShownGivenText:
    """What a model thought of a given text. `text`: a choice or its context; "" for a prompt that is itself scored."""

    text: str
    logprob: float
    """Sum over its tokens, natural logarithm."""
    tokens: int
    likeliest: bool = False
    """Of several choices."""
    right: bool = False

    @property
    def words(self) -> str:
        """For people."""
        marks = [mark for mark, holds in (("likeliest", self.likeliest), ("right", self.right)) if holds]
        what = f": {self.text}" if self.text else ""
        told = f" ({', '.join(marks)})" if marks else ""
        return f"{self.logprob:.2f} over {how_many(self.tokens, 'token')}{what}{told}"


@dataclass(frozen=True, kw_only=True)
class ShownParameter:
    """A parameter of a turn; `source`: the layer that it comes from, such as suite."""

    name: str
    value: Any
    source: str


@dataclass(frozen=True, kw_only=True)
class ShownTurn:
    """A committed turn. `number` and `left_out` (turns that its prompt went without) count from 1."""

    number: int
    name: str | None
    prompt: str
    reasoning: str
    reply: str
    failure: str | None
    finish_reason: str
    reply_tokens: int
    left_out: tuple[int, ...]
    recalled: tuple[int, ...]
    """Of those, the ones that were quoted in it; from 1, too."""
    memory: str | None
    """Whole name of the memory that the conversation had."""
    given: tuple[str, ...]
    """Facts that it was given from there, in the first turn; later turns have them, too."""
    kept: tuple[str, ...]
    """Facts that were kept of this turn."""
    summaries: tuple[ShownSummary, ...]
    scores: Mapping[str, ShownScore]
    """By scorer; empty until the run is closed."""
    checks: tuple[str, ...]
    """Those of `scores` that come from what the suite expects."""
    given_texts: tuple[ShownGivenText, ...] = ()
    """Where those were scored in the place of a reply; `reply` is then the likeliest choice."""
    rendered: str | None = None
    """The prompt as the model's template wrote it, where that was asked for and can be known."""
    parameters: tuple[ShownParameter, ...] = ()
    """Those that hold for it, the strongest layer's first; without what is neither set nor has a default."""
    seed: int | None = None


@dataclass(frozen=True, kw_only=True)
class ShownTranscript:
    """One conversation; `repeat` counts from 1. `model`: what the run was asked with, a model or a policy."""

    job: str
    sequence: str
    model: str
    variant: str | None
    repeat: int
    status: JobStatus
    reason: str | None
    system: str | None
    """What stands before the first prompt: the system prompt, and fixed messages with whose each is."""
    turns_total: int
    turns: tuple[ShownTurn, ...]
    routed: JobRoute | None = None
    """Who answered for a policy, and why."""

    @property
    def contestant(self) -> str:
        """What reports call what replied."""
        return contestant_name(self.model, self.variant)


async def conversations(
    run: Run, sequence: str, database: Database, *, of: Sequence[Contestant] | None = None
) -> list[Job]:
    """The reply jobs of a sequence, in the run's order: all, or those of some contestants."""
    query: Row = {"run": run.id, "kind": JobKind.REPLY, "sequence": sequence}
    if of is not None:
        query["$or"] = [contestant_query(contestant) for contestant in of]
    return await Job.find(query).sort("+repeat", "+order").to_list()


async def read_transcripts(run: Run, jobs: Sequence[Job], database: Database) -> list[ShownTranscript]:
    """The transcripts of these jobs of the run; judges' scores are those of the judging that counts."""
    documents = await SequenceDocument.find({"_id": {"$in": [job.sequence_document for job in jobs]}}).to_list()
    sequences = {document.id: document.sequence for document in documents}
    scores: dict[tuple[str, int], dict[str, ShownScore]] = {}
    counted = {"job": {"$in": [job.id for job in jobs]}, "judging": {"$in": [None, run.judging.shown]}}
    async for row in database.raw["scores"].find(counted):
        score = ShownScore(value=row["value"], state=row["state"], reason=row["reason"])
        scores.setdefault((row["job"], row["turn"]), {})[row["scorer"]] = score
    return [
        _transcript(job, varied(sequences[job.sequence_document], run.variant(job.variant)), scores) for job in jobs
    ]


async def scorers_of(run: Run, database: Database) -> list[str]:
    """The names of what has scored the run's replies."""
    return sorted(map(str, await database.raw["scores"].distinct("scorer", {"run": run.id})))


async def jobs_scored(
    run: Run, scorer: str, database: Database, *, least: float | None = None, most: float | None = None
) -> list[str]:
    """Ids of the jobs of which any turn has a value of the scorer within the bounds, in the judging that counts."""
    bounds = {operator: bound for operator, bound in (("$gte", least), ("$lte", most)) if bound is not None}
    value: Row = bounds or {"$ne": None}
    counted: Row = {"run": run.id, "scorer": scorer, "judging": {"$in": [None, run.judging.shown]}, "value": value}
    return list(map(str, await database.raw["scores"].distinct("job", counted)))


def _transcript(
    job: Job, sequence: PromptSequence, scores: Mapping[tuple[str, int], Mapping[str, ShownScore]]
) -> ShownTranscript:
    return ShownTranscript(
        job=job.id,
        sequence=job.sequence,
        model=job.model if job.routed is None else job.routed.asked_as,
        variant=job.variant,
        repeat=job.repeat + 1,
        status=job.status,
        reason=job.reason,
        system=sequence.opening,
        turns_total=job.turns_total,
        routed=job.routed,
        turns=tuple(
            _turn(turn, sequence.turns[turn.index], scores.get((job.id, turn.index), {})) for turn in job.turns
        ),
    )


def shown_given_texts(found: Likelihoods | None, choices: Choices | None) -> tuple[ShownGivenText, ...]:
    """Each choice of a turn in its order, or the text; empty for a turn whose reply was generated."""
    if found is None:
        return ()
    if found.text is not None:
        return (ShownGivenText(text="", logprob=found.text.logprob, tokens=found.text.tokens),)
    assert choices is not None
    several = len(found.choices) > 1
    best = max(range(len(found.choices)), key=lambda at: found.choices[at].logprob)
    return tuple(
        ShownGivenText(
            text=choices.shown(at),
            logprob=choice.logprob,
            tokens=choice.tokens,
            likeliest=several and at == best,
            right=several and at in choices.right,
        )
        for at, choice in enumerate(found.choices)
    )


def shown_parameters(turn: TurnRecord) -> tuple[ShownParameter, ...]:
    """The parameters of a turn with where each is from."""
    strongest = {source: at for at, source in enumerate(reversed(ParameterSource))}
    sources = {name: turn.sources.get(name, ParameterSource.DEFAULT) for name in turn.parameters}
    return tuple(
        ShownParameter(name=name, value=turn.parameters[name], source=sources[name].value)
        for name in sorted(sources, key=lambda name: strongest[sources[name]])
        if turn.parameters[name] is not None or sources[name] is not ParameterSource.DEFAULT
    )


def _turn(turn: TurnRecord, spec: TurnSpec, scores: Mapping[str, ShownScore]) -> ShownTurn:
    draw, memory = turn.draw, turn.memory
    expected = {expectation.check for expectation in spec.expect}
    faults = (f"{fault.replace('_', ' ')}: {why}" for fault in FAULTS if (why := getattr(draw, fault)) is not None)
    return ShownTurn(
        number=turn.index + 1,
        name=turn.name,
        prompt=turn.prompt,
        reasoning=draw.reasoning,
        reply=draw.reply,
        failure=next(faults, None),
        finish_reason=draw.finish_reason,
        reply_tokens=draw.reply_tokens,
        left_out=tuple(number + 1 for number in turn.dropped_turns),
        recalled=tuple(number + 1 for number in turn.recalled_turns),
        memory=None if memory is None else memory.name,
        given=() if memory is None or turn.index else tuple(fact.text for fact in memory.given),
        kept=() if memory is None else memory.kept,
        summaries=tuple(
            ShownSummary(
                turns=tuple(n + 1 for n in summary.turns),
                document=summary.document,
                text=summary.text,
                tokens_before=summary.tokens_before,
                tokens_after=summary.tokens_after,
            )
            for summary in turn.summaries
        ),
        scores=scores,
        given_texts=shown_given_texts(turn.likelihoods, spec.choices),
        parameters=shown_parameters(turn),
        seed=draw.seed,
        checks=tuple(name for name in scores if name.partition("#")[0] in expected),
    )
