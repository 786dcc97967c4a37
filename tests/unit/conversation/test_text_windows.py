"""Which tokens of a text are scored, and after what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightjar.config.errors import ContextError
from nightjar.jobs.sequences import TextRule
from nightjar.workers.conversation.text_windows import TextWindow, Vocabulary, plan_windows

BOS, EOS = 100, 101


def a_vocabulary(bos: int | None = BOS, *, asked: bool = False, context: int = 64) -> Vocabulary:
    return Vocabulary(bos=bos, eos=EOS, asked_bos=asked, context=context)


def written(rule: TextRule, vocabulary: Vocabulary, length: int = 7) -> list[tuple[list[int], list[int]]]:
    windows = plan_windows(list(range(length)), rule, vocabulary).windows
    return [(list(window.context), list(window.scored)) for window in windows]


ROLLING = [
    # Shorter than a window: all of it after the beginning-of-text token.
    (TextRule(), a_vocabulary(), [([BOS], [0, 1, 2, 3, 4, 5, 6])]),
    # Windows begin with the last token of the one before; the last is fed as many as the others.
    (TextRule(window=3), a_vocabulary(), [([BOS], [0, 1, 2]), ([2], [3, 4, 5]), ([3, 4, 5], [6])]),
    # No such token in the vocabulary: the end-of-text token stands there, as in lm-eval.
    (TextRule(), a_vocabulary(None), [([EOS], [0, 1, 2, 3, 4, 5, 6])]),
    # None wanted: the first token is given.
    (TextRule(bos=False, window=4), a_vocabulary(), [([0], [1, 2, 3, 4]), ([2, 3, 4], [5, 6])]),
]
CUT = [
    # From the second half on; what fills no window is left out.
    (TextRule(window=4, score_from=2), a_vocabulary(), [([0, 1, 2], [3])]),
    # The model's file asks for a beginning-of-text token: in front of the text, and in each window's first place.
    (TextRule(window=4, score_from=2), a_vocabulary(asked=True), [([BOS, 0, 1], [2]), ([BOS, 4, 5], [6])]),
    # It is asked for by the suite.
    (TextRule(window=4, score_from=1, bos=True), a_vocabulary(), [([BOS, 0], [1, 2]), ([BOS, 4], [5, 6])]),
]


@pytest.mark.parametrize(("rule", "vocabulary", "expected"), [*ROLLING, *CUT])
def test_windows_of_a_text(rule: TextRule, vocabulary: Vocabulary, expected: list[tuple[list[int], list[int]]]) -> None:
    assert written(rule, vocabulary) == expected


@given(length=st.integers(1, 80), window=st.integers(2, 20))
def test_rolling_scores_every_token_once_and_never_feeds_more_than_a_window(length: int, window: int) -> None:
    plan = plan_windows(list(range(length)), TextRule(window=window), a_vocabulary())

    assert [token for one in plan.windows for token in one.scored] == list(range(length))
    assert all(len(one.context) + len(one.scored) - 1 <= window for one in plan.windows)
    assert (plan.left_out, plan.tokens, plan.bos) == (0, length, True)
    assert all(
        before.scored[-1] in after.context for before, after in zip(plan.windows, plan.windows[1:], strict=False)
    )


@given(length=st.integers(8, 80), window=st.integers(4, 8))
def test_half_of_each_whole_window_is_scored(length: int, window: int) -> None:
    """As llama-perplexity counts: of each window, window - 1 - score_from tokens."""
    start = window // 2
    plan = plan_windows(list(range(length)), TextRule(window=window, score_from=start), a_vocabulary())

    assert plan.tokens == (length // window) * (window - 1 - start)
    assert plan.left_out == length - plan.tokens


REFUSED = [
    # A window must fit the context beside the token that follows.
    (TextRule(window=64), 80, "needs a context of 65"),
    # Nothing fills a window.
    (TextRule(window=16, score_from=8), 15, "has 15 tokens here, and its rule needs at least 16"),
    # One token without anything in front of it cannot be scored.
    (TextRule(bos=False), 1, "needs at least 2"),
]


@pytest.mark.parametrize(("rule", "length", "told"), REFUSED)
def test_a_text_that_cannot_be_scored_says_why(rule: TextRule, length: int, told: str) -> None:
    with pytest.raises(ContextError, match=told):
        plan_windows(list(range(length)), rule, a_vocabulary())


def test_without_a_window_the_context_bounds_it() -> None:
    plan = plan_windows(list(range(200)), TextRule(), a_vocabulary(context=33))

    assert plan.window == 32
    assert plan.windows[0] == TextWindow(context=(BOS,), scored=tuple(range(32)))
