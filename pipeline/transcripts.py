"""The jobs of a run as a report reads them: small frozen rows made from raw documents. Pure.

Plain dataclasses instead of the documents' models: a report reads 100,000 turns, and validating each again
costs more than all the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from nightjar.jobs.routing.routed import asked_as
from nightjar.jobs.states import TERMINAL_JOBS, JobStatus
from nightjar.jobs.variants import contestant_name
from nightjar.pipeline.scores import JobScores, Score

PROJECTION: dict[str, Any] = {
    "turns.draws.reply_ids": 0,
    "turns.draws.raw_text": 0,
    "turns.prompt_digest": 0,
    "turns.chain": 0,
    "payload": 0,
}
"""What a report does not read of a job document; the number of generated tokens is put in as `reply_tokens`."""

_IDS: dict[str, Any] = {"$first": "$$t.draws.reply_ids"}
_COUNT: dict[str, Any] = {
    "$cond": [{"$isArray": [_IDS]}, {"$size": _IDS}, {"$first": "$$t.draws.reported_tokens"}],
}
PIPELINE_STAGES: list[dict[str, Any]] = [
    {"$set": {"reply_tokens": {"$map": {"input": "$turns", "as": "t", "in": _COUNT}}}},
    {"$project": PROJECTION},
]
"""Stages after the match: ids are counted on the server and never sent. Without ids, the count is the reported one."""

RECENT_VALUES = 40
"""How many equal values a reader looks back for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SummaryRow:
    """What stands for turns or for a document that did not fit, as in `jobs.records.Summary`."""

    turns: tuple[int, ...]
    document: str | None
    part: int
    text: str
    tokens_before: int
    tokens_after: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ChoiceRow:
    """How likely one given continuation is, as in `jobs.records.ScoredChoice`."""

    logprob: float
    tokens: int
    characters: int
    bytes: int
    greedy: bool
    merged: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class TextRow:
    """How likely a text is and by which rule, as in `jobs.records.ScoredText`."""

    logprob: float
    tokens: int
    left_out: int
    windows: int
    window: int
    score_from: int | None
    bos: bool
    words: int
    bytes: int

    @property
    def rule(self) -> str:
        """For people: what the number depends on beside text and model."""
        start = "each token once" if self.score_from is None else f"from token {self.score_from} of each"
        return f"windows of {self.window}, {start}, {'with' if self.bos else 'without'} beginning-of-text"


@dataclass(frozen=True, kw_only=True, slots=True)
class LikelihoodRow:
    """What a turn with given texts found, as in `jobs.records.Likelihoods`."""

    layout: str
    choices: tuple[ChoiceRow, ...] = ()
    text: TextRow | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnRow:
    """A committed turn. Seconds and tokens as in `jobs.records`."""

    index: int
    name: str | None
    prompt: str
    reply: str
    reasoning: str
    prompt_tokens: int
    reused_tokens: int
    reply_tokens: int
    reasoning_tokens: int
    finish_reason: str
    empty: str | None
    degenerate: str | None
    repeats_previous: str | None
    queue_s: float
    prefill_s: float
    decode_s: float
    first_token_s: float | None
    mean_logprob: float | None
    draws: int
    seed: int
    policy: str
    dropped_turns: tuple[int, ...]
    summaries: tuple[SummaryRow, ...]
    """Made for this turn; later turns keep using them."""
    recalled_turns: tuple[int, ...] = ()
    """Of the dropped ones, those that were quoted in this prompt."""
    memory: Mapping[str, Any] | None = None
    """Which memory it had, what it was given and what it kept, as in `jobs.records.TurnMemory`."""
    reprefill_reason: str | None
    system_merged: bool
    parameters: Mapping[str, Any]
    sources: Mapping[str, str]
    worker: str
    committed_at: datetime
    shared: bool = False
    """A live request used the device meanwhile: its times count in no speed."""
    likelihoods: LikelihoodRow | None = None
    """Where given texts were scored and nothing was generated."""
    scores: Mapping[str, Score] = field(default_factory=dict)
    """By name. A row is never written to: scoring makes another (`JobRow.scored`)."""

    @property
    def failure(self) -> str | None:
        """Why this is a model failure; None where it is not."""
        if self.empty is not None:
            return f"empty reply: {self.empty}"
        if self.degenerate is not None:
            return f"degenerate reply: {self.degenerate}"
        return f"repeated reply: {self.repeats_previous}" if self.repeats_previous is not None else None

    @property
    def total_s(self) -> float:
        """From the request to the last token."""
        return self.queue_s + self.prefill_s + self.decode_s


@dataclass(frozen=True, kw_only=True, slots=True)
class RouteRow:
    """Who answered a job for a policy, as in `jobs.routing.routed.JobRoute`: (candidate, why, from which turn on)."""

    policy: str
    steps: tuple[tuple[str, str, int], ...]

    def who(self, turn: int) -> str:
        """The candidate that answered a committed turn."""
        return next(model for model, _, since in reversed(self.steps) if since <= turn)


