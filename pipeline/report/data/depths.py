"""Scores and speeds by the length of the context, of suites that ask the same at growing lengths (ladders). Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.group import Group
from nightjar.pipeline.report.data.metric import Metric
from nightjar.pipeline.report.data.model import ModelReport
from nightjar.pipeline.report.data.run_report import RunReport

_LENGTH = re.compile(r"[1-9][0-9]{0,4}k")
COLUMNS = ("context", "model", "prompt>", "score>", "prefill>", "decode>")


@dataclass(frozen=True, kw_only=True)
class DepthStep:
    """One model at one length. Tokens per second; None where nothing was measured."""

    model: str
    length: str
    """The tag that the sequences of this length share: "4k"."""
    sequences: int
    prompt_tokens: float | None
    """Mean by the model's own count: lengths are made at so many characters a token."""
    metric: str | None
    mean: float | None
    low: float | None
    high: float | None
    """Ends of the mean's 95 % interval."""
    prefill_tokens_per_s: float | None
    decode_tokens_per_s: float | None
    """One conversation's own rate, beside as many others as there were."""


def depth_steps(report: RunReport) -> tuple[DepthStep, ...]:
    """By length, then model; empty unless every sequence has one tag that is a length, and there are several."""
    lengths = context_lengths(report)
    return tuple(_step(report, model, length) for length in lengths for model in report.models)


def context_lengths(report: RunReport) -> list[str]:
    """The tags that are lengths, the shortest first."""
    of_each = [[tag for tag in sequence.tags if _LENGTH.fullmatch(tag)] for sequence in report.sequences]
    if any(len(tags) != 1 for tags in of_each):
        return []
    lengths = {tag for [tag] in of_each}
    return sorted(lengths, key=lambda tag: int(tag[:-1])) if len(lengths) > 1 else []


def depth_rows(report: RunReport) -> list[tuple[str, ...]]:
    """The steps as texts, under COLUMNS."""
    return [
        (
            step.length,
            step.model,
            fmt.ABSENT if step.prompt_tokens is None else fmt.whole(round(step.prompt_tokens)),
            score_text(step, report),
            fmt.number(step.prefill_tokens_per_s),
            fmt.number(step.decode_tokens_per_s),
        )
        for step in depth_steps(report)
    ]


def score_text(step: DepthStep, report: RunReport) -> str:
    """The mean on its metric's scale."""
    if step.metric is None:
        return fmt.ABSENT
    return fmt.metric_value(step.mean, report.scales[step.metric])


def _step(report: RunReport, model: ModelReport, length: str) -> DepthStep:
    group, name = model.by_tag.get(length), report.headline
    metric = _metric(group, name)
    ends = metric.interval if metric is not None else None
    return DepthStep(
        model=model.name,
        length=length,
        sequences=_sequences(report, length),
        prompt_tokens=group.counts.prompt_tokens / group.counts.turns if group and group.counts.turns else None,
        metric=name,
        mean=metric.mean if metric is not None else None,
        low=ends.low if ends is not None else None,
        high=ends.high if ends is not None else None,
        prefill_tokens_per_s=group.speed.prefill_tokens_per_s if group is not None else None,
        decode_tokens_per_s=group.speed.decode_tokens_per_s if group is not None else None,
    )


def _metric(group: Group | None, name: str | None) -> Metric | None:
    return group.metrics.get(name) if group is not None and name is not None else None


def _sequences(report: RunReport, length: str) -> int:
    tagged: Sequence[bool] = [length in sequence.tags for sequence in report.sequences]
    return sum(tagged)
