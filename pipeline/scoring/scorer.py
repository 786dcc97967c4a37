"""What a scorer is: one Protocol, one context, one result. Pure.

A scorer is a plain function `Context -> Score` with a declared scale. A `ScorerFactory` makes such a scorer from a
suite's argument: the checks of `pipeline.scoring.expectations` and the measures that a suite or a run asks for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol


class Direction(StrEnum):
    HIGHER = "higher"
    """More is better."""
    LOWER = "lower"
    """Less is better."""
    NONE = "none"
    """A measure: neither end is better, and a failed reply has no worst value."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What a scorer's numbers mean. `worst` is what a model failure gets; None for a measure."""

    worst: float | None
    best: float | None
    direction: Direction
    unit: str = ""
    least: float | None = None
    """No value lies below; where a measure has a floor."""
    most: float | None = None

    @property
    def is_share(self) -> bool:
        """From 0 to 1, more is better, and made of passes and fails; a similarity is none."""
        return (self.worst, self.best) == (0.0, 1.0) and self.unit != SIMILARITY_UNIT


SIMILARITY_UNIT = "similarity"
PASS = Scale(worst=0.0, best=1.0, direction=Direction.HIGHER, unit="pass", least=0.0, most=1.0)
SHARE = Scale(worst=0.0, best=1.0, direction=Direction.HIGHER, unit="share", least=0.0, most=1.0)
SIMILARITY = Scale(worst=0.0, best=1.0, direction=Direction.HIGHER, unit=SIMILARITY_UNIT, least=0.0, most=1.0)


class ScoreState(StrEnum):
    SCORED = "scored"
    WORST = "worst"
    """A model failure (empty, degenerate): the scale's worst value."""
    UNSCORED = "unscored"
    """No value possible; never a number."""
    FAILED = "failed"
    """The scorer raised; never a number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """One scorer's result. `value` is None exactly where the state is unscored or failed; then `reason` says why."""

    value: float | None
    state: ScoreState = ScoreState.SCORED
    answer: str | None = None
    """What the scorer took from the reply: the number, the letter, the match."""
    reason: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """All that a scorer may read of a turn. Seconds and tokens as in `jobs.records`."""

    prompt: str
    reply: str
    """Visible text: the first draw, reasoning taken out."""
    history: tuple[tuple[str, str], ...] = ()
    """Earlier (prompt, reply) of the same conversation, oldest first."""
    turn: int = 0
    system: str | None = None
    reference: str | None = None
    repeats: tuple[str, ...] = ()
    """Replies of the other repeats to the same turn, failures left out; only for scorers `across` repeats."""
    failure: str | None = None
    """Why the reply is a model failure (empty, degenerate); None where it is not."""
    finish_reason: str = "stop"
    reply_tokens: int = 0
    mean_logprob: float | None = None
    first_token_s: float | None = None
    decode_s: float | None = None


ScoreFunction = Callable[[Context], Score]


class Scorer(Protocol):
    """A named score function with its scale."""

    @property
    def name(self) -> str: ...

    @property
    def scale(self) -> Scale: ...

    def __call__(self, context: Context, /) -> Score: ...


@dataclass(frozen=True, kw_only=True)
class FunctionScorer:
    """A Scorer made of a plain function."""

    name: str
    scale: Scale
    function: ScoreFunction
    help: str = ""
    version: str = ""
    """Changed when the function counts differently: stored scores of another version are replaced."""

    def __call__(self, context: Context, /) -> Score:
        return self.function(context)


@dataclass(frozen=True, kw_only=True)
class ScorerFactory:
    """A kind of scorer that a suite asks for by name, with an argument."""

    name: str
    build: Callable[[Any], ScoreFunction]
    """Makes the function, once per turn of a suite. Raises ValueError for a bad argument, with a message for people."""
    scale: Scale = PASS
    help: str = ""
    version: str = ""
    needs_reference: bool = False
    """Only turns with a reference are scored."""
    across: bool = False
    """Scored once all repeats are there: the context then has `repeats`."""

    def scorer(self, value: Any, *, name: str | None = None) -> FunctionScorer:
        """The scorer for this argument. Raises ValueError."""
        return FunctionScorer(
            name=name or self.name, scale=self.scale, function=self.build(value), help=self.help, version=self.version
        )


PASSED = Score(value=1.0)


def passed(met: bool, *, answer: str | None = None, reason: str | None = None) -> Score:
    """The score of a pass-or-fail scorer; `reason` is kept only where it failed."""
    if met:
        return PASSED if answer is None else Score(value=1.0, answer=answer)
    return Score(value=0.0, answer=answer, reason=reason)


def unscored(reason: str) -> Score:
    return Score(value=None, state=ScoreState.UNSCORED, reason=reason)


def apply(scorer: Scorer, context: Context) -> Score:
    """Runs a scorer. A model failure gets the scale's worst value; a scorer that raises is a recorded failure."""
    if context.failure is not None and scorer.scale.worst is not None:
        return Score(value=scorer.scale.worst, state=ScoreState.WORST, reason=context.failure)
    try:
        return scorer(context)
    except Exception as error:
        return Score(value=None, state=ScoreState.FAILED, reason=f"{type(error).__name__}: {error}"[:500])
