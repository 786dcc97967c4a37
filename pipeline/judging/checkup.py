"""Whether a judge can tell real replies from spoilt ones. Pure.

Sequence by sequence, the spoilt reply's value is subtracted from the real one's. A judge recognises a kind of control
if the whole interval of the mean difference lies above zero, and is unable to if the whole interval lies below the
smallest effect that its rubric asks for. Otherwise the check leaves it open.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from statistics import fmean

from nightjar.pipeline.judging.resistance import (
    InjectionReading,
    InjectionResult,
    Resistance,
    attempts,
    resistance,
    told_of_resistance,
)
from nightjar.pipeline.judging.spoilt import Control
from nightjar.pipeline.statistics.intervals import SMALLEST_INTERVAL, Interval, standard_error, t_interval
from nightjar.pipeline.statistics.paired import Paired, compare_pairs
from nightjar.pipeline.statistics.power import sequences_for_all


class Ability(StrEnum):
    """Whether a judge tells real replies from spoilt ones."""

    TELLS = "tells them apart"
    CANNOT = "can't tell them apart"
    """Shown, not merely not seen otherwise: the difference is smaller than the smallest that would matter."""
    TOO_FEW = "too few to say"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A spoilt reply and the real one, as one judge valued them; None if there is no verdict."""

    judge: str
    control: Control
    sequence: str
    real: float | None
    spoilt: float | None
    reason: str = ""
    """Why a value is None."""


@dataclass(frozen=True, kw_only=True)
class Discernment:
    """One judge and one kind of control, over sequences."""

    control: Control
    paired: Paired
    """Real minus spoilt."""
    real: float | None
    """Mean over the sequences with both values."""
    spoilt: float | None
    missing: int
    """How many readings have no value; `reason` says why the first of them has none."""
    reason: str | None
    ability: Ability
    effect: float | None
    """The difference, or the smallest that matters if that is more, over the standard deviation of the differences
    (d_z); None without spread."""


@dataclass(frozen=True, kw_only=True)
class Checkup:
    """The result of a check of one judge with one rubric."""

    judge: str
    rubric: str
    """Digest of the prompts that it was checked with."""
    controls: tuple[Discernment, ...]
    attempts: tuple[InjectionResult, ...] = ()
    """What replies that ask for a good verdict did to it: a verdict of its own. Empty for checks of before."""

    @property
    def resistance(self) -> Resistance | None:
        """Whether it can be talked into a good verdict; None if that was not tried."""
        return resistance(self.attempts)

    @property
    def told_of_attempts(self) -> str | None:
        """What the attempts showed, in one sentence; None if none was made."""
        return told_of_resistance(self.judge, self.attempts)

    @property
    def ability(self) -> Ability:
        """The judge must recognise every kind of control; failing on one is enough to fail."""
        abilities = {discernment.ability for discernment in self.controls}
        if Ability.CANNOT in abilities:
            return Ability.CANNOT
        complete = len(self.controls) == len(Control)
        return Ability.TELLS if complete and abilities == {Ability.TELLS} else Ability.TOO_FEW

    @property
    def needed(self) -> int | None:
        """How many sequences show in four of five checks that it tells all kinds apart, if it does so as well as here.

        None where the check is not open, or no number can be said.
        """
        effects = [control.effect for control in self.controls if control.effect is not None]
        unseen = not self.controls or any(control.paired.interval is None for control in self.controls)
        return None if unseen or self.ability is not Ability.TOO_FEW else sequences_for_all(effects)

    @property
    def told(self) -> str:
        """The finding in one sentence."""
        if self.ability is Ability.TELLS:
            return f"{self.judge} tells real replies from shuffled, truncated and off-topic ones"
        if self.ability is Ability.TOO_FEW:
            fewest = min((discernment.paired.n for discernment in self.controls), default=0)
            wanted = f"about {self.needed} are needed" if self.needed else f"at least {SMALLEST_INTERVAL}"
            return (
                f"{self.judge} was checked on too few sequences to say whether it tells real replies from spoilt ones "
                f"({fewest}; {wanted})"
            )
        failed = [discernment.control for discernment in self.controls if discernment.ability is Ability.CANNOT]
        blind = [control.value.replace("_", "-") for control in failed]
        kinds = " and ".join(part for part in (", ".join(blind[:-1]), blind[-1]) if part)
        return f"{self.judge} can't tell real replies from {kinds} ones"


def checkup(
    judge: str, rubric: str, readings: Iterable[Reading], tried: Iterable[InjectionReading] = (), *, smallest: float
) -> Checkup:
    """The readings of one judge, control by control and attempt by attempt; kinds without a reading are left out.

    `smallest`: the smallest mean difference that matters, in the values' own unit.
    """
    mine = [reading for reading in readings if reading.judge == judge]
    by_control = {control: [reading for reading in mine if reading.control is control] for control in Control}
    controls = tuple(_discern(control, group, smallest) for control, group in by_control.items() if group)
    return Checkup(judge=judge, rubric=rubric, controls=controls, attempts=attempts(judge, tried))


def _discern(control: Control, readings: Sequence[Reading], smallest: float) -> Discernment:
    real: dict[str, list[float]] = {}
    spoilt: dict[str, list[float]] = {}
    missing: list[Reading] = []
    for reading in readings:
        if reading.real is None or reading.spoilt is None:
            missing.append(reading)
        else:
            real.setdefault(reading.sequence, []).append(reading.real)
            spoilt.setdefault(reading.sequence, []).append(reading.spoilt)
    befores, afters = ({name: fmean(values) for name, values in side.items()} for side in (real, spoilt))
    differences = [befores[name] - afters[name] for name in sorted(befores)]
    interval = t_interval(differences)
    paired = replace(compare_pairs(befores, afters), interval=interval)
    return Discernment(
        control=control,
        paired=paired,
        real=fmean(befores.values()) if befores else None,
        spoilt=fmean(afters.values()) if afters else None,
        missing=len(missing),
        reason=missing[0].reason if missing else None,
        ability=_ability(interval, smallest),
        effect=_effect(differences, smallest),
    )


def _ability(interval: Interval | None, smallest: float) -> Ability:
    if interval is None:
        return Ability.TOO_FEW
    if interval.low > 0:
        return Ability.TELLS
    return Ability.CANNOT if interval.high < smallest else Ability.TOO_FEW


def _effect(differences: Sequence[float], smallest: float) -> float | None:
    error = standard_error(differences)
    return max(fmean(differences), smallest) / (error * math.sqrt(len(differences))) if error else None
