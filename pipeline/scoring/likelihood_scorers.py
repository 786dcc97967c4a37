"""Scores of turns whose given texts the model found more or less likely. Pure.

Of choices: accuracy by the likeliest, by sums or per character, byte or token, as lm-evaluation-harness has them. Of a
text: perplexities and bits per byte, each a mean over all texts by their words, bytes or tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from nightjar.jobs.sequences import Mode
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.pipeline.scores import LARGEST, PASS, PROBABILITY, Direction, Scale, Score, passed, unscored
from nightjar.pipeline.scoring.scorer import Context, FunctionScorer
from nightjar.pipeline.transcripts import ChoiceRow, TextRow

PERPLEXITY = Scale(worst=None, best=None, direction=Direction.LOWER, unit="perplexity", least=1.0, geometric=True)
BITS = Scale(worst=None, best=None, direction=Direction.LOWER, unit="bits", least=0.0)
_LARGEST_LOG = math.log(LARGEST)


def _accuracy(per: Callable[[ChoiceRow], float]) -> Callable[[Context], Score]:
    """Whether the choice with the largest log-probability over `per` is a right one; the first of equal ones counts."""

    def score(context: Context) -> Score:
        assert context.likelihoods is not None
        assert context.choices is not None
        values = [choice.logprob / per(choice) for choice in context.likelihoods.choices]
        best = max(range(len(values)), key=values.__getitem__)
        right = ", ".join(context.choices.shown(at) for at in context.choices.right[:3])
        return passed(best in context.choices.right, answer=context.choices.shown(best), reason=f"right: {right}")

    return score


def share_of_right(logprobs: Sequence[float], right: Sequence[int]) -> float:
    """The probability of the right choices over that of all: mc2 of TruthfulQA (Lin et al. 2022)."""
    top = max(logprobs)
    chances = [math.exp(value - top) for value in logprobs]
    return math.fsum(chances[at] for at in right) / math.fsum(chances)


def _mc2(context: Context) -> Score:
    assert context.likelihoods is not None
    assert context.choices is not None
    values = [choice.logprob for choice in context.likelihoods.choices]
    return Score(value=share_of_right(values, context.choices.right))


def _greedy(context: Context) -> Score:
    assert context.likelihoods is not None
    return passed(context.likelihoods.choices[0].greedy, reason="some token of it is not the likeliest")


def _target_perplexity(context: Context) -> Score:
    assert context.likelihoods is not None
    return _raised(-context.likelihoods.choices[0].logprob, 1, None)


def _per_token(text: TextRow) -> Score:
    return _raised(-text.logprob, text.tokens, text.rule)


def _per_word(text: TextRow) -> Score:
    return _whole(text) or _raised(-text.logprob, text.words, text.rule)


def _per_byte(text: TextRow) -> Score:
    return _whole(text) or _raised(-text.logprob, text.bytes, text.rule)


def _bits(text: TextRow) -> Score:
    bits = -text.logprob / math.log(2) / text.bytes
    return _whole(text) or Score(value=bits, answer=text.rule, weight=float(text.bytes))


def _whole(text: TextRow) -> Score | None:
    """None where every token was scored; else why words and bytes cannot be counted against those that were."""
    return unscored(f"{text.left_out} tokens were not scored ({text.rule})") if text.left_out else None


def _raised(nats: float, units: int, answer: str | None) -> Score:
    if nats / units > _LARGEST_LOG:
        return unscored(f"{nats:.0f} nats over {units} is too large for a perplexity")
    return Score(value=max(math.exp(nats / units), 1.0), answer=answer, weight=None if answer is None else float(units))


def _text(measure: Callable[[TextRow], Score]) -> Callable[[Context], Score]:
    def score(context: Context) -> Score:
        assert context.likelihoods is not None
        assert context.likelihoods.text is not None
        return measure(context.likelihoods.text)

    return score


OF_CHOICES = (
    FunctionScorer(
        name="acc", scale=PASS, function=_accuracy(lambda _: 1.0), help="the likeliest choice is a right one"
    ),
    FunctionScorer(
        name="acc_norm",
        scale=PASS,
        function=_accuracy(lambda choice: choice.characters),
        help="likewise by log-probability per character, as lm-eval computes it",
    ),
    FunctionScorer(
        name="acc_bytes", scale=PASS, function=_accuracy(lambda choice: choice.bytes), help="likewise per byte"
    ),
    FunctionScorer(
        name="acc_tokens", scale=PASS, function=_accuracy(lambda choice: choice.tokens), help="likewise per token"
    ),
)
MC2 = FunctionScorer(name="mc2", scale=PROBABILITY, function=_mc2, help="the right choices' share of the probability")
OF_TARGET = (
    FunctionScorer(name="greedy", scale=PASS, function=_greedy, help="the model would write the text at temperature 0"),
    FunctionScorer(
        name="target_perplexity", scale=PERPLEXITY, function=_target_perplexity, help="one over the text's probability"
    ),
)
OF_TEXT = (
    FunctionScorer(name="perplexity", scale=PERPLEXITY, function=_text(_per_token), help="of a text, per token"),
    FunctionScorer(name="word_perplexity", scale=PERPLEXITY, function=_text(_per_word), help="of a text, per word"),
    FunctionScorer(name="byte_perplexity", scale=PERPLEXITY, function=_text(_per_byte), help="of a text, per byte"),
    FunctionScorer(name="bits_per_byte", scale=BITS, function=_text(_bits), help="of a text: bits of information"),
)
OF_WHOLE_TEXTS = frozenset(scorer.name for scorer in OF_TEXT[1:])
"""Those that need every token to be scored."""
LIKELIHOODS: tuple[FunctionScorer, ...] = (*OF_CHOICES, MC2, *OF_TARGET, *OF_TEXT)
"""Every one, in display order."""


def likelihood_scorers(sequence: PromptSequence, turn: int) -> tuple[FunctionScorer, ...]:
    """The scorers of a turn of a scored sequence: nothing that reads a reply."""
    choices = sequence.turns[turn].choices
    if sequence.mode is Mode.PERPLEXITY or choices is None:
        return OF_TEXT
    if len(choices.texts) == 1:
        return OF_TARGET
    if choices.contexts:  # the texts are the same, so that lengths tell nothing
        return OF_CHOICES[:1]
    return (*OF_CHOICES, MC2) if len(choices.right) > 1 else OF_CHOICES
