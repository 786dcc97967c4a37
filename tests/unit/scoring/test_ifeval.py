"""IFEval by lm-eval's own checkers, expressions by math-verify, and what is said where these are not installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from nightjar.config.errors import UsageError
from nightjar.jobs.sequences import Sequence
from nightjar.pipeline.scores import Score, ScoreState
from nightjar.pipeline.scoring import ifeval_check, math_check
from nightjar.pipeline.scoring.expectations import expectation_scorer
from nightjar.pipeline.scoring.scorer import Context, apply
from tests import factories

PROMPT = "Write about foxes."
TWO = [
    {"id": "punctuation:no_comma"},
    {"id": "length_constraints:number_words", "num_words": 4, "relation": "at least"},
]
CHECKS = ("ifeval_prompt_strict", "ifeval_inst_strict", "ifeval_prompt_loose", "ifeval_inst_loose")


def language_stand_in() -> ModuleType:
    """In the place of `langdetect`, which has no wheel: every text is English."""
    module = ModuleType("langdetect")
    module.detect = lambda text: "en"  # type: ignore[attr-defined]
    module.LangDetectException = ValueError  # type: ignore[attr-defined]
    module.DetectorFactory = type("DetectorFactory", (), {"seed": None})  # type: ignore[attr-defined]
    return module


@pytest.fixture
def checkers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The checkers with what they need: NLTK's data without a single abbreviation."""
    pytest.importorskip("lm_eval.tasks")
    import nltk

    folder = tmp_path / "tokenizers/punkt_tab/english"
    folder.mkdir(parents=True)
    for name in ("collocations.tab", "sent_starters.txt", "abbrev_types.txt", "ortho_context.tab"):
        (folder / name).write_text("")
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    monkeypatch.setitem(sys.modules, "langdetect", language_stand_in())
    ifeval_check.missing_checkers.cache_clear()
    yield
    ifeval_check.missing_checkers.cache_clear()


def scored(check: str, value: Any, reply: str, *, failure: str | None = None) -> Score:
    return apply(expectation_scorer(check, value), Context(prompt=PROMPT, reply=reply, failure=failure))


