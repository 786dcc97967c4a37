"""The transcripts as the page shows them: their flags, and texts cut to fit the room. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nightjar.config.counting import plural
from nightjar.jobs.states import JobStatus
from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.extremes import finest, longest, worst
from nightjar.pipeline.report.data.links import SECONDS, TOKENS, job_anchor
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.data.side_by_side import side_by_side
from nightjar.pipeline.report.page.clip import SHORTEST, Clip, clip, longest_that_fits
from nightjar.pipeline.report.page.tables import SERIES
from nightjar.pipeline.scores import Direction, Scale, Score, ScoreState
from nightjar.pipeline.scoring.turn_scorer import metric_of
from nightjar.pipeline.transcripts import JobRow, SummaryRow, TurnRow

JOB_BYTES = 420
TURN_BYTES = 240
SCORE_BYTES = 26
"""About how many bytes the page writes around the texts of a job, a turn, a score."""


@dataclass(frozen=True, kw_only=True)
class Excerpt:
    """A text as the page shows it; `left` is how many characters are not shown, None if all are."""

    text: str
    left: str | None


@dataclass(frozen=True, kw_only=True)
class ScoreView:
    name: str
    shown: str
    answer: str | None
    reason: Excerpt
    bad: bool
    """At its scale's worst."""
    absent: bool


@dataclass(frozen=True, kw_only=True)
class SummaryView:
    """A text that stands for what did not fit the context."""

    of: str
    """What it stands for, and the tokens of both."""
    text: Excerpt


@dataclass(frozen=True, kw_only=True)
class TurnView:
    """A turn with its numbers formatted as text."""

    number: int
    name: str | None
    prompt: Excerpt
    reply: Excerpt
    reasoning: Excerpt
    reasoning_tokens: str
    failure: str | None
    scores: tuple[ScoreView, ...]
    """With a better end."""
    measures: str
    reply_tokens: str
    finish_reason: str
    prompt_tokens: str
    reused_tokens: str
    took: str
    seed: int
    draws: int | None
    """None for a single one."""
    dropped: str
    """Numbers of the earlier turns that were left out of its context."""
    recalled: str
    """Of those, the ones that were quoted in its prompt."""
    memory: str
    """What it was given from a memory, and what it kept there; empty without one."""
    summaries: tuple[SummaryView, ...]
    reprefill_reason: str | None

    @property
    def cut(self) -> bool:
        """Whether part of its texts is not shown."""
        texts = (self.prompt, self.reply, self.reasoning, *(summary.text for summary in self.summaries))
        return any(text.left is not None for text in texts)


@dataclass(frozen=True, kw_only=True)
class PageAttempt:
    """An attempt that ended in an error."""

    fence: int
    error: str


@dataclass(frozen=True, kw_only=True)
class JobView:
    anchor: str
    sequence: str
    model: str
    series: int
    model_number: int
    """From 0, in the report's order."""
    tag_numbers: tuple[int, ...]
    repeat: int
    """From 1."""
    flags: str
    """Keys of `links.FLAGS`, as the page's script reads them."""
    values: str
    """The job's mean of every sort key, in order, as the page's script reads them."""
    bad: str | None
    """Why the transcript stands out: the status of a failed job, or what is wrong with a reply."""
    failure: str | None
    attempts: tuple[PageAttempt, ...]
    turns: tuple[TurnView, ...]
    turns_shown: int
    turns_total: int
    missing: str | None
    """Which turns are missing, and why."""


def sort_keys(report: RunReport) -> tuple[tuple[str, bool], ...]:
    """Pairs of what transcripts can be sorted by and whether small values come first."""
    worst_first = [
        (name, report.scales[name].direction is Direction.HIGHER)
        for name in report.metrics
        if name not in report.averages
    ]
    return (*worst_first, (TOKENS, False), (SECONDS, False))


