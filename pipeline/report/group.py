"""A group of jobs (a model; a model's tag, sequence, turn or repeat): counts, tokens, speed, metrics. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from jobs.states import JobStatus
from pipeline.report.metric import Metric, MetricTally
from pipeline.scoring.scorer import Scale
from pipeline.throughput import Speed, SpeedTally
from pipeline.transcripts import JobRow, TurnRow


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Jobs and turns of a group."""

    jobs: Mapping[str, int]
    """By status."""
    turns: int
    """Committed."""
    turns_expected: int
    turns_missing: int
    """Of jobs that ended without them: dead or cancelled."""
    empty: int
    degenerate: int
    truncated_length: int
    """Ended by max_tokens."""
    truncated_context: int
    """Ended by a full context."""
    timeout: int
    redrawn: int
    """Turns drawn more than once (--retry-empty); the first draw counts."""
    dropped: int
    """Turns before which the conversation left earlier turns out."""
    prompt_tokens: int
    reused_tokens: int
    reply_tokens: int
    reasoning_tokens: int
    failures: Mapping[str, int]
    """Reason -> how often: dead and cancelled jobs, empty and degenerate replies."""

    @property
    def failed(self) -> int:
        """Jobs that failed for good."""
        return self.jobs.get(JobStatus.DEAD, 0)


@dataclass(frozen=True, kw_only=True)
class Group:
    counts: Counts
    speed: Speed
    metrics: Mapping[str, Metric]


class GroupTally:
    """Gathers a group. A job is begun once in each group it belongs to, then each of its turns is added."""

    def __init__(self) -> None:
        self._jobs: Counter[str] = Counter()
        self._turns: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._speed = SpeedTally()
        self.metrics: dict[str, MetricTally] = {}

    def begin(self, job: JobRow) -> None:
        self._jobs[job.status.value] += 1
        if job.status in (JobStatus.DEAD, JobStatus.CANCELLED):
            self._failures[f"{job.status.value}: {job.reason or 'no reason recorded'}"] += 1

    def add(self, job: JobRow, turn: TurnRow) -> None:
        """A committed turn and its scores."""
        count = self._turns
        count["turns"] += 1
        count["expected"] += 1
        count["prompt_tokens"] += turn.prompt_tokens
        count["reused_tokens"] += turn.reused_tokens
        count["reply_tokens"] += turn.reply_tokens
        count["reasoning_tokens"] += turn.reasoning_tokens
        count[turn.finish_reason] += 1
        if turn.failure is not None:
            count["empty" if turn.empty is not None else "degenerate"] += 1
            self._failures[turn.failure] += 1
        count["redrawn"] += turn.draws > 1
        count["dropped"] += bool(turn.dropped_turns)
        self._speed.add(
            computed_tokens=turn.prompt_tokens - turn.reused_tokens,
            reply_tokens=turn.reply_tokens,
            queue_s=turn.queue_s,
            prefill_s=turn.prefill_s,
            decode_s=turn.decode_s,
            first_token_s=turn.first_token_s,
            ended_at=turn.committed_at.timestamp(),
        )
        for name, score in turn.scores.items():
            self._metric(name.partition("#")[0]).add(job.sequence, job.repeat, score)

    def miss(self, job: JobRow, lines: Iterable[str]) -> None:
        """A turn that is not there, with the names of the scores it would have had."""
        self._turns["expected"] += 1
        self._turns["missing"] += job.finished
        for name in lines:
            self._metric(name.partition("#")[0]).miss(job.missing_reason)

    def group(self, scales: Mapping[str, Scale]) -> Group:
        """The group; metrics in the order of the scales."""
        order = {name: at for at, name in enumerate(scales)}
        names = sorted(self.metrics, key=lambda name: order.get(name, len(order)))
        return Group(
            counts=self._counts(),
            speed=self._speed.speed(),
            metrics=MappingProxyType({name: self.metrics[name].metric(scales.get(name)) for name in names}),
        )

    def _metric(self, name: str) -> MetricTally:
        tally = self.metrics.get(name)
        if tally is None:
            tally = self.metrics[name] = MetricTally(name)
        return tally

    def _counts(self) -> Counts:
        count = self._turns
        return Counts(
            jobs=MappingProxyType(dict(self._jobs)),
            turns=count["turns"],
            turns_expected=count["expected"],
            turns_missing=count["missing"],
            empty=count["empty"],
            degenerate=count["degenerate"],
            truncated_length=count["length"],
            truncated_context=count["context"],
            timeout=count["timeout"],
            redrawn=count["redrawn"],
            dropped=count["dropped"],
            prompt_tokens=count["prompt_tokens"],
            reused_tokens=count["reused_tokens"],
            reply_tokens=count["reply_tokens"],
            reasoning_tokens=count["reasoning_tokens"],
            failures=MappingProxyType(dict(self._failures.most_common())),
        )
