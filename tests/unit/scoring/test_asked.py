"""Measures that are asked for: their values against hand-made and published ones, and their arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nightjar.config.errors import SettingsError
from nightjar.jobs.sequences import Sequence
from nightjar.pipeline.scores import Score, ScoreState
from nightjar.pipeline.scoring import phrases
from nightjar.pipeline.scoring.diversity import moving_share
from nightjar.pipeline.scoring.installed import installed_phrases, validate_measure
from nightjar.pipeline.scoring.measures_asked import ASKED, asked_scorer
from nightjar.pipeline.scoring.scorer import Context, apply
from nightjar.pipeline.scoring.turn_scorer import line_names, metric_scales, score_repeats, turn_lines
from tests import factories

FOX = "The quick brown fox jumps over the lazy dog"
DOG = "The quick brown dog jumps on the log."


def measured(name: str, reply: str, value: Any = True, **context: Any) -> Score:
    return apply(asked_scorer(name, value), Context(prompt="p", reply=reply, **context))


@pytest.mark.parametrize(
    ("name", "value", "reply", "reference", "expected"),
    [
        # ROUGE as rouge-score 0.1.2 gives it, without stemming
        ("rouge_1", True, DOG, FOX, 0.7058823529411765),
        ("rouge_2", True, DOG, FOX, 0.26666666666666666),
        ("rouge_l", True, DOG, FOX, 0.5882352941176471),
        ("rouge_l", True, "the gunman police killed", "police killed the gunman", 0.5),
        ("rouge_1", True, "nothing alike", "x y", 0.0),
        # chrF as sacrebleu 2.6.0 gives it
        ("chrf", True, "the same", "the same", 100.0),
        ("chrf", True, "abc", "xyz", 0.0),
        ("edit_similarity", True, "kitten", "sitting", 1 - 3 / 7),  # three edits
        ("edit_similarity", True, "Kitten ", "kitten", 1 - 1 / 6),  # white space around does not count
        ("edit_similarity", {"case": False}, "KITTEN", "kitten", 1.0),
    ],
)
def test_against_a_reference(name: str, value: Any, reply: str, reference: str, expected: float) -> None:
    """Known pairs have their known values."""
    assert measured(name, reply, value, reference=reference).value == pytest.approx(expected)


def test_chrf_with_words() -> None:
    """chrF++ also counts words in order, and so distinguishes texts that chrF rates as more alike."""
    plain, words = (measured("chrf", DOG, {"word_order": order}, reference=FOX).value for order in (0, 2))
    assert plain is not None
    assert words is not None
    assert 0 < words < plain < 100


@pytest.mark.parametrize(
    ("text", "window", "expected"),
    [
        ("a b c", 3, 1.0),
        ("a b a b", 2, 1.0),
        ("a a b b", 2, (0.5 + 1 + 0.5) / 3),
        ("a b", 3, None),
    ],
)
def test_mattr(text: str, window: int, expected: float | None) -> None:
    """The mean over windows of the share of different words."""
    share = moving_share(text.split(), window)
    assert share == (None if expected is None else pytest.approx(expected))


def test_mattr_of_a_short_reply_is_unscored() -> None:
    assert measured("mattr", "too short").state is ScoreState.UNSCORED


def test_overused_phrases() -> None:
    """Whole words, any case, any apostrophe, across a line's end; per 1,000 words."""
    asked = {"phrases": ["a testament to", "can't help but", "delve"]}
    score = measured("overused", "It is A testament\nto it. I can’t help but delve. They delved.", asked)
    assert score.value == pytest.approx(1000 * 3 / 13)
    assert score.answer == "a testament to, can't help but, delve"
    assert measured("overused", "", asked).state is ScoreState.UNSCORED


def test_the_list_that_comes_with_nightjar() -> None:
    """It is read, holds no line twice, and is what `overused: true` takes."""
    shipped = phrases.read_phrases(phrases.SHIPPED)
    assert len(shipped) > 100
    assert installed_phrases() == shipped
    scorer = asked_scorer("overused", True, phrases=shipped)
    assert apply(scorer, Context(prompt="p", reply="A rich tapestry.")).value == pytest.approx(1000 / 3)


