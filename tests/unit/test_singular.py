"""Whatever says how many says so in the singular, too."""

from __future__ import annotations

import html
import re

import pytest

from nightjar.config.counting import are, how_many, plural
from nightjar.config.errors import UnknownNameError
from nightjar.jobs.sequences import Sequence
from nightjar.pipeline.exports.write import render
from nightjar.scripts.views.progress import EvalProgress, progress_line
from tests.factories import report_of, row

NOUNS = (
    "conversation|sequence|turn|job|model|replie|repeat|word|character|token|slot|file|worker|night|run|time|check|"
    "value|error|call|record|layer|place|text|column|cell"
)
ONE_OF_MANY = re.compile(rf"(?<![\d.,/\u202f:x-])\b1[ \u00a0\u202f](?:\w+ )?(?:{NOUNS})s\b(?! of)")


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (1, "job", "1 job"),
        (0, "job", "0 jobs"),
        (1_200, "empty reply", "1,200 empty replies"),
        (2, "worker process", "2 worker processes"),
    ],
)
def test_a_number_of_things(number: int, noun: str, text: str) -> None:
    assert how_many(number, noun) == text
    assert (plural(1, noun), are(1), are(0)) == (noun, "is", "are")


@pytest.mark.parametrize("form", ["md", "html"])
def test_a_report_of_one_sequence_with_one_turn(form: str) -> None:
    """Of one model, once: every number that it says of these is 1."""
    sequence = Sequence.model_validate(
        {"id": "a", "turns": [{"prompt": "Hi", "expect": [{"check": "includes", "value": "a"}]}]}
    )
    text = render(report_of([row(sequence, ["a b c"])], [sequence]), form)
    visible = html.unescape(re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", text, flags=re.S))
    assert re.search(r"\b1\W(?:sequence|turn|model)\b", visible), "else nothing was looked at"
    assert [match.group() for match in ONE_OF_MANY.finditer(visible)] == []


def test_progress_of_one_turn_with_one_token() -> None:
    line = progress_line(EvalProgress(model="m", committed=0, total=1, failed_jobs=1, judging=False, tokens=1))
    assert "; 0/1 turn, 1 token, 1 job failed" in line


def test_what_is_not_in_a_run_is_said_so() -> None:
    error = UnknownNameError("job", "8", ["a", "b"], within="run 'smol-300'")
    assert str(error) == "There is no job '8' in run 'smol-300'. Known: a, b."
