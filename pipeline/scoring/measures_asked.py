"""The measures that are computed only where a suite (`measures:`) or a run (`--measure`) asks for them.

An item is a name, or a name with an argument: `chrf`, `{mattr: {window: 100}}`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from nightjar.config.errors import suggest
from nightjar.pipeline.scores import SIMILARITY, Direction, Scale, Score, unscored
from nightjar.pipeline.scoring.arguments import options_of
from nightjar.pipeline.scoring.diversity import mattr, overused
from nightjar.pipeline.scoring.scorer import Context, FunctionScorer, ScoreFunction, ScorerFactory
from nightjar.pipeline.scoring.similarity import chrf, edit_similarity, rouge_l, rouge_n, self_similarity
from nightjar.pipeline.scoring.words import WORDS_VERSION

LOGPROB = "mean_logprob"
_POINTS = Scale(worst=0.0, best=100.0, direction=Direction.HIGHER, unit="points", least=0.0, most=100.0)
_SHARE = Scale(worst=None, best=None, direction=Direction.NONE, unit="share", least=0.0, most=1.0)
_RATE = Scale(worst=None, best=None, direction=Direction.NONE, unit="per 1,000 words", least=0.0)
_LOGPROB = Scale(worst=None, best=None, direction=Direction.NONE, unit="nats", most=0.0)


def mean_logprob(value: Any) -> ScoreFunction:
    """Mean log-probability of the reply's tokens in nats, if the parameter `top_logprobs` had them recorded."""
    options_of(value, LOGPROB, {})

    def score(context: Context) -> Score:
        if context.mean_logprob is None:
            return unscored("no log-probabilities were recorded; generate with --set top_logprobs=1")
        return Score(value=context.mean_logprob)

    return score


_ALL = (
    ScorerFactory(
        name="chrf", build=chrf, scale=_POINTS, needs_reference=True, help="chrF of the reply against its reference"
    ),
    ScorerFactory(
        name="rouge_1",
        version=WORDS_VERSION,
        build=rouge_n(1),
        scale=SIMILARITY,
        needs_reference=True,
        help="ROUGE-1 F1 against the reference",
    ),
    ScorerFactory(
        name="rouge_2",
        version=WORDS_VERSION,
        build=rouge_n(2),
        scale=SIMILARITY,
        needs_reference=True,
        help="ROUGE-2 F1 against the reference",
    ),
    ScorerFactory(
        name="rouge_l",
        version=WORDS_VERSION,
        build=rouge_l,
        scale=SIMILARITY,
        needs_reference=True,
        help="ROUGE-L F1 against the reference",
    ),
    ScorerFactory(
        name="edit_similarity",
        build=edit_similarity,
        scale=SIMILARITY,
        needs_reference=True,
        help="1 - edit distance to the reference / length of the longer text",
    ),
    ScorerFactory(
        name="mattr",
        version=WORDS_VERSION,
        build=mattr,
        scale=_SHARE,
        help="moving-average type-token ratio, window of 50 words",
    ),
    ScorerFactory(
        name="self_similarity",
        version=WORDS_VERSION,
        build=self_similarity,
        scale=_SHARE,
        across=True,
        help="mean ROUGE-L F1 with the other repeats of the same turn",
    ),
    ScorerFactory(
        name="overused",
        version=WORDS_VERSION,
        build=overused,
        scale=_RATE,
        help="over-used phrases of a list, per 1,000 words",
    ),
    ScorerFactory(name=LOGPROB, build=mean_logprob, scale=_LOGPROB, help="mean log-probability of the reply's tokens"),
)
ASKED: Mapping[str, ScorerFactory] = MappingProxyType({factory.name: factory for factory in _ALL})


def known_measures() -> Mapping[str, str]:
    """Name -> what it measures, for every measure that can be asked for."""
    return {name: factory.help for name, factory in ASKED.items()}


def asked_scorer(measure: str, value: Any, *, phrases: Sequence[str] = ()) -> FunctionScorer:
    """The scorer of a measure that was asked for. `phrases`: the installation's list. Raises ValueError."""
    if measure not in ASKED:
        raise ValueError(f"There is no measure {measure!r} to ask for. {suggest(measure, ASKED, 'measure')}")
    return ASKED[measure].scorer(resolved(measure, value, phrases))


def resolved(measure: str, value: Any, phrases: Sequence[str]) -> Any:
    """The argument that the scores depend on: a phrase list by content, not by where it lies."""
    return {"phrases": list(phrases)} if needs_phrases({measure: value}) else value


def needs_phrases(asked: Mapping[str, Any]) -> bool:
    """Whether measures (name -> argument) need the installation's list of phrases."""
    return asked.get("overused") is True


def read_item(item: Any) -> tuple[str, Any]:
    """(name, argument) of an item of `measures`. Raises ValueError."""
    if isinstance(item, str):
        return item, True
    if not isinstance(item, Mapping) or len(item) != 1:
        raise ValueError(
            "each item is a measure's name, or one name with its argument, such as `mattr: {window: 100}`."
        )
    ((name, value),) = item.items()
    return str(name), value


def asks_logprobs(layers: Iterable[Mapping[str, Any]]) -> bool:
    """Whether any layer of generation parameters has log-probabilities recorded."""
    return any(layer.get("top_logprobs") for layer in layers)
