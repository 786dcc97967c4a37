"""What a scorer is: one Protocol, one context, one result. Pure.

A scorer is a plain function `Context -> Score` with a declared scale. A `ScorerFactory` makes such a scorer from a
suite's argument: the checks of `pipeline.scoring.expectations` and the measures that a suite or a run asks for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from nightjar.jobs.sequences import Choices
from nightjar.pipeline.scores import PASS, Scale, Score, ScoreState, well_formed
from nightjar.pipeline.transcripts import LikelihoodRow


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """Everything that a scorer may read about a turn. Seconds and tokens as in `jobs.records`."""

    prompt: str
    reply: str
    """Visible text of the first draw, without reasoning."""
    history: tuple[tuple[str, str], ...] = ()
    """Earlier (prompt, reply) of the same conversation, oldest first."""
    turn: int = 0
    system: str | None = None
    reference: str | None = None
    repeats: tuple[str, ...] = ()
    """Replies of the other repeats to the same turn, failures left out; only for scorers `across` repeats."""
    failure: str | None = None
    """Why the reply is a model failure (empty, degenerate, the one before it again); None if it is not."""
    finish_reason: str = "stop"
    reply_tokens: int = 0
    mean_logprob: float | None = None
    first_token_s: float | None = None
    decode_s: float | None = None
    likelihoods: LikelihoodRow | None = None
    """Where given texts were scored; the reply is then the likeliest choice."""
    choices: Choices | None = None
    """What was given to choose from."""


ScoreFunction = Callable[[Context], Score]
ROUNDING = 1e-9
"""How far past an end of its scale, relatively, a value may lie: floating point rounds."""


class Scorer(Protocol):
    """A named score function with its scale."""

    @property
    def name(self) -> str: ...

    @property
    def scale(self) -> Scale: ...

    def __call__(self, context: Context, /) -> Score: ...


@dataclass(frozen=True, kw_only=True)
class FunctionScorer:
    """A Scorer made from a plain function."""

    name: str
    scale: Scale
    function: ScoreFunction
    help: str = ""
    version: str = ""
    """Changed when the function's results change: stored scores of another version are replaced."""
    weight: float | None = None
    """How much its values count, where they count for different amounts: a failed reply's as much as any."""

    def __call__(self, context: Context, /) -> Score:
        return self.function(context)


@dataclass(frozen=True, kw_only=True)
class ScorerFactory:
    """A kind of scorer that a suite asks for by name, with an argument."""

    name: str
    build: Callable[[Any], ScoreFunction]
    """Makes the function, once per turn of a suite. Raises ValueError, with a readable message, for a bad argument."""
    scale: Scale = PASS
    help: str = ""
    version: str = ""
    needs_reference: bool = False
    """Only turns with a reference are scored."""
    across: bool = False
    """Scored once all repeats are there: the context then has `repeats`."""
    weight: Callable[[Any], float] | None = None
    """Of an argument: how much its values count. None: all alike."""

    def scorer(self, value: Any, *, name: str | None = None) -> FunctionScorer:
        """The scorer for this argument. Raises ValueError."""
        return FunctionScorer(
            name=name or self.name,
            scale=self.scale,
            function=self.build(value),
            help=self.help,
            version=self.version,
            weight=None if self.weight is None else self.weight(value),
        )


def apply(scorer: Scorer, context: Context) -> Score:
    """Runs a scorer. A model failure gets the scale's worst value.

    A scorer that raises, or gives a value that is not on its scale, is a recorded failure: here scores enter, and what
    adds them up can rely on them.
    """
    if context.failure is not None and scorer.scale.worst is not None:
        weight = getattr(scorer, "weight", None)
        return Score(value=scorer.scale.worst, state=ScoreState.WORST, reason=context.failure, weight=weight)
    try:
        score = on_scale(scorer(context), scorer.scale)
    except Exception as error:
        score = Score(value=None, state=ScoreState.FAILED, reason=f"{type(error).__name__}: {error}"[:500])
    texts = {"answer": score.answer, "reason": score.reason}
    mended = {name: well_formed(text) for name, text in texts.items() if isinstance(text, str) and not text.isascii()}
    return replace(score, **mended) if mended else score  # type: ignore[arg-type]  # both are texts


def on_scale(score: Score, scale: Scale) -> Score:
    """The score, its value rounded to an end that it only just exceeds. Raises ValueError for a value off the scale."""
    value = score.value
    if value is None:
        return score
    low, high = scale.limits
    if low <= value <= high:
        return score
    if not math.isfinite(value):
        raise ValueError(f"the scorer returned the value {value}, not a finite number")
    slack = ROUNDING * min(high - low, max(abs(value), 1.0))
    if low - slack <= value <= high + slack:
        return replace(score, value=min(max(value, low), high))
    raise ValueError(f"the scorer returned {value:g}, outside its scale ({low:g} to {high:g})")
