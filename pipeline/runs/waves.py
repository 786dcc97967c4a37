"""Drawing the waves of a run that stops when it is decided, and what such a run needs. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from nightjar.config.errors import UnknownNameError, UsageError
from nightjar.jobs.documents import Run, SuiteVersion
from nightjar.jobs.identity import digest
from nightjar.jobs.waves import WavePlan, Waves
from nightjar.pipeline.runs.request import EnqueueRequest
from nightjar.pipeline.scores import Scale
from nightjar.pipeline.statistics.sequential import SMALLEST_LOOK, wave_sizes


def freeze_waves(
    request: EnqueueRequest, suite: SuiteVersion, sequences: Sequence[str], contestants: int, seed: int
) -> Waves | None:
    """The waves of the run; None where it asks all sequences at once. Raises UsageError where it cannot be decided."""
    if request.until is None:
        return None
    if contestants < 2:
        raise UsageError(
            "--until decided compares the models of a run, and this one has only one. Add a second --model, or try "
            "variants (`variants:` in the suite, or --system)."
        )
    if len(sequences) < SMALLEST_LOOK:
        raise UsageError(
            f"--until decided needs at least {SMALLEST_LOOK} sequences for its first look, and this run has "
            f"{len(sequences)}. Leave it out: all of them are soon asked."
        )
    metric = request.primary or suite.primary_metric
    if metric is None:
        raise UsageError(
            f"--until decided needs one metric to decide by, and suite {suite.name!r} has no `primary_metric:`. Name "
            "it: --primary METRIC."
        )
    numbers = wave_numbers(sequences, seed)
    return Waves(plan=WavePlan(metric=metric, margin=request.margin, numbers=numbers))


def wave_numbers(sequences: Sequence[str], seed: int) -> tuple[int, ...]:
    """For each of these ids the wave that it is in: 0, 1, ... The order is random, by the seed."""
    order = sorted(range(len(sequences)), key=lambda at: digest("wave", seed, sequences[at]))
    numbers, begun = [0] * len(sequences), 0
    for wave, size in enumerate(wave_sizes(len(sequences))):
        for at in order[begun : begun + size]:
            numbers[at] = wave
        begun += size
    return tuple(numbers)


def check_waves(run: Run, known: dict[str, Scale]) -> list[str]:
    """Notes on the waves; `known`: the metrics with a better end that the run will have, with their scales.

    Raises UnknownNameError for another metric, UsageError for a margin that is no part of the scale.
    """
    if run.waves is None:
        return []
    plan = run.waves.plan
    _check_metric(plan.metric, known, judged=bool(run.judging.judges))
    width = known[plan.metric].width
    if plan.margin is not None and width is not None and plan.margin >= width:
        raise UsageError(
            f"--margin is {plan.margin:g}, and {plan.metric} goes from end to end in {width:g}: whatever comes would "
            "count as alike. Give a smaller one."
        )
    if plan.count == 1:
        enough = next(count for count in range(SMALLEST_LOOK, 2 * SMALLEST_LOOK) if len(wave_sizes(count)) > 1)
        return [
            f"with {len(run.sequences)} sequences --until decided has a single look, at the end: nothing can be left "
            f"out. From {enough} on it can stop early."
        ]
    return []


def _check_metric(metric: str, known: Collection[str], *, judged: bool) -> None:
    if metric not in known:
        hint = "" if judged else " Without --judge there are no judges' metrics."
        listed = ", ".join(known) or "none with a better end"
        raise UnknownNameError("metric to decide by", metric, known, f"The run will have {listed}.{hint}")
