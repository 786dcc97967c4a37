"""Whether a judge can tell real replies from spoilt ones. Pure.

Sequence by sequence the spoilt reply's value is taken from the real one's; a judge tells a kind of control apart where
the whole interval of the mean difference lies above zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean

from nightjar.pipeline.judging.spoilt import Control
from nightjar.pipeline.statistics.intervals import SMALLEST_INTERVAL
from nightjar.pipeline.statistics.paired import Paired, compare_pairs


class Ability(StrEnum):
    TELLS = "tells them apart"
    CANNOT = "can't tell them apart"
    TOO_FEW = "too few to say"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One spoilt reply beside its real one, as one judge valued them; None where there is no verdict."""

    judge: str
    control: Control
    sequence: str
    real: float | None
    spoilt: float | None
    reason: str = ""
    """Why one is None."""


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
    """Readings without a value, and why the first of them has none."""
    reason: str | None
    ability: Ability


@dataclass(frozen=True, kw_only=True)
class Checkup:
    """What a check found of one judge and one rubric."""

    judge: str
    rubric: str
    """Digest of the prompts it was checked with."""
    controls: tuple[Discernment, ...]

    @property
    def ability(self) -> Ability:
        """It must tell every kind apart; one that it can't is enough."""
        found = {one.ability for one in self.controls}
        if Ability.CANNOT in found:
            return Ability.CANNOT
        return Ability.TELLS if found == {Ability.TELLS} and len(self.controls) == len(Control) else Ability.TOO_FEW

    @property
    def told(self) -> str:
        """The finding in one sentence."""
        if self.ability is Ability.TELLS:
            return f"{self.judge} tells real replies from shuffled, truncated and off-topic ones"
        if self.ability is Ability.TOO_FEW:
            fewest = min((one.paired.n for one in self.controls), default=0)
            return f"{self.judge} was checked on too few sequences to say ({fewest}; at least {SMALLEST_INTERVAL})"
        blind = [one.control.value.replace("_", "-") for one in self.controls if one.ability is Ability.CANNOT]
        kinds = " and ".join(part for part in (", ".join(blind[:-1]), blind[-1]) if part)
        return f"{self.judge} can't tell real replies from {kinds} ones"


def checkup(judge: str, rubric: str, readings: Iterable[Reading]) -> Checkup:
    """The readings of one judge, control by control; kinds without a reading are left out."""
    mine = [reading for reading in readings if reading.judge == judge]
    found = {control: [one for one in mine if one.control is control] for control in Control}
    controls = tuple(_discern(control, some) for control, some in found.items() if some)
    return Checkup(judge=judge, rubric=rubric, controls=controls)


def _discern(control: Control, readings: Sequence[Reading]) -> Discernment:
    whole = [(one.sequence, one.real, one.spoilt) for one in readings if None not in (one.real, one.spoilt)]
    real: dict[str, list[float]] = {}
    spoilt: dict[str, list[float]] = {}
    for sequence, before, after in whole:
        assert before is not None
        assert after is not None
        real.setdefault(sequence, []).append(before)
        spoilt.setdefault(sequence, []).append(after)
    befores, afters = ({name: fmean(values) for name, values in side.items()} for side in (real, spoilt))
    paired = compare_pairs(befores, afters)
    missing = [one for one in readings if None in (one.real, one.spoilt)]
    return Discernment(
        control=control,
        paired=paired,
        real=fmean(befores.values()) if befores else None,
        spoilt=fmean(afters.values()) if afters else None,
        missing=len(missing),
        reason=missing[0].reason if missing else None,
        ability=_ability(paired),
    )


def _ability(paired: Paired) -> Ability:
    if paired.interval is None:
        return Ability.TOO_FEW
    return Ability.TELLS if paired.interval.low > 0 else Ability.CANNOT