def test_a_bad_list_is_named(tmp_path: Path) -> None:
    """A file that is not there, and one without a phrase."""
    with pytest.raises(SettingsError, match="cannot be read"):
        phrases.read_phrases(tmp_path / "none.txt")
    (tmp_path / "empty.txt").write_text("# nothing\n\n")
    with pytest.raises(SettingsError, match="holds no phrase"):
        phrases.read_phrases(tmp_path / "empty.txt")


def test_mean_logprob() -> None:
    """Recorded or unscored, never a made-up number."""
    assert measured("mean_logprob", "x", mean_logprob=-0.5).value == -0.5
    assert measured("mean_logprob", "x").state is ScoreState.UNSCORED


def test_logprobs_that_a_suite_records_are_measured() -> None:
    """Without asking twice."""
    about = Sequence.model_validate({"id": "s", "parameters": {"top_logprobs": 1}, "turns": [{"prompt": "p"}]})
    assert "mean_logprob" in line_names(turn_lines(about))[0]
    assert "mean_logprob" not in line_names(turn_lines(about.model_copy(update={"parameters": {}})))[0]


def test_only_turns_with_a_reference_are_compared_with_one() -> None:
    """What has no reference is not unscored: it is not asked."""
    about = Sequence.model_validate(
        {
            "id": "s",
            "turns": [{"prompt": "p", "reference": "r"}, {"prompt": "q"}],
            "measures": [{"check": "chrf", "value": True}, {"check": "mattr", "value": {"window": 5}}],
        }
    )
    first, second = line_names(turn_lines(about))
    assert {"chrf", "mattr"} <= set(first)
    assert "chrf" not in second
    assert metric_scales([turn_lines(about)])["chrf"].best == 100


def test_a_runs_argument_goes_before_the_suites() -> None:
    about = Sequence.model_validate(
        {"id": "s", "turns": [{"prompt": "p"}], "measures": [{"check": "mattr", "value": {"window": 5}}]}
    )
    suites, runs = turn_lines(about), turn_lines(about, measures={"mattr": {"window": 6}})
    assert [line.name for line in suites[0]] == [line.name for line in runs[0]]
    digests = [next(line.digest for line in lines[0] if line.name == "mattr") for lines in (suites, runs)]
    assert digests[0] != digests[1], "stored scores of the other window are replaced"


def test_self_similarity_compares_repeats() -> None:
    """Each reply with the others to the same turn; failures are left out; one repeat alone is unscored."""
    about = Sequence.model_validate(
        {"id": "s", "turns": [{"prompt": "p"}], "measures": [{"check": "self_similarity", "value": True}]}
    )
    replies = ["the fox ran home", "the fox ran home", "an owl", ""]
    rows = [factories.row(about, [text], repeat=repeat) for repeat, text in enumerate(replies)]
    scores = score_repeats(rows, {"s": turn_lines(about)}, {"s": about})
    values = [scores[row.id][0]["self_similarity"].value for row in rows]
    assert values[:2] == [0.5, 0.5]
    assert values[2:] == [0.0, None]
    alone = factories.row(about, ["the fox"])
    scores = score_repeats([alone], {"s": turn_lines(about)}, {"s": about})
    assert "no other repeat" in (scores[alone.id][0]["self_similarity"].reason or "")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("chrv", True, "Did you mean 'chrf'"),
        ("words", True, "no measure 'words' to ask for"),  # it is always measured
        ("chrf", {"word_order": 3}, "word_order"),
        ("chrf", {"order": 2}, "'word_order'"),
        ("rouge_1", {"stem": True}, "no option 'stem'"),
        ("mattr", {"window": 1}, "2 or more"),
        ("mattr", 50, "a mapping with window"),
        ("overused", {"phrases": []}, "none of them empty"),
        ("overused", {"phrases": ["a"] * 5001}, "at most 5000"),
        ("edit_similarity", {"case": "no"}, "true or false"),
        ("self_similarity", 3, "takes true"),
    ],
)
def test_bad_arguments_are_refused(name: str, value: Any, told: str) -> None:
    """Before anything is generated."""
    with pytest.raises(ValueError, match=r"(?s).*") as caught:
        validate_measure(name, value)
    assert told in str(caught.value)


def test_every_measure_takes_true() -> None:
    for name in ASKED:
        validate_measure(name, True)
