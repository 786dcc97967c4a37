"""One prompt with the replies of all models: that on which they differ most. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nightjar.pipeline.report.data.run_report import RunReport
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

    def mark(self, reply: ComparedReply) -> str:
        """ "best" or "worst"; empty between them, without a value, and where all are alike."""
        values = [each.value for each in self.replies if each.value is not None]
        if not self.ordered or reply.value is None or values[0] == values[-1]:
            return ""
        return {values[0]: "best", values[-1]: "worst"}.get(reply.value, "")


def side_by_side(report: RunReport) -> PromptCompared | None:
    """The prompt on which the models differ most by the headline metric, else the first that most have answered.

    None for one model, and where no two have answered the same prompt.
    """
    if len(report.models) < 2:
        return None
    ordered = report.headline_scale is not None
    chosen = max(_prompts(report), key=lambda replies: _interest(replies, ordered=ordered), default=None)
    return None if chosen is None else _best_first(chosen, report)


def turns_compared(report: RunReport, sequence: str) -> list[PromptCompared]:
    """Each turn of a sequence that two models or more have answered."""
    return [_best_first(replies, report) for replies in _prompts(report) if replies[0].job.sequence == sequence]


def _best_first(replies: Sequence[ComparedReply], report: RunReport) -> PromptCompared:
    scale = report.headline_scale
    first = replies[0]
    if scale is not None:
        replies = sorted(replies, key=lambda reply: math.inf if reply.value is None else -scale.sign * reply.value)
    return PromptCompared(
        sequence=first.job.sequence,
        turn=first.turn.index,
        prompt=first.turn.prompt,
        replies=tuple(replies),
        ordered=scale is not None and replies[0].value is not None,
    )


def _prompts(report: RunReport) -> Iterator[list[ComparedReply]]:
    """The first repeats' replies to each turn, for turns that two models or more have answered."""
    metric = report.headline_of_parts
    jobs: dict[str, dict[str, JobRow]] = {}
    for job in report.jobs:
        if job.repeat == 0:
            jobs.setdefault(job.sequence, {})[job.contestant] = job
    for sequence in report.sequences:
        of_models = jobs.get(sequence.id, {})
        for turn in range(len(sequence.turns)):
            replies = [reply for model in report.models if (reply := _reply(of_models.get(model.name), turn, metric))]
            if len(replies) > 1:
                yield replies


def _reply(job: JobRow | None, index: int, metric: str | None) -> ComparedReply | None:
    turn = next((turn for turn in job.turns if turn.index == index), None) if job else None
    if job is None or turn is None:
        return None
    score = turn.scores.get(metric or "")
    return ComparedReply(job=job, turn=turn, value=score.value if score else None)


def _interest(replies: Sequence[ComparedReply], *, ordered: bool) -> tuple[int, float, int]:
    """How many have a value, how far these lie apart, how many have replied; failures tell nothing to a reader.

    `ordered`: values say which is better.
    """
    values = [reply.value for reply in replies if reply.value is not None and reply.turn.failure is None]
    apart = max(values) - min(values) if ordered and values else 0.0
    return len(values), apart, len(replies)
