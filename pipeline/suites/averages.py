"""Averages over parts of a suite: which parts a sequence belongs to, and which metrics can be averaged so. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from nightjar.config.errors import suggest
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.pipeline.judging.verdicts import is_judges
from nightjar.pipeline.scoring.turn_scorer import metric_scales
from nightjar.pipeline.suites.located import Path
from nightjar.pipeline.suites.native_file import AveragePart, SuitePart

MACRO = "macro"
"""The usual name of an average whose parts count alike."""
WHOLE = "all"
"""The one part of an average whose sequences count alike."""


def average_parts(tags: Collection[str], averages: Iterable[AveragePart]) -> dict[str, str]:
    """Average (METRIC.NAME) -> the part of a sequence with these tags. Raises ValueError where it has two."""
    found: dict[str, str] = {}
    for average in averages:
        mine = [part for part in average.parts if part in tags]
        if len(mine) > 1:
            raise ValueError(f"it belongs to two parts of the average {average.name!r}: {mine[0]} and {mine[1]}.")
        if mine:
            found[f"{average.metric}.{average.name}"] = WHOLE if average.weight_by_size else mine[0]
    return found


def average_problems(suite: SuitePart, sequences: Sequence[PromptSequence]) -> Iterator[tuple[Path, str]]:
    """Where a suite's averages cannot be taken, or its primary metric is none of them, and why."""
    tags = {tag for sequence in sequences for tag in sequence.tags}
    for index, average in enumerate(suite.averages):
        if problem := _problem(average, tags):
            yield ("averages", index), problem
    primary = suite.primary_metric or ""
    known = {name for sequence in sequences for name in sequence.averages}
    if "." in primary and not is_judges(primary) and primary not in known:
        yield ("primary_metric",), f"the suite has no average {primary!r}. {suggest(primary, known, 'average')}"


def _problem(average: AveragePart, tags: Collection[str]) -> str | None:
    if absent := [part for part in average.parts if part not in tags]:
        return f"no sequence has the tag {absent[0]!r}."
    if len(set(average.parts)) < len(average.parts):
        return "a part is named twice."
    return metric_cannot(average.metric)


def metric_cannot(metric: str) -> str | None:
    """Why a metric has no average over parts; None where it has one."""
    scale = metric_scales().get(metric)
    if is_judges(metric) or (scale is not None and (scale.geometric or not scale.has_better_end)):
        return (
            f"{metric} is judged, adds up by the sizes of texts, or has no better end: parts cannot count alike in it."
        )
    return None
