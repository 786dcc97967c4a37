"""One prompt with the replies of all models: that on which they differ most. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.scores import Direction
from nightjar.pipeline.transcripts import JobRow, TurnRow


@dataclass(frozen=True, kw_only=True)
class ComparedReply:
    """A model's reply, and its value by the metric that the report leads with; None without one."""

    job: JobRow
    turn: TurnRow
    value: float | None


@dataclass(frozen=True, kw_only=True)
class PromptCompared:
    """The replies to one prompt, best first; in the report's order where nothing says which is better."""

    sequence: str
    turn: int
    prompt: str
    replies: tuple[ComparedReply, ...]
    ordered: bool
    """Whether values say which is better."""


def side_by_side(report: RunReport) -> PromptCompared | None:
    """The prompt on which the models differ most by the headline metric, else the first that most have answered.

    None for one model, and where no two have answered the same prompt.
    """
    if len(report.models) < 2:
        return None
    chosen = max(_prompts(report), key=lambda replies: _interest(report, replies), default=None)
    if chosen is None:
        return None
    sign, first = _sign(report), chosen[0]
    if sign is not None:
        chosen = sorted(chosen, key=lambda reply: math.inf if reply.value is None else -sign * reply.value)
    return PromptCompared(
        sequence=first.job.sequence,
        turn=first.turn.index,
        prompt=first.turn.prompt,
        replies=tuple(chosen),
        ordered=sign is not None and chosen[0].value is not None,
    )


def _prompts(report: RunReport) -> Iterator[list[ComparedReply]]:
    """The first repeats' replies to each turn, for turns that two models or more have answered."""
    jobs: dict[str, dict[str, JobRow]] = {}
    for job in report.jobs:
        if job.repeat == 0:
            jobs.setdefault(job.sequence, {})[job.contestant] = job
    for sequence in report.sequences:
        of_models = jobs.get(sequence.id, {})
        for turn in range(len(sequence.turns)):
            replies = [reply for model in report.models if (reply := _reply(report, of_models, model.name, turn))]
            if len(replies) > 1:
                yield replies


def _reply(report: RunReport, jobs: Mapping[str, JobRow], model: str, index: int) -> ComparedReply | None:
    job = jobs.get(model)
    turn = next((turn for turn in job.turns if turn.index == index), None) if job else None
    if job is None or turn is None:
        return None
    score = turn.scores.get(report.headline or "")
    return ComparedReply(job=job, turn=turn, value=score.value if score else None)


def _sign(report: RunReport) -> float | None:
    """1 where higher is better, -1 where lower is; None where the headline metric has no better end."""
    name = report.headline
    if name is None or report.scales[name].direction is Direction.NONE:
        return None
    return report.scales[name].sign


def _interest(report: RunReport, replies: Sequence[ComparedReply]) -> tuple[int, float, int]:
    """How many have a value, how far these lie apart, how many have replied; failures tell nothing to a reader."""
    values = [reply.value for reply in replies if reply.value is not None and reply.turn.failure is None]
    apart = max(values) - min(values) if _sign(report) is not None and values else 0.0
    return len(values), apart, len(replies)
