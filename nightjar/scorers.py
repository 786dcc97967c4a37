"""What a scorer of your own is made of; see docs/scorers.md."""

from nightjar.pipeline.scores import Direction, Scale, Score, ScoreState, passed, unscored
from nightjar.pipeline.scoring.scorer import Context, FunctionScorer, Scorer, ScorerFactory

__all__ = [
    "Context",
    "Direction",
    "FunctionScorer",
    "Scale",
    "Score",
    "ScoreState",
    "Scorer",
    "ScorerFactory",
    "passed",
    "unscored",
]
