"""The nights of one suite side by side, and what changed between them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from nightjar.pipeline.report.data.changes import Fingerprint
from nightjar.pipeline.report.data.fingerprints import changed
from nightjar.pipeline.report.data.night import Night, NightMetric, NightModel, NightScale, Plain
from nightjar.pipeline.report.data.trend_changes import NightChange, night_changes

SCHEMA_VERSION = "1.0"
"""Of docs/trend.schema.json; the first number changes when a key is renamed or removed."""


class TrendMark(Plain):
    """From this night on something is not what it was; `model` is None for what concerns the whole run."""

    number: int
    """The number in the charts and the table of nights; all marks of one night share it."""
    run: str
    night: str
    """The run's name."""
    model: str | None
    what: str
    before: str | None
    after: str | None

    @property
    def words(self) -> str:
        change = Fingerprint(what=self.what, before=self.before, after=self.after).words
        return f"{self.model}: {change}" if self.model else change


class Trend(Plain):
    """Oldest night first."""

    schema_version: str = SCHEMA_VERSION
    suite: str
    generated_at: datetime
    generated_by: str
    nights: list[Night]
    """Runs by hand among them: `series` tells them apart."""
    marks: list[TrendMark]
    changes: list[NightChange]
    """Of each model's headline metric on its newest night, against the night before of the same series."""

    @property
    def compared(self) -> list[Night]:
        """The nights without the runs by hand; where there is no night, the runs."""
        return regular(self.nights)

    @property
    def models(self) -> list[str]:
        """In order of first appearance."""
        return list(dict.fromkeys(model.name for night in self.nights for model in night.models))

    def of_model(self, name: str) -> list[tuple[Night, NightModel]]:
        """The nights a model took part in, oldest first; one that no night had: its runs by hand."""
        took_part = [(night, model) for night in self.nights if (model := model_of(night, name)) is not None]
        kept = {night.run for night in regular([night for night, _ in took_part])}
        return [(night, model) for night, model in took_part if night.run in kept]

    @property
    def scales(self) -> dict[str, NightScale]:
        """The scale of every metric, those of the newest night first."""
        scales: dict[str, NightScale] = {}
        for night in reversed(self.nights):
            for name, scale in night.scales.items():
                scales.setdefault(name, scale)
        return scales

    @property
    def headline(self) -> str | None:
        return self.compared[-1].headline if self.nights else None

    def metrics(self) -> list[str]:
        """The metrics with a better end, headline first, then the measures."""
        scales = self.scales
        return sorted(scales, key=lambda name: (name != self.headline, scales[name].direction == "none"))


def trend(suite: str, nights: Sequence[Night], *, now: datetime, version: str) -> Trend:
    """The trend of `nights`, which come oldest first."""
    marks: list[TrendMark] = []
    number = 0
    compared = regular(nights)
    for at, night in enumerate(compared):
        new_marks = list(_marks(night, compared[:at]))
        number += bool(new_marks)
        marks += [
            TrendMark(
                number=number,
                run=night.run,
                night=night.name,
                model=model,
                what=mark.what,
                before=mark.before,
                after=mark.after,
            )
            for model, mark in new_marks
        ]
    headline = compared[-1].headline if compared else None
    return Trend(
        suite=suite,
        generated_at=now,
        generated_by=f"nightjar {version}",
        nights=list(nights),
        marks=marks,
        changes=night_changes(compared, headline),
    )


def regular(nights: Sequence[Night]) -> list[Night]:
    """Those that belong to a series; where none does, all: then runs by hand are all there is to compare."""
    return [night for night in nights if night.series is not None] or list(nights)


def model_of(night: Night, name: str) -> NightModel | None:
    return next((model for model in night.models if model.name == name), None)


def night_metric(night: Night, model: str, metric: str) -> NightMetric | None:
    """None if the model took no part or has no such metric."""
    model_night = model_of(night, model)
    return model_night.metrics.get(metric) if model_night is not None else None


def _marks(night: Night, before: Sequence[Night]) -> Iterator[tuple[str | None, Fingerprint]]:
    """What differs from the night before; for a model, from the last night it took part in."""
    if before:
        yield from ((None, mark) for mark in changed(before[-1].marks, night.marks))
    for model in night.models:
        last = next(
            (
                model_before
                for earlier in reversed(before)
                if (model_before := model_of(earlier, model.name)) is not None
            ),
            None,
        )
        if last is not None:
            yield from ((model.name, mark) for mark in changed(last.marks, model.marks))
