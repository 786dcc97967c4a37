"""Which models of the curated list to take on a machine. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from nightjar.config.errors import ModelFitError
from nightjar.config.load_settings import LoadSettings
from nightjar.workers.library.fit.curated import Curated
from nightjar.workers.library.fit.fit import Fit, Room, SpeedClass, fit

_PATIENCE = {SpeedClass.FAST: 0, SpeedClass.FLUENT: 0, SpeedClass.SLOW: 1, SpeedClass.CRAWL: 2}
Purpose = Literal["chat", "judge", "embedding"]


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """A model of the list that fits, and how it would be loaded."""

    model: Curated
    fit: Fit


def recommend(models: Iterable[Curated], room: Room, purpose: Purpose | None = None) -> list[Recommendation]:
    """The models that fit, best first: those one can read along with, then slow ones; of each the largest first."""
    found: list[Recommendation] = []
    for model in models:
        if purpose is not None and purpose not in model.best_for:
            continue
        try:
            fitting = fit(model.name, model.shape, room, LoadSettings())
        except ModelFitError:
            continue
        found.append(Recommendation(model=model, fit=fitting))
    return sorted(found, key=lambda item: (_PATIENCE[item.fit.speed], -item.model.parameters))
