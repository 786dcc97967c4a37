"""Random scores of two models on the same sequences, with known means. Seeded; many sets at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Draw = Callable[[Generator, int, int], NDArray[Any]]

SEED = 20_251_121
TURNS = 6
REPEATS = 5
ALIKE = 0.5
"""How often a sequence is as hard for one model as for the other."""


@dataclass(frozen=True, kw_only=True)
class ScoreKind:
    """A kind of score. `draw(generator, sets, sequences)` gives the sequences' values, (2 models, sets, sequences)."""

    name: str
    means: tuple[float, float]
    ends: tuple[float, float]
    draw: Draw
    trials: int = 1
    """Passes and fails in each value; 0 for points."""


def kinds() -> tuple[ScoreKind, ...]:
    """None of them was used to choose a method's constants, except that ceilings were looked at as such."""
    usual, ceiling, top = (0.05, 0.10, 0.20, 0.35, 0.30), (0.01, 0.01, 0.02, 0.06, 0.90), (0.0, 0.0, 0.01, 0.02, 0.97)
    middle = (0.02, 0.13, 0.70, 0.13, 0.02)
    return (
        _points("points, usual", usual, usual),
        _points("points, usual against lower", usual, (0.10, 0.20, 0.30, 0.25, 0.15)),
        _points("points, 70 % threes", middle, middle),
        _points("points, 90 % fives", ceiling, ceiling),
        _points("points, 90 % fives against usual", ceiling, usual),
        _points("points, 97 % fives", top, top),
        _points("points, 97 % against 90 % fives", top, ceiling),
        _shares("share of 6 turns, 0.5", 0.5, 0.5),
        _shares("share of 6 turns, 0.9 against 0.8", 0.9, 0.8),
        _shares("share of 6 turns, 0.97 against 0.87", 0.97, 0.87),
        _shares("5 repeats that go together by 0.9, 0.7", 0.7, 0.7, trials=REPEATS, together=0.9),
        _shares("5 repeats that go together by 0.9, 0.9 against 0.8", 0.9, 0.8, trials=REPEATS, together=0.9),
        _passes("one pass, 0.5", 0.5, 0.5),
        _passes("one pass, 0.9 against 0.8", 0.9, 0.8),
        _passes("one pass, 0.97", 0.97, 0.97),
    )


def levels(generator: Generator, sets: int, sequences: int, models: int = 2) -> NDArray[Any]:
    """Uniform levels of difficulty, (models, sets, sequences): for each model that of the first, or one of its own."""
    import numpy as np

    own = generator.random((models, sets, sequences))
    shared = generator.random((models, sets, sequences)) < ALIKE
    return np.where(shared, own[:1], own)


def _points(name: str, first: Sequence[float], second: Sequence[float]) -> ScoreKind:
    """Points from 1 to 5 with these chances."""

    def draw(generator: Generator, sets: int, sequences: int) -> NDArray[Any]:
        import numpy as np

        level = levels(generator, sets, sequences)
        cuts = [np.cumsum(chances)[:-1] for chances in (first, second)]
        return np.stack([np.searchsorted(cut, row, side="right") + 1.0 for cut, row in zip(cuts, level, strict=True)])

    means = [sum(point * chance for point, chance in enumerate(chances, start=1)) for chances in (first, second)]
    return ScoreKind(name=name, means=(means[0], means[1]), ends=(1.0, 5.0), draw=draw, trials=0)


def _shares(name: str, first: float, second: float, *, trials: int = TURNS, together: float = 0.5) -> ScoreKind:
    """Shares of trials that pass; a sequence's own chance is drawn from a beta so that its trials go together."""

    def draw(generator: Generator, sets: int, sequences: int) -> NDArray[Any]:
        import numpy as np
        from scipy.special import betaincinv

        level, spread = levels(generator, sets, sequences), (1 - together) / together
        chances = [betaincinv(p * spread, (1 - p) * spread, row) for p, row in zip((first, second), level, strict=True)]
        values: NDArray[Any] = generator.binomial(trials, np.clip(np.nan_to_num(np.stack(chances)), 0, 1)) / trials
        return values

    return ScoreKind(name=name, means=(first, second), ends=(0.0, 1.0), draw=draw, trials=trials)


def _passes(name: str, first: float, second: float) -> ScoreKind:
    """A single pass or fail for each sequence."""

    def draw(generator: Generator, sets: int, sequences: int) -> NDArray[Any]:
        import numpy as np

        chances = np.array([first, second])[:, None, None]
        return (levels(generator, sets, sequences) < chances).astype(float)

    return ScoreKind(name=name, means=(first, second), ends=(0.0, 1.0), draw=draw)
