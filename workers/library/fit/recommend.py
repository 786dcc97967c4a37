"""Which models of the curated list suit a machine. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

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


def recommended_entry(chosen: Recommendation) -> dict[str, Any]:
    """The registry entry of a recommended model, with the settings that it was fitted with."""
    load = chosen.fit.load
    wanted: dict[str, Any] = {"context": load.context, "slots": load.slots, "gpu_layers": load.gpu_layers}
    if load.cache_type_k != "f16":
        wanted |= {"cache_type_k": load.cache_type_k, "cache_type_v": load.cache_type_v}
    model = chosen.model
    return {
        "repo": model.repo,
        "file": f"*{model.quantisation}*.gguf",
        "tags": list(model.best_for),
        "load": wanted,
    }


def recommend(models: Iterable[Curated], room: Room, purpose: Purpose | None = None) -> list[Recommendation]:
    """The models that fit, best first: those fast enough to read along, then slow ones; largest first in each."""
    recommendations: list[Recommendation] = []
    for model in models:
        if purpose is not None and purpose not in model.best_for:
            continue
        try:
            fitting = fit(model.name, model.shape, room, LoadSettings())
        except ModelFitError:
            continue
        recommendations.append(Recommendation(model=model, fit=fitting))
    return sorted(recommendations, key=lambda item: (_PATIENCE[item.fit.speed], -item.model.parameters))
