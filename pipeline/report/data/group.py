"""A group of jobs (a model; a model's tag, sequence, turn or repeat): counts, tokens, speed, metrics. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from nightjar.jobs.sequences import averaged_metric
from nightjar.jobs.states import JobStatus
from nightjar.pipeline.report.data.metric import Metric, MetricTally
from nightjar.pipeline.report.data.speed import Speed, SpeedTally
from nightjar.pipeline.scores import Scale, Score
from nightjar.pipeline.transcripts import JobRow, TurnRow


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Jobs and turns of a group."""

    jobs: Mapping[str, int]
    """By status."""
    turns: int
    """Committed."""
    turns_expected: int
    turns_missing: int
    """Turns that dead or cancelled jobs never produced."""
    empty: int
    degenerate: int
    repeats_previous: int = 0
    """Replies that are the one before them again."""
    truncated_length: int
    """Ended by max_tokens."""
    truncated_context: int
    """Ended by a full context."""
    timeout: int
    redrawn: int
    """Turns drawn more than once (--retry-empty); the first draw counts."""
    dropped: int
    """Turns for which earlier turns were left out of the context."""
    recalled: int = 0
    """Turns for which some of those were quoted again (policy recall)."""
    shared: int = 0
    """Turns beside which a live request used the device; they count in no speed."""
    prompt_tokens: int
    reused_tokens: int
    reply_tokens: int
    reasoning_tokens: int
    failures: Mapping[str, int]
    """Reason -> count, over dead and cancelled jobs and replies that are failures."""

    @property
    def unusable(self) -> int:
        """Replies that are failures of the model."""
        return self.empty + self.degenerate + self.repeats_previous

    @property
    def unusable_words(self) -> str:
        """Of which kind they are: "3 empty, 1 repeated"; "" without any."""
        kinds = {"empty": self.empty, "degenerate": self.degenerate, "repeated": self.repeats_previous}
        return ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count)

    @property
    def failed(self) -> int:
        """Jobs that failed for good."""
        return self.jobs.get(JobStatus.DEAD, 0)


@dataclass(frozen=True, kw_only=True)
class Group:
    """A group's counts, speed and metrics; metrics are in display order."""

    counts: Counts
    speed: Speed
    metrics: Mapping[str, Metric]


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredTurn:
    """A committed turn in the form that groups add, computed once for all the groups it belongs to."""

    turn: TurnRow
    ended_at: float
    scores: tuple[tuple[str, Score], ...]
    """(metric, score)."""


def reading(turn: TurnRow) -> ScoredTurn:
    scores = tuple((name.partition("#")[0], score) for name, score in turn.scores.items())
    return ScoredTurn(turn=turn, ended_at=turn.committed_at.timestamp(), scores=scores)


_SUMS = (
    "_turns _expected _missing _empty _degenerate _repeats _redrawn _dropped _recalled _shared _prompt _reused _reply "
    "_reasoning"
).split()


class GroupTally:
    """Accumulates a group: `begin` once for each job, then `add` or `miss` for each of its turns."""

    def __init__(self) -> None:
        self._jobs: Counter[str] = Counter()
        self._ends: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._speed = SpeedTally()
        self._turns = self._expected = self._missing = self._empty = self._degenerate = self._repeats = 0
        self._redrawn = self._dropped = self._recalled = self._shared = 0
        self._prompt = self._reused = self._reply = self._reasoning = 0
        self.metrics: dict[str, MetricTally] = {}

    def begin(self, job: JobRow) -> None:
        self._jobs[job.status.value] += 1
        if job.status in (JobStatus.DEAD, JobStatus.CANCELLED):
            self._failures[f"{job.status.value}: {job.reason or 'no reason recorded'}"] += 1

    def add(self, job: JobRow, read: ScoredTurn) -> None:
        """Adds a committed turn and its scores."""
        turn = read.turn
        self._turns += 1
        self._expected += 1
        self._prompt += turn.prompt_tokens
        self._reused += turn.reused_tokens
        self._reply += turn.reply_tokens
        self._reasoning += turn.reasoning_tokens
        self._ends[turn.finish_reason] += 1
        self._redrawn += turn.draws > 1
        self._dropped += bool(turn.dropped_turns)
        self._recalled += bool(turn.recalled_turns)
        if (failure := turn.failure) is not None:
            self._empty += turn.empty is not None
            self._degenerate += turn.degenerate is not None
            self._repeats += turn.repeats_previous is not None
            self._failures[failure] += 1
        self._shared += turn.shared
        if not turn.shared:
            self._speed.add(turn, read.ended_at)
        key = (job.sequence, job.repeat)
        for name, score in read.scores:
            tally = self.metrics.get(name)
            if tally is None:
                tally = self.metrics[name] = MetricTally(name)
            tally.add(key, score)

    def miss(self, job: JobRow, lines: Iterable[str]) -> None:
        """Counts a missing turn, with the names of the scores it would have had."""
        self._expected += 1
        self._missing += job.finished
        for line in lines:
            name = line.partition("#")[0]
            self.metrics.setdefault(name, MetricTally(name)).miss((job.sequence, job.repeat), job.missing_reason)

    def merge(self, other: GroupTally) -> None:
        """Adds a group of other jobs; cheaper than adding each turn to every group it belongs to."""
        self._jobs.update(other._jobs)
        self._ends.update(other._ends)
        self._failures.update(other._failures)
        self._speed.merge(other._speed)
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name, tally in other.metrics.items():
            self.metrics.setdefault(name, MetricTally(name)).merge(tally)

    def average(self, sequence: str, parts: Mapping[str, str]) -> None:
        """Adds the averages that this group's one sequence is counted in; `parts`: average -> the sequence's part."""
        for name, part in parts.items():
            if (tally := self.metrics.get(averaged_metric(name))) is not None:
                self.metrics[name] = tally.as_part(name, sequence, part)

    def add_averages(self, other: GroupTally) -> None:
        """Adds only the averages of another group."""
        for name, tally in other.metrics.items():
            if tally.over_parts:
                self.metrics.setdefault(name, MetricTally(name)).merge(tally)

    def group(self, scales: Mapping[str, Scale]) -> Group:
        """The group; metrics in the order of the scales."""
        order = {name: at for at, name in enumerate(scales)}
        names = sorted(self.metrics, key=lambda name: order.get(name, len(order)))
        return Group(
            counts=self._counts(),
            speed=self._speed.speed(),
            metrics=MappingProxyType({name: self.metrics[name].metric(scales.get(name)) for name in names}),
        )

    def _counts(self) -> Counts:
        return Counts(
            jobs=MappingProxyType(dict(self._jobs)),
            turns=self._turns,
            turns_expected=self._expected,
            turns_missing=self._missing,
            empty=self._empty,
            degenerate=self._degenerate,
            repeats_previous=self._repeats,
            truncated_length=self._ends["length"],
            truncated_context=self._ends["context"],
            timeout=self._ends["timeout"],
            redrawn=self._redrawn,
            dropped=self._dropped,
            recalled=self._recalled,
            shared=self._shared,
            prompt_tokens=self._prompt,
            reused_tokens=self._reused,
            reply_tokens=self._reply,
            reasoning_tokens=self._reasoning,
            failures=MappingProxyType(dict(self._failures.most_common())),
        )
