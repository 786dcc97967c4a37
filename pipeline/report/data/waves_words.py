"""A run that stops when it is decided, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from nightjar.jobs.waves import PairLook, PairState
from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.amounts import amount, ends_of
from nightjar.pipeline.report.data.waves import WavesReport
from nightjar.pipeline.scores import Scale

MOST_PAIRS = 3
"""So many pairs are explained in sentences at most; the table of looks has all."""


def stopped_words(waves: WavesReport, scale: Scale) -> Iterator[str]:
    """How far the run went, what was left out, and why pairs without a difference are over."""
    yield _far(waves)
    if waves.last is None:
        return
    alike = [pair for pair in waves.last.pairs if pair.state in (PairState.FUTILE, PairState.ALIKE)]
    for pair in alike[:MOST_PAIRS]:
        yield f"{pair.first} and {pair.second}: {why_over(pair, waves, scale)}."
    if len(alike) > MOST_PAIRS:
        yield f"{len(alike) - MOST_PAIRS} more pairs are over without a difference: see the looks."


def why_over(pair: PairLook, waves: WavesReport, scale: Scale) -> str:
    """Why a pair is over, or is not, with the repeated interval of its difference."""
    between = _interval(pair, scale)
    if pair.state is PairState.ALIKE:
        margin = amount(waves.margin, scale).lstrip("+")
        return f"alike: the difference is less than {margin}{between}"
    if pair.state is PairState.FUTILE:
        power = pair.power or 0.0
        chance = f"a chance of {power * 100:.0f}\u202f%" if power >= 0.01 else "a chance of under 1\u202f%"
        return f"stopped: were the observed difference the true one, all sequences would show it with {chance}{between}"
    if pair.state is PairState.UNDECIDED:
        return f"not decided{between}"
    return f"decided{between}"


def _interval(pair: PairLook, scale: Scale) -> str:
    if pair.low is None or pair.high is None:
        return f" ({fmt.count_of(pair.pairs, 'complete sequence')})"
    sure = f"{(1 - pair.level) * 100:.3g}\u202f%"
    return f" ({amount(pair.difference, scale)}, repeated {sure} interval {ends_of(pair.low, pair.high, scale)})"


def _far(waves: WavesReport) -> str:
    asked, of = fmt.whole(waves.asked), fmt.count_of(waves.sequences, "sequence")
    if waves.left_out:
        return (
            f"Stopped when decided, at look {len(waves.looks)} of at most {waves.waves}: {asked} of {of} were asked, "
            f"the other {fmt.whole(waves.left_out)} were left out."
        )
    if waves.over:
        return f"All {of} were asked: not everything was decided before."
    looks = f"look {len(waves.looks)} of at most {waves.waves}" if waves.looks else "before the first look"
    return f"Not decided yet: {asked} of {of} are asked so far ({looks})."
