"""How many slots fit a device, and the error if too few do. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from nightjar.config.counting import how_many
from nightjar.config.errors import ModelFitError


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Memory of one device, and what is to go into it. Bytes."""

    device: str
    free: int
    share: float
    """Of the free memory, how much may be used."""
    fixed: int
    """Weights, and the scratch to compute."""
    per_slot: int
    """KV cache of one conversation."""
    scoring: int = 0
    """The context for texts to score, which is made when there are some."""

    @property
    def usable(self) -> int:
        return int(self.free * self.share)

    @property
    def for_cache(self) -> int:
        return self.usable - self.fixed


def fitting_slots(budget: Budget, most: int) -> int:
    """The most slots that fit beside the context for scoring, up to `most`, and one if that fits without it.

    Raises ModelFitError if not even one does.
    """
    check_fit(budget, 1)
    beside = (budget.for_cache - budget.scoring) // max(budget.per_slot, 1)
    return min(most, max(1, beside))


def check_fit(budget: Budget, slots: int) -> None:
    """Raises ModelFitError, with the numbers, where these slots do not fit."""
    needed = slots * budget.per_slot
    if needed <= budget.for_cache:
        return
    raise ModelFitError(
        f"The model does not fit {budget.device}: it needs {_gib(budget.fixed)} for weights and computing and "
        f"{_gib(needed)} for the KV cache ({how_many(slots, 'slot')} of {_gib(budget.per_slot)}); "
        f"it may use {_gib(budget.usable)} ({budget.share:.0%} of {_gib(budget.free)} free). Lower `slots` or "
        "`context`, set `cache_type_k` and `cache_type_v` to q8_0, take a smaller quantisation, or raise "
        "`memory_share`."
    )


def _gib(count: int) -> str:
    return f"{count / 2**30:.2f} GiB" if count >= 2**27 else f"{count / 2**20:.1f} MiB"
