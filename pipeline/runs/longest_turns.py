"""How long turns may become of which nothing was seen yet: replies by the suite's limits, and what judges are asked.

Pure: from what is planned to tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nightjar.jobs.sequences import Mode
from nightjar.jobs.status.forecast import UsualTurn
from nightjar.pipeline.judging.plan import ORDERS
from nightjar.pipeline.judging.prompts import REASON_CHARS
from nightjar.pipeline.judging.rubric import Layout, Method, Reference, Rubric, Scope
from nightjar.pipeline.runs.remote_plan import CHARS_PER_TOKEN, PlannedSequence, reply_limits

VERDICT_TOKENS = REASON_CHARS // CHARS_PER_TOKEN + 25
"""Of one criterion: the longest reason, with the JSON around it."""
QUESTION_TOKENS = 60
"""Which criterion to judge by, and how to answer; the rubric before it is computed once."""


def longest_turn(
    sequences: Iterable[PlannedSequence], layers: Sequence[Mapping[str, Any]], below: Mapping[str, Any]
) -> UsualTurn | None:
    """The mean turn of a model of which every reply is as long as it may be; None where a text is withheld.

    `layers`, `below`: as `expected_cost` takes them.
    """
    turns: list[UsualTurn] = []
    for sequence in sequences:
        if sequence.withheld:
            return None
        for above in layers:
            turns += _turns(sequence, reply_limits(sequence, above, below))
    if not turns:
        return None
    return UsualTurn(
        computed_tokens=sum(turn.computed_tokens for turn in turns) / len(turns),
        reply_tokens=sum(turn.reply_tokens for turn in turns) / len(turns),
    )


def _turns(sequence: PlannedSequence, limits: Sequence[int]) -> Iterator[UsualTurn]:
    """What was said before a turn is in the cache, unless its turns don't see each other."""
    apart = sequence.mode is Mode.INDEPENDENT or bool(sequence.scored_chars)
    for index, (chars, limit) in enumerate(zip(sequence.prompt_chars, limits, strict=True)):
        computed = chars + (sequence.given_chars if apart or index == 0 else 0)
        if sequence.scored_chars:
            yield UsualTurn(computed_tokens=_tokens(computed + sequence.scored_chars[index]), reply_tokens=0)
        else:
            yield UsualTurn(computed_tokens=_tokens(computed), reply_tokens=limit)


@dataclass(frozen=True, kw_only=True)
class JudgedTexts:
    """Jobs that have a sequence in common, for a judge to be."""

    asked_as: str
    sequence: PlannedSequence
    jobs: int
    reply_tokens: float
    """Of each of their replies."""


@dataclass(frozen=True, kw_only=True)
class JudgeWork:
    """What a judge will be asked."""

    jobs: int
    calls: int
    """A call is a turn of a job: one for each criterion, or one for all."""
    call: UsualTurn


def judge_work(
    texts: Iterable[JudgedTexts], rubric: Rubric, own: frozenset[str], *, repeats: int, against: bool
) -> JudgeWork:
    """What a judge will be asked about these, none of which has failed.

    `own`: the models whose replies it may not judge. `against`: pairs are made with another run's replies, one each.
    """
    shown: dict[str, list[JudgedTexts]] = {}
    for each in texts:
        if each.asked_as not in own:
            shown.setdefault(each.sequence.id, []).append(each)
    asked, material = 0, 0.0
    for group in shown.values():
        for each in group:
            lengths = list(_material(each, rubric))
            # Of a pair both texts are read, in both orders: half of what a judge reads of each pair is counted here.
            pairs = 1.0 if against else (sum(other.jobs for other in group) / repeats - 1) / 2
            times = each.jobs * (len(ORDERS) * pairs if rubric.method is Method.PAIRWISE else 1)
            asked += round(times * len(lengths))
            material += times * sum(lengths) * (2 if rubric.method is Method.PAIRWISE else 1)
    criteria = len(rubric.criteria)
    calls_each = criteria if rubric.layout is Layout.PER_CRITERION else 1
    calls = asked * calls_each
    call = UsualTurn(
        computed_tokens=material / max(1, calls) + QUESTION_TOKENS, reply_tokens=VERDICT_TOKENS * criteria / calls_each
    )
    return JudgeWork(jobs=asked, calls=calls, call=call)


def _material(texts: JudgedTexts, rubric: Rubric) -> Iterator[float]:
    """Tokens of each text of a job that is judged, with what came before it."""
    sequence = texts.sequence
    if sequence.scored_chars:
        return
    opening = _tokens(sequence.given_chars)
    exchanges = [_tokens(chars) + texts.reply_tokens for chars in sequence.prompt_chars]
    if rubric.scope is Scope.CONVERSATION:
        yield opening + sum(exchanges)
        return
    for index, exchange in enumerate(exchanges):
        if rubric.reference is not Reference.REQUIRED or sequence.has_reference[index]:
            yield opening + (exchange if sequence.mode is Mode.INDEPENDENT else sum(exchanges[: index + 1]))


def _tokens(chars: int) -> int:
    return chars // CHARS_PER_TOKEN + 1