@dataclass(frozen=True, kw_only=True, slots=True)
class JobRow:
    """A reply job with its committed turns. `model`: what the run was asked with, a model or a policy."""

    id: str
    sequence: str
    sequence_digest: str
    sequence_document: str
    model: str
    repeat: int
    tags: tuple[str, ...]
    order: int
    """Position in the run's expansion."""
    status: JobStatus
    reason: str | None
    turns_total: int
    tries: int
    lapses: int
    crashes: int
    attempts: tuple[Mapping[str, Any], ...]
    turns: tuple[TurnRow, ...]
    variant: str | None = None
    route: RouteRow | None = None
    """None: the model answered for itself."""

    @property
    def contestant(self) -> str:
        """What reports call what replied: the model, with its variant where it has one."""
        return contestant_name(self.model, self.variant)

    @property
    def finished(self) -> bool:
        """Whether the job has ended, well or not."""
        return self.status in TERMINAL_JOBS

    @property
    def missing_reason(self) -> str:
        """Why turns of this job are missing."""
        if not self.finished:
            return f"job is {self.status.value}"
        return f"{self.status.value}: {self.reason or 'no reason recorded'}"

    def scored(self, scores: JobScores) -> JobRow:
        """The same job, its turns with these scores after those they have."""
        turns = (replace(turn, scores={**turn.scores, **scores.get(turn.index, {})}) for turn in self.turns)
        return replace(self, turns=tuple(turns))


class RowReader:
    """Makes rows of raw documents; equal prompts, parameters and sources of different jobs share one object."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._values: list[Mapping[str, Any]] = []

    def job(self, raw: Mapping[str, Any]) -> JobRow:
        """A row of a raw job document read through PIPELINE_STAGES."""
        tokens = raw["reply_tokens"]
        return JobRow(
            id=raw["_id"],
            sequence=self._text(raw["sequence"]),
            sequence_digest=self._text(raw["sequence_digest"]),
            sequence_document=self._text(raw["sequence_document"]),
            model=self._text(asked_as(raw)),
            repeat=raw["repeat"],
            tags=tuple(self._text(tag) for tag in raw["tags"]),
            order=raw["order"],
            status=JobStatus(raw["status"]),
            reason=raw.get("reason"),
            turns_total=raw["turns_total"],
            tries=raw["tries"],
            lapses=raw["lapses"],
            crashes=raw["crashes"],
            attempts=tuple(raw["attempts"]),
            turns=tuple(self._turn(turn, tokens[at]) for at, turn in enumerate(raw["turns"])),
            variant=raw.get("variant"),
            route=_route(raw.get("routed")),
        )

    def _turn(self, raw: Mapping[str, Any], reply_tokens: int) -> TurnRow:
        draw = raw["draws"][0]
        timings = draw["timings"]
        return TurnRow(
            index=raw["index"],
            name=raw.get("name"),
            prompt=self._text(raw["prompt"]),
            reply=draw["reply"],
            reasoning=draw.get("reasoning", ""),
            prompt_tokens=raw["prompt_tokens"],
            reused_tokens=raw["reused_tokens"],
            reply_tokens=reply_tokens,
            reasoning_tokens=draw.get("reasoning_tokens", 0),
            finish_reason=self._text(draw["finish_reason"]),
            empty=draw.get("empty"),
            degenerate=draw.get("degenerate"),
            repeats_previous=draw.get("repeats_previous"),
            queue_s=timings["queue_s"],
            prefill_s=timings["prefill_s"],
            decode_s=timings["decode_s"],
            first_token_s=timings.get("first_token_s"),
            mean_logprob=draw.get("mean_logprob"),
            draws=len(raw["draws"]),
            seed=draw["seed"],
            policy=self._text(raw["policy"]),
            dropped_turns=tuple(raw.get("dropped_turns", ())),
            summaries=tuple(self._summary(summary) for summary in raw.get("summaries", ())),
            recalled_turns=tuple(raw.get("recalled_turns", ())),
            memory=raw.get("memory"),
            reprefill_reason=raw.get("reprefill_reason"),
            system_merged=raw.get("system_merged", False),
            parameters=self._value(raw["parameters"]),
            sources=self._value(raw["sources"]),
            worker=self._text(raw["worker"]),
            committed_at=raw["committed_at"],
            shared=raw.get("shared", False),
            likelihoods=_likelihoods(raw.get("likelihoods")),
        )

    def _summary(self, raw: Mapping[str, Any]) -> SummaryRow:
        return SummaryRow(
            turns=tuple(raw.get("turns", ())),
            document=raw.get("document"),
            part=raw.get("part", 0),
            text=self._text(raw["text"]),
            tokens_before=raw["tokens_before"],
            tokens_after=raw["tokens_after"],
        )

    def _text(self, text: str) -> str:
        return self._texts.setdefault(text, text)

    def _value(self, value: Mapping[str, Any]) -> Mapping[str, Any]:
        """An equal value of the last few, where there is one: a run has few different ones, and hashing costs more."""
        recent = reversed(self._values[-RECENT_VALUES:])
        met: Mapping[str, Any] | None = next((known for known in recent if known == value), None)
        if met is None:
            self._values.append(value)
        return value if met is None else met


def _route(raw: Mapping[str, Any] | None) -> RouteRow | None:
    if raw is None:
        return None
    steps = tuple((step["model"], step["reason"], step["turn"]) for step in raw["steps"])
    return RouteRow(policy=raw["policy"], steps=steps)


def _likelihoods(raw: Mapping[str, Any] | None) -> LikelihoodRow | None:
    if raw is None:
        return None
    text = raw.get("text")
    return LikelihoodRow(
        layout=raw["layout"],
        choices=tuple(ChoiceRow(**choice) for choice in raw.get("choices", ())),
        text=None if text is None else TextRow(**{"score_from": None, **text}),
    )