FOLLOWED = [
    # (reply, prompt strict, share strict, prompt loose, share loose)
    ("A red fox sat there.", 1.0, 1.0, 1.0, 1.0),
    ("A red, shy fox.", 0.0, 0.5, 0.0, 0.5),  # a comma
    ("Sure, here it is:\nA red fox sat there.", 0.0, 0.5, 1.0, 1.0),  # without its first line
    ("Fox, fox.", 0.0, 0.0, 0.0, 0.0),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("checkers")
@pytest.mark.parametrize(("reply", "prompt", "share", "loose_prompt", "loose_share"), FOLLOWED)
def test_four_numbers(reply: str, prompt: float, share: float, loose_prompt: float, loose_share: float) -> None:
    found = [scored(check, TWO, reply) for check in CHECKS]

    assert [score.value for score in found] == [prompt, share, loose_prompt, loose_share]
    assert [score.weight for score in found] == [None, 2.0, None, 2.0]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("checkers")
def test_they_are_what_the_harness_makes_of_the_same_row() -> None:
    """Its own `process_results`, over instructions of every kind that needs no data."""
    from lm_eval.tasks.ifeval.utils import process_results

    names = [
        "punctuation:no_comma",
        "detectable_format:number_bullet_lists",
        "change_case:english_lowercase",
        "combination:repeat_prompt",
        "detectable_content:postscript",
    ]
    given: list[dict[str, Any]] = [{}, {"num_bullets": 2}, {}, {"prompt_to_repeat": PROMPT}]
    given.append({"postscript_marker": "P.S."})
    instructions = [{"id": name, **one} for name, one in zip(names, given, strict=True)]
    for reply in (f"{PROMPT}\n* one\n* two\nP.S. done", "a fox sat", "* a\n* b", "write about foxes."):
        row = {"key": 1, "instruction_id_list": names, "prompt": PROMPT, "kwargs": given}
        theirs = process_results(row, [reply])
        ours = {check: scored(check, instructions, reply).value for check in CHECKS}

        assert ours["ifeval_prompt_strict"] == float(theirs["prompt_level_strict_acc"])
        assert ours["ifeval_prompt_loose"] == float(theirs["prompt_level_loose_acc"])
        assert ours["ifeval_inst_strict"] == sum(theirs["inst_level_strict_acc"]) / len(names)
        assert ours["ifeval_inst_loose"] == sum(theirs["inst_level_loose_acc"]) / len(names)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("checkers")
def test_instructions_count_alike_and_not_prompts() -> None:
    """3 of 4 instructions: one prompt has three of them, one has one; an unusable reply counts as none of its own."""
    three = [*TWO, {"id": "detectable_format:title"}]
    about = [_sequence("a", three), _sequence("b", [{"id": "punctuation:no_comma"}]), _sequence("c", TWO)]
    jobs = [
        factories.row(about[0], ["A red fox <<sat>> there."]),
        factories.row(about[1], ["So, no."]),
        factories.row(about[2], [""], empty="no text"),
    ]
    metric = factories.report_of(jobs, about).models[0].total.metrics["ifeval_inst_strict"]

    assert metric.mean == pytest.approx(3 / 6)
    assert metric.worst == 1


def _sequence(name: str, instructions: list[Any]) -> Sequence:
    expect = [{"check": "ifeval_inst_strict", "value": instructions}]
    return Sequence.model_validate({"id": name, "turns": [{"prompt": PROMPT, "expect": expect}]})


def test_without_the_checkers_there_is_no_score_and_a_line_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a pass nor a fail."""
    monkeypatch.setitem(sys.modules, "langdetect", None)
    ifeval_check.missing_checkers.cache_clear()
    score = scored("ifeval_prompt_strict", TWO, "A red fox sat there.")
    ifeval_check.missing_checkers.cache_clear()

    assert (score.state, score.value) == (ScoreState.UNSCORED, None)
    assert "[ifeval]" in str(score.reason)


@pytest.mark.usefixtures("checkers")
def test_without_sentences_data_nothing_is_fetched_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    import nltk

    monkeypatch.setattr(nltk.data, "path", [])
    ifeval_check.missing_checkers.cache_clear()
    with pytest.raises(UsageError, match=r"python -m nltk\.downloader punkt_tab"):
        ifeval_check.require_ifeval()


MATH = [
    # (answer, reply, whether it is the same)
    (r"\frac{3}{4}", r"So it is $\boxed{0.75}$.", 1.0),
    (r"\frac{3}{4}", r"\boxed{\frac{6}{8}}", 1.0),
    (r"2\sqrt{3}", r"The answer is $\sqrt{12}$.", 1.0),
    (r"\left( 3, \frac{\pi}{2} \right)", r"\boxed{(3, \pi/2)}", 1.0),
    ("14", r"\boxed{15}", 0.0),
    ("14", "I do not know.", 0.0),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("answer", "reply", "value"), MATH)
def test_expressions_that_are_equal(answer: str, reply: str, value: float) -> None:
    pytest.importorskip("math_verify")
    assert scored("math", answer, reply).value == value


def test_without_math_verify_there_is_no_score_and_a_line_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "math_verify", None)
    math_check.missing_math.cache_clear()
    score = scored("math", "14", r"\boxed{14}")
    with pytest.raises(UsageError, match="math-verify"):
        math_check.require_math()
    math_check.missing_math.cache_clear()

    assert (score.state, score.value) == (ScoreState.UNSCORED, None)


WRONG = [("ifeval_inst_loose", "no_comma"), ("ifeval_prompt_strict", [{"num_words": 3}]), ("math", 14), ("math", [])]


@pytest.mark.parametrize(("check", "value"), WRONG)
def test_another_argument_is_refused(check: str, value: Any) -> None:
    with pytest.raises(ValueError, match="takes"):
        expectation_scorer(check, value)
