"""Several suites as one: sequences side by side, a tag for each, an average in which suites count alike. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nightjar.config.errors import UsageError
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.pipeline.scoring.turn_scorer import line_names, metric_of, turn_lines
from nightjar.pipeline.suites.averages import MACRO, metric_cannot
from nightjar.pipeline.suites.content import SuiteContent

LONGEST_ID = 100


def join_suites(name: str, suites: Sequence[SuiteContent], metric: str | None) -> SuiteContent:
    """One suite of several. `metric`: what their average is of; None for the primary one that they share.

    Raises UsageError where they cannot stand in one suite, or have no metric in common.
    """
    if len(suites) < 2 or len({suite.name for suite in suites}) < len(suites):
        raise UsageError("A joined suite is made of two or more suites of different names.")
    for suite in suites:
        if suite.variants or suite.rubric is not None:
            what = "variants" if suite.variants else "a rubric"
            raise UsageError(
                f"Suite {suite.name!r} has {what}, which would count for the others, too. Run it by itself."
            )
    metric = metric or _shared_metric(suites)
    if problem := metric_cannot(metric):
        raise UsageError(f"--metric {metric}: {problem}")
    for suite in suites:
        if metric not in _metrics(suite):
            raise UsageError(
                f"No turn of suite {suite.name!r} has the metric {metric}: it has {', '.join(_metrics(suite))}."
            )
    licences = dict.fromkeys(suite.licence or "not given" for suite in suites)
    return SuiteContent(
        name=name,
        description=f"{', '.join(suite.name for suite in suites)}; {metric}.{MACRO} is the mean of their means.",
        licence=", ".join(licences),
        tags=tuple(dict.fromkeys(tag for suite in suites for tag in suite.tags)),
        sequences=tuple(_within(suite, sequence, metric) for suite in suites for sequence in suite.sequences),
        primary_metric=f"{metric}.{MACRO}",
        source="; ".join(f"{suite.name}: {suite.source}" for suite in suites),
        left_out=tuple(text for suite in suites for text in suite.left_out),
    )


def _shared_metric(suites: Sequence[SuiteContent]) -> str:
    primary = dict.fromkeys(suite.primary_metric or "none" for suite in suites)
    if len(primary) > 1 or "none" in primary:
        said = ", ".join(f"{suite.name}: {suite.primary_metric or 'none'}" for suite in suites)
        raise UsageError(f"The suites lead with different metrics ({said}). Name one that all have with --metric.")
    return next(iter(primary))


def _metrics(suite: SuiteContent) -> list[str]:
    found: dict[str, Any] = {}
    for sequence in suite.sequences:
        found |= dict.fromkeys(metric_of(name) for names in line_names(turn_lines(sequence)) for name in names)
    return list(found)


def _within(suite: SuiteContent, sequence: PromptSequence, metric: str) -> PromptSequence:
    """The sequence in the joined suite: its id and tags say where it is from. Its own averages keep their names."""
    identity = f"{suite.name}.{sequence.id}"
    if len(identity) > LONGEST_ID:
        raise UsageError(
            f"{identity!r} is longer than {LONGEST_ID} characters. Import {suite.name} under a shorter --name."
        )
    averages = {**sequence.averages, f"{metric}.{MACRO}": suite.name}
    tags = tuple(dict.fromkeys((suite.name, *sequence.tags)))
    return sequence.model_copy(update={"id": identity, "tags": tags, "averages": averages})
