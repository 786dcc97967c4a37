"""Scores of choices and of texts, from what a model said of them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from nightjar.jobs.sequences import Sequence
from nightjar.pipeline.scores import Score, ScoreState
from nightjar.pipeline.scoring.turn_scorer import line_names, score_job, turn_lines
from nightjar.pipeline.transcripts import RowReader
from tests import factories

TEXT_RULE = {"window": 32, "bos": True, "windows": 1}


def a_sequence(turn: dict[str, Any], **changes: Any) -> Sequence:
    return Sequence.model_validate({"id": "s", "mode": "completion", "turns": [{"prompt": "Q", **turn}]} | changes)


def choices(texts: list[str], right: list[int]) -> dict[str, Any]:
    return {"choices": {"texts": texts, "right": right}}


def scores_of(sequence: Sequence, likelihoods: dict[str, Any]) -> dict[str, Score]:
    turn = factories.turn(sequence=sequence) | {"likelihoods": {"layout": "resumed", **likelihoods}}
    row = RowReader().job({**factories.job(sequence=sequence, turns=[turn]), "reply_tokens": [0]})
    return score_job(turn_lines(sequence), sequence, row)[0]


def found(text: str, logprob: float, tokens: int, *, greedy: bool = False) -> dict[str, Any]:
    size = len(text.encode())
    return {"logprob": logprob, "tokens": tokens, "characters": len(text), "bytes": size, "greedy": greedy}


ACCURACIES = [
    # The likeliest is right by its sum; per character, byte or token the longer one wins.
    ([("ab", -2.0, 1), ("abcdefgh", -4.0, 4)], 0, {"acc": 1, "acc_norm": 0, "acc_bytes": 0, "acc_tokens": 0}),
    # Letters of several bytes: per byte it is the other way round than per character.
    ([("äöüß", -4.0, 4), ("abcdef", -5.0, 4)], 0, {"acc": 1, "acc_norm": 0, "acc_bytes": 1, "acc_tokens": 1}),
    # Tokens of their own number.
    ([("abcd", -4.0, 1), ("wxyz", -5.0, 5)], 0, {"acc": 1, "acc_norm": 1, "acc_bytes": 1, "acc_tokens": 0}),
    # Equal sums: the first counts, as argmax has it.
    ([("ab", -2.0, 1), ("cd", -2.0, 1)], 1, {"acc": 0, "acc_norm": 0, "acc_bytes": 0, "acc_tokens": 0}),
]


@pytest.mark.parametrize(("given", "right", "expected"), ACCURACIES)
def test_accuracy_by_each_length(given: list[tuple[str, float, int]], right: int, expected: dict[str, int]) -> None:
    sequence = a_sequence(choices([text for text, *_ in given], [right]))
    scores = scores_of(sequence, {"choices": [found(*each) for each in given]})

    assert {name: score.value for name, score in scores.items()} == expected


def test_the_share_of_probability_on_the_right_ones() -> None:
    """mc2: by the formula, also where the probabilities are too small to be written."""
    sequence = a_sequence(choices(["a", "b", "c"], [0, 2]))
    plain = scores_of(
        sequence, {"choices": [found(t, math.log(p), 1) for t, p in zip("abc", (0.2, 0.3, 0.1), strict=True)]}
    )
    tiny = scores_of(
        sequence, {"choices": [found(t, -5000.0 + v, 1) for t, v in zip("abc", (0.0, 0.0, 0.0), strict=True)]}
    )

    assert plain["mc2"].value == pytest.approx(0.5)
    assert tiny["mc2"].value == pytest.approx(2 / 3)
    assert plain["acc"].value == 0


def test_a_single_continuation_is_greedy_or_not_and_has_a_perplexity() -> None:
    sequence = a_sequence(choices(["word"], [0]))
    scores = scores_of(sequence, {"choices": [found("word", math.log(0.25), 2, greedy=True)]})

    assert scores["greedy"].value == 1
    assert scores["target_perplexity"].value == pytest.approx(4)
    assert scores["target_perplexity"].weight is None


def test_equal_texts_after_several_contexts_have_one_accuracy() -> None:
    """Their lengths are the same, so that three of the four would say the same again."""
    sequence = a_sequence({"choices": {"texts": ["x", "x"], "right": [1], "contexts": ["A", "B"]}})
    scores = scores_of(sequence, {"choices": [found("x", -3.0, 1), found("x", -2.0, 1)]})

    assert {name: score.value for name, score in scores.items()} == {"acc": 1}
    assert scores["acc"].answer == "B"


def test_a_text_by_word_byte_and_token() -> None:
    sequence = a_sequence({}, mode="perplexity")
    text = {"logprob": -12 * math.log(2), "tokens": 4, "left_out": 0, "words": 3, "bytes": 12, **TEXT_RULE}
    scores = scores_of(sequence, {"text": text})

    values = {name: (round(score.value or 0, 9), score.weight) for name, score in scores.items()}
    assert values == {
        "perplexity": (8, 4),
        "word_perplexity": (16, 3),
        "byte_perplexity": (2, 12),
        "bits_per_byte": (1, 12),
    }
    assert scores["perplexity"].answer == "windows of 32, each token once, with beginning-of-text"


def test_words_and_bytes_of_a_text_that_is_scored_in_part_have_no_perplexity() -> None:
    """Missing is not a number: the words of the part are not known."""
    sequence = a_sequence({}, mode="perplexity", text_rule={"window": 32, "score_from": 16})
    text = {"logprob": -4.0, "tokens": 4, "left_out": 28, "words": 3, "bytes": 12, "score_from": 16, **TEXT_RULE}
    scores = scores_of(sequence, {"text": text})

    assert scores["perplexity"].value == pytest.approx(math.e)
    assert {scores[name].state for name in ("word_perplexity", "bits_per_byte")} == {ScoreState.UNSCORED}


def test_a_perplexity_too_large_for_a_number_is_missing() -> None:
    sequence = a_sequence({}, mode="perplexity")
    text = {"logprob": -5000.0, "tokens": 900, "left_out": 0, "words": 1, "bytes": 4000, **TEXT_RULE}
    scores = scores_of(sequence, {"text": text})

    assert scores["word_perplexity"].state is ScoreState.UNSCORED
    assert scores["byte_perplexity"].value == pytest.approx(math.exp(1.25))


def test_nothing_that_reads_replies_is_measured_where_texts_are_given() -> None:
    sequence = a_sequence(choices(["a", "b"], [0]), measures=[{"check": "mattr", "value": True}])

    assert line_names(turn_lines(sequence)) == [["acc", "acc_norm", "acc_bytes", "acc_tokens"]]