def choose_transcripts(report: RunReport, room: int) -> Sequence[JobRow]:
    """The jobs whose transcripts the page has room for when long texts are cut.

    Where not all: what `worth_reading` names, failed ones, then spread evenly over the run.
    """
    least = {job.id: _least(job) for job in report.jobs}
    if sum(least.values()) <= room:
        return report.jobs
    first = {extreme.job.id for extreme in (*longest(report), *finest(report), *worst(report))}
    beside = side_by_side(report)
    first |= {reply.job.id for reply in beside.replies} if beside else set()
    step = max(len(report.jobs) * 4 // 1000, 1)
    order = sorted(
        range(len(report.jobs)),
        key=lambda at: (report.jobs[at].id not in first, not job_failed(report.jobs[at]), at % step, at),
    )
    chosen = set()
    for at in order:
        job = report.jobs[at]
        room -= least[job.id]
        if room < 0:
            break
        chosen.add(job.id)
    return [job for job in report.jobs if job.id in chosen]


def views(report: RunReport, jobs: Sequence[JobRow], room: int) -> Iterator[JobView]:
    """The transcripts, with long texts cut so that together they take about `room` bytes."""
    frame = sum(JOB_BYTES + sum(map(_turn_bytes, job.turns)) for job in jobs)
    texts = (text for job in jobs for turn in job.turns for text in _texts(turn))
    most = longest_that_fits(texts, max(room - frame, 0))
    keys = [name for name, _ in sort_keys(report)]
    for job in jobs:
        yield _view(report, job, keys, most)


def job_failed(job: JobRow) -> bool:
    """A dead or cancelled job, or one with an unusable reply."""
    return job.reason is not None or any(turn.failure is not None for turn in job.turns)


def flags(job: JobRow) -> tuple[str, ...]:
    """The job's flags, keys of `links.FLAGS`."""
    flagged: dict[str, bool] = {}
    flagged["failed"] = job.status is JobStatus.DEAD
    flagged["missing"] = job.finished and len(job.turns) < job.turns_total
    for turn in job.turns:
        flagged["empty"] = flagged.get("empty", False) or turn.empty is not None
        flagged["degenerate"] = flagged.get("degenerate", False) or turn.degenerate is not None
        flagged["repeats"] = flagged.get("repeats", False) or turn.repeats_previous is not None
        flagged["dropped"] = flagged.get("dropped", False) or bool(turn.dropped_turns)
        if turn.finish_reason in ("length", "context", "timeout", "grammar"):
            flagged[turn.finish_reason] = True
        states = {score.state for score in turn.scores.values() if score.value is None}
        flagged["unscored"] = flagged.get("unscored", False) or ScoreState.UNSCORED in states
        flagged["error"] = flagged.get("error", False) or ScoreState.FAILED in states
    return tuple(name for name, is_set in flagged.items() if is_set)


def _view(report: RunReport, job: JobRow, keys: Sequence[str], most: int | None) -> JobView:
    number = [model.name for model in report.models].index(job.contestant)
    bad, there, total = None, len(job.turns), job.turns_total
    if job_failed(job):
        bad = job.status.value if job.reason else "unusable reply"
    return JobView(
        anchor=job_anchor(job.id),
        sequence=job.sequence,
        model=job.contestant,
        series=number % SERIES + 1,
        model_number=number,
        tag_numbers=tuple(report.tags.index(tag) for tag in job.tags),
        repeat=job.repeat + 1,
        flags=" ".join(flags(job)),
        values=",".join(_values(job, keys)),
        bad=bad,
        failure=f"{job.status.value}: {job.reason}" if job.reason else None,
        attempts=tuple(
            PageAttempt(fence=attempt["fence"], error=attempt["error"])
            for attempt in job.attempts
            if attempt.get("error")
        ),
        turns=tuple(_turn(report, turn, most) for turn in job.turns),
        turns_shown=there,
        turns_total=total,
        missing=f"Turns {there + 1} to {total} are missing: {job.missing_reason}" if there < total else None,
    )


def _values(job: JobRow, keys: Sequence[str]) -> Iterator[str]:
    """Means over the job's turns; an empty text where there is no value."""
    sums: dict[str, list[float]] = {}
    for turn in job.turns:
        for name, score in turn.scores.items():
            if score.value is not None:
                total = sums.setdefault(metric_of(name), [0.0, 0])
                total[0] += score.value
                total[1] += 1
    if job.turns:
        sums[TOKENS] = [sum(turn.reply_tokens for turn in job.turns), 1]
        sums[SECONDS] = [sum(turn.total_s for turn in job.turns), 1]
    for key in keys:
        total = sums.get(key, [0.0, 0])
        yield f"{total[0] / total[1]:.4g}" if total[1] else ""


def _turn(report: RunReport, turn: TurnRow, most: int | None) -> TurnView:
    def cut(text: str | None) -> Excerpt:
        shown = Clip(text=text or "") if most is None else clip(text or "", most)
        return Excerpt(text=shown.text, left=fmt.whole(shown.left) if shown.left else None)

    scores, measures = [], []
    for name, score in turn.scores.items():
        scale = report.scales.get(metric_of(name))
        if scale is not None and scale.direction is Direction.NONE and score.value is not None:
            measures.append(f"{name}\u00a0{fmt.number(score.value)}")
        else:
            scores.append(_score(name, score, scale, cut(score.reason)))
    return TurnView(
        number=turn.index + 1,
        name=turn.name,
        prompt=cut(turn.prompt),
        reply=cut(turn.reply),
        reasoning=cut(turn.reasoning),
        reasoning_tokens=fmt.whole(turn.reasoning_tokens),
        failure=turn.failure,
        scores=tuple(scores),
        measures=", ".join(measures),
        reply_tokens=fmt.whole(turn.reply_tokens),
        finish_reason=turn.finish_reason,
        prompt_tokens=fmt.whole(turn.prompt_tokens),
        reused_tokens=fmt.whole(turn.reused_tokens),
        took=fmt.seconds(turn.total_s),
        seed=turn.seed,
        draws=turn.draws if turn.draws > 1 else None,
        dropped=", ".join(str(index + 1) for index in turn.dropped_turns),
        recalled=", ".join(str(index + 1) for index in turn.recalled_turns),
        memory=_memory(turn.memory),
        summaries=tuple(SummaryView(of=_summarised(summary), text=cut(summary.text)) for summary in turn.summaries),
        reprefill_reason=turn.reprefill_reason,
    )


def _memory(memory: Mapping[str, Any] | None) -> str:
    if memory is None:
        return ""
    given, kept = (plural(len(memory[name]), "fact") for name in ("given", "kept"))
    return f"memory {memory['name']}: {len(memory['given'])} {given} given, {len(memory['kept'])} {kept} kept"


def _summarised(summary: SummaryRow) -> str:
    """What a summary stands for, in words."""
    turns = ", ".join(str(index + 1) for index in summary.turns)
    of_turns = f"{plural(len(summary.turns), 'turn')} {turns}"
    what = of_turns if summary.document is None else f"the document {summary.document}"
    part = f", part {summary.part + 1}" if summary.part else ""
    return f"{what}{part}: {fmt.count_of(summary.tokens_before, 'token')} in {fmt.whole(summary.tokens_after)}"


def _score(name: str, score: Score, scale: Scale | None, reason: Excerpt) -> ScoreView:
    return ScoreView(
        name=name,
        shown=score.state.value if score.value is None else fmt.number(score.value),
        answer=score.answer if score.reason else None,
        reason=reason,
        bad=score.value is not None and scale is not None and scale.worst is not None and score.value == scale.worst,
        absent=score.value is None,
    )


def _texts(turn: TurnRow) -> Iterator[str]:
    yield from (turn.prompt, turn.reply, turn.reasoning)
    yield from (summary.text for summary in turn.summaries)
    yield from (score.reason for score in turn.scores.values() if score.reason)


def _turn_bytes(turn: TurnRow) -> int:
    return TURN_BYTES + SCORE_BYTES * len(turn.scores)


def _least(job: JobRow) -> int:
    """The size of a job in bytes when its texts are cut to the shortest."""
    shortest = sum(min(len(text), SHORTEST) for turn in job.turns for text in _texts(turn))
    return JOB_BYTES + sum(map(_turn_bytes, job.turns)) + shortest
