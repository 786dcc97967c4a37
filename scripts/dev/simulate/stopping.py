"""Runs that stop when they are decided: how often they decide wrongly, what they find, and what they need for it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations
from typing import TYPE_CHECKING, Any

from nightjar.jobs.waves import Look, PairState, WavePlan, Waves
from nightjar.pipeline.compare.looks import look_at
from nightjar.pipeline.report.data.series import Series
from nightjar.pipeline.scores import SHARE
from nightjar.pipeline.statistics.paired import holm
from nightjar.pipeline.statistics.power import ALPHA
from nightjar.pipeline.statistics.sequential import wave_sizes
from nightjar.pipeline.statistics.sign_flips import flip_p
from nightjar.scripts.dev.simulate.cells import NORMAL_99, Bar, CountedShare
from nightjar.scripts.dev.simulate.draws import SEED, TURNS

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

SIZES = (80, 160, 400, 1_000)
FAMILY_SIZES = (80, 400)
TIES = (0.3, 0.8)
"""Of sequences on which every model does as well; others may tie by chance."""
REACH = 2.9
"""A difference so many standard errors of all sequences away is found by the fixed test in about 83 %."""
LOSS = 0.05
"""So much power may looking and stopping cost at most."""
AT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Stopping:
    """Of two models that differ: how often that is found with looks and by one test at the end, and after how much."""

    kind: str
    sequences: int
    sets: int
    found: float
    fixed: float
    used: float
    """Mean share of the sequences."""
    used_equal: float
    """The same where the two are equal."""

    @property
    def broken(self) -> bool:
        doubt = NORMAL_99 * math.sqrt(0.5 / self.sets)  # of the difference of two shares, at most
        return self.found < self.fixed - LOSS - doubt

    def row(self) -> str:
        """As a line of a Markdown table."""
        wanted = f"at most {LOSS:.0%} less" + (", **broken**" if self.broken else "")
        shares = f"{self.found:.0%} | {self.fixed:.0%} | {self.used:.0%} | {self.used_equal:.0%}"
        return f"| {self.kind} | {self.sequences} | {shares} | {wanted} |"


def equal_cells(sets: int, sizes: Sequence[int] = SIZES) -> Iterator[CountedShare]:
    """Two equal models of which one is called better."""
    return _false(EQUAL, sets, sizes)


def family_cells(sets: int, sizes: Sequence[int] = FAMILY_SIZES) -> Iterator[CountedShare]:
    """Runs that call a difference which is not there, or turn one round: in all of their pairs together."""
    return _false(FAMILIES, sets, sizes)


def _false(families: Mapping[str, Sequence[float]], sets: int, sizes: Sequence[int]) -> Iterator[CountedShare]:
    import numpy as np

    for at, (name, shifts) in enumerate(families.items()):
        for ties in TIES:
            for sequences in sizes:
                source = np.random.default_rng([SEED, 5, len(shifts), at, sequences, int(ties * 100)])
                step = _step(source, sequences, ties)
                false = 0
                for _ in range(sets):
                    values = _values(source, sequences, ties, [step * shift for shift in shifts])
                    false += _wrong(_looks(values)[-1], shifts)
                yield CountedShare(
                    what=f"run until decided, {name}",
                    kind=f"{ties:.0%} ties",
                    sequences=sequences,
                    count=false,
                    sets=sets,
                    bar=Bar.AT_MOST,
                    limit=ALPHA,
                )


EQUAL = {"2 equal models": (0.0, 0.0)}
FAMILIES: dict[str, tuple[float, ...]] = {
    "3 equal models": (0, 0, 0),
    "6 equal models": (0,) * 6,
    "3 models, two equal": (1, 0, 0),
    "4 models, two and two equal": (1, 1, 0, 0),
    "6 models, three equal": (2, 1, 1, 0, 0, 0),
}
"""Name -> each model's true mean, in steps that the fixed test finds in about 83 %."""


def power_cells(sets: int, sizes: Sequence[int] = SIZES) -> Iterator[Stopping]:
    """Two models that differ as much as the fixed test finds in about 83 %, and two that are equal."""
    import numpy as np

    for ties in TIES:
        for sequences in sizes:
            source = np.random.default_rng([SEED, 6, sequences, int(ties * 100)])
            step = _step(source, sequences, ties)
            found = fixed = 0
            used: dict[float, float] = {step: 0.0, 0.0: 0.0}
            for shift in used:
                for _ in range(sets):
                    values = _values(source, sequences, ties, [shift, 0.0])
                    looks = _looks(values)
                    used[shift] += looks[-1].fraction / sets
                    if shift:
                        found += looks[-1].pairs[0].state is PairState.BETTER
                        fixed += _fixed(values) == [PairState.BETTER]
            yield Stopping(
                kind=f"{ties:.0%} ties",
                sequences=sequences,
                sets=sets,
                found=found / sets,
                fixed=fixed / sets,
                used=used[step],
                used_equal=used[0.0],
            )


def _values(source: Generator, sequences: int, ties: float, shifts: Sequence[float]) -> NDArray[Any]:
    """Each model's shares of six turns, (models, sequences), in the random order in which they are asked."""
    import numpy as np

    easy = source.uniform(0.3, 0.6, sequences)
    values: NDArray[Any] = source.binomial(TURNS, np.clip(easy + np.array(shifts)[:, None], 0, 1)) / TURNS
    return np.where(source.random(sequences) < ties, values[:1], values)


def _step(source: Generator, sequences: int, ties: float) -> float:
    """The shift that moves the mean difference REACH standard errors away."""
    first, second = _values(source, 100_000, ties, [0.0, 0.0])
    return float(REACH * (first - second).std() / math.sqrt(sequences) / (1 - ties))


def _looks(values: NDArray[Any]) -> list[Look]:
    """The looks of a run over these values, up to the one at which all is decided."""
    models, sequences = values.shape
    numbers = tuple(wave for wave, size in enumerate(wave_sizes(sequences)) for _ in range(size))
    waves = Waves(plan=WavePlan(metric="checks", numbers=numbers))
    while True:
        series = [_series(str(model), values[model, : waves.asked].tolist()) for model in range(models)]
        look = look_at(series, waves, AT)
        waves.looks.append(look)
        if look.decided or waves.opened == waves.plan.count:
            return waves.looks
        waves.opened += 1


def _series(model: str, values: Sequence[float]) -> Series:
    there = {f"{at:04}": value for at, value in enumerate(values)}
    return Series(
        model=model,
        metric="checks",
        scale=SHARE,
        values=there,
        expected=frozenset(there),
        complete=frozenset(there),
        missing_share=0.0,
        to_worst=None,
        to_best=None,
        lowest=there,
        highest=there,
    )


def _wrong(look: Look, shifts: Sequence[float]) -> bool:
    signs = {PairState.BETTER: 1.0, PairState.WORSE: -1.0}
    gaps = [(signs.get(pair.state), shifts[int(pair.first)] - shifts[int(pair.second)]) for pair in look.pairs]
    return any(sign is not None and sign * gap <= 0 for sign, gap in gaps)


def _fixed(values: NDArray[Any]) -> list[PairState]:
    """What one test of all sequences says of each pair."""
    pairs = [values[first] - values[second] for first, second in combinations(range(len(values)), 2)]
    adjusted = holm({str(at): flip_p(pair.tolist()) for at, pair in enumerate(pairs)})
    return [
        PairState.UNDECIDED if (p or 0.0) > ALPHA else PairState.BETTER if pair.mean() > 0 else PairState.WORSE
        for pair, p in zip(pairs, adjusted.values(), strict=True)
    ]
