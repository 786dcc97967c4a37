"""The transcripts as the page shows them: what each is marked with, and texts cut to the room there is. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nightjar.jobs.states import JobStatus
from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.extremes import longest, worst
from nightjar.pipeline.report.data.links import SECONDS, TOKENS
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.page.clip import SHORTEST, Clip, clip, longest_that_fits
from nightjar.pipeline.scores import Direction, Scale, Score, ScoreState
from nightjar.pipeline.scoring.turn_scorer import metric_of
from nightjar.pipeline.transcripts import JobRow, TurnRow

JOB_BYTES = 420
TURN_BYTES = 240
SCORE_BYTES = 26
"""About what the page writes around the texts of a job, a turn, a score."""


@dataclass(frozen=True, kw_only=True)
class ScoreView:
    name: str
    shown: str
    answer: str | None
    reason: Clip
    bad: bool
    """At its scale's worst."""
    absent: bool


@dataclass(frozen=True, kw_only=True)
class TurnView:
    row: TurnRow
    prompt: Clip
    reply: Clip
    reasoning: Clip
    scores: tuple[ScoreView, ...]
    """With a better end."""
    measures: str


@dataclass(frozen=True, kw_only=True)
class JobView:
    row: JobRow
    flags: tuple[str, ...]
    values: str
    """The job's mean of every metric it can be sorted by, in that order, as the page's script reads them."""
    turns: tuple[TurnView, ...]


def sort_keys(report: RunReport) -> tuple[tuple[str, bool], ...]:
    """(what transcripts can be sorted by, whether its small values come first)."""
    worst_first = [(name, report.scales[name].direction is Direction.HIGHER) for name in report.metrics]
    return (*worst_first, (TOKENS, False), (SECONDS, False))


def choose_transcripts(report: RunReport, room: int) -> Sequence[JobRow]:
    """The jobs whose transcripts the page has room for when long texts are cut.

    Where not all: what `worth_reading` names, failed ones, then spread evenly over the run.
    """
    least = {job.id: _least(job) for job in report.jobs}
    if sum(least.values()) <= room:
        return report.jobs
    first = {one.job.id for one in (*longest(report), *worst(report))}
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
    """The transcripts, their long texts cut so that all of them take about `room` bytes."""
    frame = sum(JOB_BYTES + sum(map(_turn_bytes, job.turns)) for job in jobs)
    texts = (text for job in jobs for turn in job.turns for text in _texts(turn))
    most = longest_that_fits(texts, max(room - frame, 0))
    keys = [name for name, _ in sort_keys(report)]
    for job in jobs:
        yield _view(report, job, keys, most)


def job_failed(job: JobRow) -> bool:
    """A dead or cancelled job, or one with an empty or degenerate reply."""
    return job.reason is not None or any(turn.failure is not None for turn in job.turns)


def flags(job: JobRow) -> tuple[str, ...]:
    """Of `links.FLAGS`."""
    found: dict[str, bool] = {}
    found["failed"] = job.status is JobStatus.DEAD
    found["missing"] = job.finished and len(job.turns) < job.turns_total
    for turn in job.turns:
        found["empty"] = found.get("empty", False) or turn.empty is not None
        found["degenerate"] = found.get("degenerate", False) or (turn.degenerate is not None and turn.empty is None)
        found["dropped"] = found.get("dropped", False) or bool(turn.dropped_turns)
        if turn.finish_reason in ("length", "context", "timeout"):
            found[turn.finish_reason] = True
        states = {score.state for score in turn.scores.values() if score.value is None}
        found["unscored"] = found.get("unscored", False) or ScoreState.UNSCORED in states
        found["error"] = found.get("error", False) or ScoreState.FAILED in states
    return tuple(name for name, there in found.items() if there)


def _view(report: RunReport, job: JobRow, keys: Sequence[str], most: int | None) -> JobView:
    return JobView(
        row=job,
        flags=flags(job),
        values=",".join(_values(job, keys)),
        turns=tuple(_turn(report, turn, most) for turn in job.turns),
    )


def _values(job: JobRow, keys: Sequence[str]) -> Iterator[str]:
    """Means over the job's turns; nothing where there is no value."""
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
    def cut(text: str | None) -> Clip:
        return Clip(text=text or "") if most is None else clip(text or "", most)

    scores, measures = [], []
    for name, score in turn.scores.items():
        scale = report.scales.get(metric_of(name))
        if scale is not None and scale.direction is Direction.NONE and score.value is not None:
            measures.append(f"{name}\u00a0{fmt.number(score.value)}")
        else:
            scores.append(_score(name, score, scale, cut(score.reason)))
    return TurnView(
        row=turn,
        prompt=cut(turn.prompt),
        reply=cut(turn.reply),
        reasoning=cut(turn.reasoning),
        scores=tuple(scores),
        measures=", ".join(measures),
    )


def _score(name: str, score: Score, scale: Scale | None, reason: Clip) -> ScoreView:
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
    yield from (score.reason for score in turn.scores.values() if score.reason)


def _turn_bytes(turn: TurnRow) -> int:
    return TURN_BYTES + SCORE_BYTES * len(turn.scores)


def _least(job: JobRow) -> int:
    """Bytes of a job when its texts are cut to the shortest."""
    shortest = sum(min(len(text), SHORTEST) for turn in job.turns for text in _texts(turn))
    return JOB_BYTES + sum(map(_turn_bytes, job.turns)) + shortest
