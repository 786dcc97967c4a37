"""A look at a run that stops when it is decided: which pairs of its contestants are over, and why. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import combinations

from nightjar.jobs.waves import Look, PairLook, PairState, Waves
from nightjar.pipeline.report.data.model import ModelReport
from nightjar.pipeline.report.data.ranking import unranked
from nightjar.pipeline.report.data.series import Series, series_of
from nightjar.pipeline.scores import Scale
from nightjar.pipeline.statistics.intervals import Interval, mean
from nightjar.pipeline.statistics.paired import paired_interval, without_dust
from nightjar.pipeline.statistics.power import ALPHA
from nightjar.pipeline.statistics.sequential import (
    FUTILE,
    FUTILE_FROM,
    SMALLEST_LOOK,
    conditional_power,
    confidence_of,
    look_bounds,
    z_of,
)
from nightjar.pipeline.statistics.sign_flips import flip_p

_Names = tuple[str, str]
DIFFERENT = (PairState.BETTER, PairState.WORSE)


def take_look(models: Sequence[ModelReport], scale: Scale, waves: Waves, at: datetime) -> Look:
    """What the opened waves say, generated and judged as they are, of every pair of models."""
    return look_at([series_of(model, waves.plan.metric, scale) for model in models], waves, at)


def look_at(series: Sequence[Series], waves: Waves, at: datetime) -> Look:
    """Tests every pair at its share of the error that Holm's method gives it; a difference that an earlier look has
    found stays found, everything else is looked at again (futility and margin bind nobody).
    """
    pairs = {(one.model, other.model): _Evidence(one, other, waves) for one, other in combinations(series, 2)}
    levels: dict[_Names, float] = {}
    states: dict[_Names, PairState] = {}
    if waves.last is not None:
        found = [pair for pair in waves.last.pairs if pair.state in DIFFERENT]
        states = {(pair.first, pair.second): pair.state for pair in found}
        levels = {(pair.first, pair.second): pair.level for pair in found}
    while still_open := [names for names in pairs if names not in states]:
        level = ALPHA / len(still_open)
        levels |= dict.fromkeys(still_open, level)
        crossed = {names: state for names in still_open if (state := pairs[names].crossed(level)) is not None}
        if not crossed:
            break
        states |= crossed
    looked = [pairs[names].look(*names, levels[names], states.get(names)) for names in pairs]
    asked, of = waves.asked, len(waves.plan.numbers)
    return Look(sequences=asked, fraction=asked / of, at=at, pairs=tuple(looked))


class _Evidence:
    """What the sequences so far say of a pair, and what looks are behind and before it."""

    def __init__(self, first: Series, second: Series, waves: Waves) -> None:
        self._ends = first.ends
        complete = sorted(first.complete & second.complete)
        one, other = first.better(), second.better()
        self._first, self._second = [one[key] for key in complete], [other[key] for key in complete]
        self._differences = _differences(one, other, complete, first.scale.width)
        self._margin = waves.plan.margin
        self._plan = waves.plan
        self._opened = waves.opened
        before = [(look.fraction, pair) for look in waves.looks if (pair := look.of(first.model, second.model))]
        self._fractions = [fraction for fraction, pair in before if pair.bound is not None]
        self._counts = [pair.pairs for _, pair in before if pair.bound is not None]
        ranked = unranked(first) is None and unranked(second) is None
        grew = len(complete) > (self._counts[-1] if self._counts else 0)
        self._tested = ranked and grew and len(complete) >= SMALLEST_LOOK
        self._z = _least_z(first, second, self._differences, complete) if self._tested else None

    @property
    def pairs(self) -> int:
        return len(self._differences)

    @property
    def fraction(self) -> float:
        return self._plan.asked(self._opened) / len(self._plan.numbers)

    def crossed(self, level: float) -> PairState | None:
        """The difference that the pair shows where it may use that much of the error; None where it shows none."""
        if self._z is None or abs(self._z) < self._bound(level):
            return None
        return PairState.BETTER if self._z > 0 else PairState.WORSE

    def look(self, first: str, second: str, level: float, state: PairState | None) -> PairLook:
        """The pair as the look has it. `state`: a difference that was found, now or before."""
        interval = self._interval(level)
        power = self._power(level) if state is None else None
        return PairLook(
            first=first,
            second=second,
            pairs=self.pairs,
            difference=mean(self._differences),
            z=self._z,
            bound=self._bound(level) if self._tested else None,
            level=level,
            low=interval.low if interval is not None else None,
            high=interval.high if interval is not None else None,
            power=power,
            state=state or self._undecided(interval, power),
        )

    def _undecided(self, interval: Interval | None, power: float | None) -> PairState:
        margin = self._margin
        if interval is not None and margin is not None and -margin < interval.low and interval.high < margin:
            return PairState.ALIKE
        futile = power is not None and power < FUTILE and self.fraction >= FUTILE_FROM
        return PairState.FUTILE if futile else PairState.UNDECIDED

    def _bound(self, level: float) -> float:
        return look_bounds((*self._fractions, self.fraction), (*self._counts, self.pairs), level)[-1]

    def _interval(self, level: float) -> Interval | None:
        if not self._tested:
            return None
        confidence = confidence_of(self._bound(level))
        return paired_interval(self._first, self._second, self._differences, self._ends, confidence)

    def _power(self, level: float) -> float | None:
        """Conditional; None at the last look, and where nothing was tested."""
        plan, of = self._plan, len(self._plan.numbers)
        if self._z is None or self._opened == plan.count:
            return None
        to_come = [plan.asked(wave) for wave in range(self._opened + 1, plan.count + 1)]
        fractions = (*self._fractions, self.fraction, *(asked / of for asked in to_come))
        now = plan.asked(self._opened)
        counts = (*self._counts, self.pairs, *(self.pairs + asked - now for asked in to_come))
        return conditional_power(self._z, self.pairs / counts[-1], look_bounds(fractions, counts, level)[-1])


def _least_z(first: Series, second: Series, differences: Sequence[float], complete: Sequence[str]) -> float:
    """The z of the complete sequences; where others are not, the least of it and of those with all that is missing at
    its worst for one side and the other; 0 where they disagree, or the missing replies could be anything.
    """
    shared = sorted(first.expected & second.expected)
    sets = [differences]
    if len(complete) < len(shared):
        if first.lowest is None or first.highest is None or second.lowest is None or second.highest is None:
            alike = all((key in first.complete) == (key in second.complete) for key in shared)
            return z_of(flip_p(differences), mean(differences) or 0.0) if alike else 0.0
        width = first.scale.width
        sets.append(_differences(first.lowest, second.highest, shared, width))
        sets.append(_differences(first.highest, second.lowest, shared, width))
    deviates = [z_of(flip_p(each), mean(each) or 0.0) for each in sets]
    return min(deviates, key=abs) if len({z > 0 for z in deviates}) == 1 else 0.0


def _differences(
    first: Mapping[str, float], second: Mapping[str, float], keys: Sequence[str], width: float | None
) -> list[float]:
    largest = max((abs(side[key]) for side in (first, second) for key in keys), default=0.0)
    return without_dust([first[key] - second[key] for key in keys], largest if width is None else width)
