"""What a judge reads to compare two replies, and how its choice is read. Pure.

As in `judge_prompts`, the rubric and both replies come first and the criterion last; the reason comes before the
choice; no model's name appears. The caller decides which reply comes first: each pair is judged in both orders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.pipeline.judging import prompts
from nightjar.pipeline.judging.borders import Borders
from nightjar.pipeline.judging.prompts import REASON_CHARS, JudgedTurn, exchanges, parse, part, reference_text
from nightjar.pipeline.judging.rubric import Criterion, Layout, Rubric, Scope
from nightjar.pipeline.scores import well_formed


class Shown(StrEnum):
    """What a judge chose, by the position in which it was shown."""

    FIRST = "1"
    SECOND = "2"
    TIE = "tie"


@dataclass(frozen=True, kw_only=True)
class PairChoice:
    """One criterion's choice in one order. If `shown` is None there is none, and `reason` says why."""

    criterion: str
    shown: Shown | None
    reason: str


def pair_sequence(
    name: str,
    rubric: Rubric,
    first: Sequence[JudgedTurn],
    second: Sequence[JudgedTurn],
    *,
    system: str | None = None,
    word: str = "",
) -> PromptSequence:
    """The judge's work on two texts in this order: a turn per criterion, or one for all."""
    if rubric.layout is Layout.ALL:
        asks = [("all", _ask_all(rubric), choice_schema(rubric.criteria))]
    else:
        asks = [(criterion.name, _ask(criterion), _SCHEMA) for criterion in rubric.criteria]
    borders = prompts.borders_of(rubric, word)
    return prompts.asking(name, rubric, pair_material(rubric, first, second, borders, system=system), asks)


def pair_material(
    rubric: Rubric,
    first: Sequence[JudgedTurn],
    second: Sequence[JudgedTurn],
    borders: Borders,
    *,
    system: str | None = None,
) -> str:
    """Both texts between the borders. If what came before the two last replies is the same, it is shown once."""
    body = prompts.system_text(system, borders)
    if rubric.scope is Scope.TURN and _same_before(first, second):
        before = exchanges(first[:-1], borders)
        body += (f"{before}\n\n" if before else "") + f"{borders.heading('USER')}\n{first[-1].prompt}\n\n"
        one, two = borders.heading("REPLY 1"), borders.heading("REPLY 2")
        body += f"{one}\n{first[-1].reply}\n\n{two}\n{second[-1].reply}"
    else:
        one, two = borders.title("CONVERSATION 1"), borders.title("CONVERSATION 2")
        body += f"{one}\n\n{exchanges(first, borders)}\n\n{two}\n\n{exchanges(second, borders)}"
    what = "conversations" if rubric.scope is Scope.CONVERSATION else "last replies"
    body += reference_text(rubric, first[-1], borders)
    return f"Compare the two {what} in this material. Their order means nothing.\n{borders.around(body)}"


def read_choices(rubric: Rubric, replies: Mapping[str, str]) -> list[PairChoice]:
    """A choice for every criterion, from the judge's replies by turn name. One that cannot be read is none."""
    if rubric.layout is Layout.PER_CRITERION:
        return [_choice(criterion, parse(replies.get(criterion.name))) for criterion in rubric.criteria]
    return [_choice(criterion, part(parse(replies.get("all")), criterion.name)) for criterion in rubric.criteria]


def choice_schema(criteria: Sequence[Criterion]) -> dict[str, Any]:
    """JSON Schema of a choice on several criteria."""
    return {
        "type": "object",
        "properties": {criterion.name: _SCHEMA for criterion in criteria},
        "required": [criterion.name for criterion in criteria],
        "additionalProperties": False,
    }


def _same_before(first: Sequence[JudgedTurn], second: Sequence[JudgedTurn]) -> bool:
    """Whether two conversations differ only in their last reply."""
    seen = [[(turn.prompt, turn.reply) for turn in turns[:-1]] for turns in (first, second)]
    return seen[0] == seen[1] and first[-1].prompt == second[-1].prompt


def _choice(criterion: Criterion, data: Mapping[str, Any] | str) -> PairChoice:
    if isinstance(data, str):
        return PairChoice(criterion=criterion.name, shown=None, reason=data)
    chosen = data.get("choice")
    if not isinstance(chosen, str) or chosen not in set(Shown):
        return PairChoice(criterion=criterion.name, shown=None, reason=f"the verdict's choice is {str(chosen)[:40]}")
    return PairChoice(criterion=criterion.name, shown=Shown(chosen), reason=well_formed(str(data.get("reason", ""))))


def _ask(criterion: Criterion) -> str:
    form = '{"reason": one sentence, "choice": "1", "2" or "tie"}'
    return f"Compare by {criterion.name} alone. Which is better? Answer in JSON: {form}."


def _ask_all(rubric: Rubric) -> str:
    names = ", ".join(criterion.name for criterion in rubric.criteria)
    form = '{"reason": ..., "choice": "1", "2" or "tie"}'
    return f"Compare by each criterion ({names}). Which is better? Answer in JSON with a key for each: {form}."


_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "reason": {"type": "string", "maxLength": REASON_CHARS},
        "choice": {"enum": [shown.value for shown in Shown]},
    },
    "required": ["reason", "choice"],
    "additionalProperties": False,
}
