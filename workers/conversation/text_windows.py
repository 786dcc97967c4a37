"""Which tokens of a text are scored and after what: a text's ids and a rule -> windows. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nightjar.config.errors import ContextError
from nightjar.jobs.sequences import TextRule

USUAL_WINDOW = 2048


@dataclass(frozen=True, kw_only=True)
class TextWindow:
    """A piece of a text: token ids that are given, and those that are scored after them."""

    context: tuple[int, ...]
    scored: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class WindowPlan:
    """The windows of one text, and the rule that made them."""

    windows: tuple[TextWindow, ...]
    window: int
    score_from: int | None
    bos: bool
    left_out: int
    """Tokens of the text that no window scores."""

    @property
    def tokens(self) -> int:
        """How many are scored."""
        return sum(len(window.scored) for window in self.windows)


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """What of a model's vocabulary the rules need. `asked_bos`: its file wants a beginning-of-text token in front."""

    bos: int | None
    eos: int | None
    asked_bos: bool
    context: int
    """Tokens that a conversation of the loaded model may have."""


def plan_windows(ids: Sequence[int], rule: TextRule, vocabulary: Vocabulary) -> WindowPlan:
    """The windows of a text by its rule; `TextRule` says what it means.

    Raises ContextError for a window larger than the model's context, and for a text that fills no window or has
    nothing to score.
    """
    window = rule.window or min(USUAL_WINDOW, vocabulary.context - 1)
    if window >= vocabulary.context:
        raise ContextError(
            f"A window of {window:,} tokens needs a context of {window + 1:,}, and the model was loaded with "
            f"{vocabulary.context:,}. Load it with a larger `context`, or score the text in smaller windows.",
            tokens=window + 1,
            context=vocabulary.context,
        )
    plan = (_rolling if rule.score_from is None else _cut)(ids, rule, window, vocabulary)
    if not plan.windows:
        need = 2 if rule.score_from is None else window
        raise ContextError(
            f"The text has {len(ids):,} tokens here, and its rule needs at least {need:,}. Give a longer text, or "
            "smaller windows."
        )
    return plan


def _rolling(ids: Sequence[int], rule: TextRule, window: int, vocabulary: Vocabulary) -> WindowPlan:
    prefix = None if rule.bos is False else vocabulary.bos
    if prefix is None and rule.bos is None:
        prefix = vocabulary.eos  # as lm-eval does: something must stand before the first token
    stream = list(ids) if prefix is None else [prefix, *ids]
    windows = tuple(_rolled(stream, window))
    scored = sum(len(one.scored) for one in windows)
    return WindowPlan(
        windows=windows, window=window, score_from=None, bos=prefix is not None, left_out=len(ids) - scored
    )


def _rolled(stream: Sequence[int], window: int) -> Iterator[TextWindow]:
    done, last = 0, len(stream) - 1
    while done < last:
        end = min(done + window, last)
        yield TextWindow(
            context=tuple(stream[max(0, end - window) : done + 1]), scored=tuple(stream[done + 1 : end + 1])
        )
        done = end


def _cut(ids: Sequence[int], rule: TextRule, window: int, vocabulary: Vocabulary) -> WindowPlan:
    start = rule.score_from
    assert start is not None
    asked = vocabulary.asked_bos if rule.bos is None else rule.bos
    bos = vocabulary.bos if asked else None
    stream = list(ids) if bos is None else [bos, *ids]
    windows = []
    for at in range(0, len(stream) - window + 1, window):
        piece = stream[at : at + window]
        if bos is not None:
            piece[0] = bos
        windows.append(TextWindow(context=tuple(piece[: start + 1]), scored=tuple(piece[start + 1 :])))
    scored = sum(len(one.scored) for one in windows)
    return WindowPlan(
        windows=tuple(windows), window=window, score_from=start, bos=bos is not None, left_out=len(ids) - scored
    )
