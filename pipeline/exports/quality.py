"""Which metric says that a reply is good, and from what value: how fine-tuning data is chosen. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from nightjar.config.errors import UsageError
from nightjar.pipeline.exports.file import SHARE, ExportOptions
from nightjar.pipeline.judging.verdicts import COMPOSITE
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.scores import Direction, Scale
from nightjar.pipeline.scoring.turn_scorer import metric_of
from nightjar.pipeline.transcripts import TurnRow


@dataclass(frozen=True, kw_only=True)
class Quality:
    """A metric with a better end, and what counts as good by it."""

    metric: str
    scale: Scale
    at_least: float
    """The limit that a good reply reaches; if less is better, the limit it does not exceed."""
    margin: float
    """How much better than another a reply must be to be chosen over it."""

    def value(self, turn: TurnRow) -> float | None:
        """The reply's value, the mean if several checks have the name; None if any has no value."""
        scores = [score.value for name, score in turn.scores.items() if metric_of(name) == self.metric]
        values = [value for value in scores if value is not None]
        return sum(values) / len(values) if values and len(values) == len(scores) else None

    def asked(self, turn: TurnRow) -> bool:
        """Whether the metric applies to this turn."""
        return any(metric_of(name) == self.metric for name in turn.scores)

    def good(self, turn: TurnRow) -> bool:
        value = self.value(turn)
        if value is None or turn.failure is not None:
            return False
        return value <= self.at_least if self._lower else value >= self.at_least

    def gain(self, better: float, worse: float) -> float:
        """How much better the first value is."""
        return worse - better if self._lower else better - worse

    @property
    def _lower(self) -> bool:
        return self.scale.direction is Direction.LOWER


def quality(report: RunReport, options: ExportOptions) -> Quality:
    """The metric of the first threshold, else the judges' composite, else the report's headline metric.

    Raises UsageError if that metric has no better end.
    """
    run = report.provenance.name
    name = next(iter(options.at_least), COMPOSITE if COMPOSITE in report.metrics else report.headline_of_parts)
    scale = report.scales.get(name) if name is not None else None
    if name is None or scale is None or scale.worst is None or scale.best is None:
        raise UsageError(
            f"Run {run!r} has no metric that says which replies are good: judge it (`nightjar judge {run}`), give its "
            "suite expectations, or name a metric that has a better end with --at-least METRIC:X."
        )
    width = scale.best - scale.worst
    return Quality(
        metric=name,
        scale=scale,
        at_least=options.at_least.get(name, scale.worst + SHARE * width),
        margin=abs(width) * (1 - SHARE) if options.margin is None else options.margin,
    )
