"""What is left of a withheld sequence for people, and where its texts may be read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from nightjar.jobs.sequences import Choices, Mode, Sequence, TurnSpec
from nightjar.jobs.variants import Variant, varied
from nightjar.jobs.withheld import WITHHELD, choice_label, withheld_problem, without_texts

ROOMS = Path(__file__).parents[3]
MAY_READ = {
    "jobs/documents.py",  # declares it
    "pipeline/suites/importer.py",  # writes it
    "workers/process/run_cache.py",  # what models are given
}


def a_sequence(*, choices: Choices | None, **changes: Any) -> Sequence:
    turns = (TurnSpec(prompt="secret question", choices=choices, name="secret name"),)
    fields: dict[str, Any] = {
        "id": "q",
        "turns": turns,
        "mode": Mode.COMPLETION,
        "system": "secret header",
        "tags": ("law",),
        "values": {"kind": "secret"},
        "averages": {"acc.macro": "law"},
        "withheld": True,
    }
    return Sequence.model_validate(fields | changes)


FORMS = [
    # (choices, what people are shown of them)
    (Choices(texts=("secret a", "secret b"), right=(1,), delimiter=" "), ["A", "B"]),
    (Choices(texts=("secret end",) * 2, right=(0,), contexts=("secret a", "secret b")), ["A", "B"]),
    (Choices(texts=("secret end",), right=(0,)), ["A"]),
    (None, []),  # a text
]


@pytest.mark.parametrize(("choices", "shown"), FORMS)
def test_people_are_shown_the_form_and_none_of_the_texts(choices: Choices | None, shown: list[str]) -> None:
    mode = Mode.COMPLETION if choices else Mode.PERPLEXITY
    sequence = a_sequence(choices=choices, mode=mode)
    bare = without_texts(sequence)

    assert "secret" not in bare.model_dump_json()
    assert bare.turns[0].prompt == WITHHELD
    found = bare.turns[0].choices
    assert ([] if found is None else [found.shown(at) for at in range(len(found.texts))]) == shown
    assert (bare.id, bare.tags, bare.averages, bare.scored) == ("q", ("law",), {"acc.macro": "law"}, True)
    assert bare.digest == sequence.digest, "what was asked is known by its digest"
    assert without_texts(bare) == bare


def test_a_sequence_that_is_not_withheld_is_as_it_was() -> None:
    """Also its stored form, by which it is named."""
    sequence = a_sequence(choices=None, mode=Mode.PERPLEXITY, withheld=False)

    assert without_texts(sequence) is sequence
    assert "withheld" not in sequence.model_dump_json()


def test_questions_differ_though_their_texts_are_gone() -> None:
    one, other = (without_texts(a_sequence(choices=None, mode=Mode.PERPLEXITY, system=text)) for text in "ab")

    assert one.digest != other.digest


def test_a_variant_of_what_people_are_shown_has_no_texts_either() -> None:
    variant = Variant(name="v", prompt="Think. {{prompt}} {{kind}}")
    bare = varied(without_texts(a_sequence(choices=FORMS[0][0])), variant)

    assert bare.turns[0].prompt == f"Think. {WITHHELD} {WITHHELD}"


CANNOT = [
    # (changes, why it cannot be withheld)
    ({"mode": Mode.CHAT}, "in plain text"),  # a template's error may quote
    ({"turns": (TurnSpec(prompt="Q"),)}, "a reply"),
    ({"turns": (TurnSpec(prompt="Q", choices=FORMS[0][0], reference="r"),)}, "reference"),
]


@pytest.mark.parametrize(("changes", "why"), CANNOT)
def test_what_could_be_quoted_cannot_be_withheld(changes: dict[str, Any], why: str) -> None:
    problem = withheld_problem(a_sequence(choices=FORMS[0][0]).model_copy(update=changes))

    assert problem is not None
    assert why in problem
    assert withheld_problem(a_sequence(choices=FORMS[0][0])) is None


def test_choices_have_names_however_many_there_are() -> None:
    assert [choice_label(at) for at in (0, 25, 26)] == ["A", "Z", "choice 27"]


def test_nobody_but_a_worker_reads_what_is_kept_back() -> None:
    """So a page or an export that is written tomorrow cannot show it by mistake."""
    rooms = ("config", "jobs", "pipeline", "workers", "scripts", "web")
    files = {path for room in rooms for path in (ROOMS / room).rglob("*.py")}
    readers = {str(path.relative_to(ROOMS)) for path in files if re.search(r"\bkept_back\b", path.read_text("utf-8"))}

    assert readers == MAY_READ
