"""What `nightjar show` and the transcripts' page say of given texts, in the place of a reply."""

from __future__ import annotations

import pytest

from nightjar.jobs.records import Likelihoods, ScoredChoice, ScoredText
from nightjar.jobs.sequences import Choices
from nightjar.jobs.status.transcript import shown_given_texts


def scored(*logprobs: float) -> Likelihoods:
    found = (
        ScoredChoice(logprob=logprob, tokens=at + 1, characters=1, bytes=1, greedy=False)
        for at, logprob in enumerate(logprobs)
    )
    return Likelihoods(layout="resumed", choices=tuple(found))


TEXT = ScoredText(logprob=-50.25, tokens=12, left_out=0, windows=1, window=64, bos=True, words=9, bytes=40)
SHOWN = [
    # Choices in their order; the likeliest and the right one may be two.
    (
        scored(-2, -1.5),
        Choices(texts=("Paris", "Lyon"), right=(0,)),
        ["-2.00 over 1 token: Paris (right)", "-1.50 over 2 tokens: Lyon (likeliest)"],
    ),
    (
        scored(-1, -1),
        Choices(texts=("x", "y"), right=(0,)),
        ["-1.00 over 1 token: x (likeliest, right)", "-1.00 over 2 tokens: y"],
    ),
    # Contexts with one continuation are told apart by their contexts.
    (
        scored(-3, -2),
        Choices(texts=("it", "it"), right=(1,), contexts=("A", "B")),
        ["-3.00 over 1 token: A", "-2.00 over 2 tokens: B (likeliest, right)"],
    ),
    # One continuation is neither the likeliest nor right; a text is the prompt, which is shown above.
    (scored(-4), Choices(texts=("dogs",), right=(0,)), ["-4.00 over 1 token: dogs"]),
    (Likelihoods(layout="resumed", text=TEXT), None, ["-50.25 over 12 tokens"]),
    (None, None, []),
]


@pytest.mark.parametrize(("found", "choices", "expected"), SHOWN)
def test_given_texts_are_shown_with_what_was_found(
    found: Likelihoods | None, choices: Choices | None, expected: list[str]
) -> None:
    assert [given.words for given in shown_given_texts(found, choices)] == expected
