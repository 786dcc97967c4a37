"""The bundled story suite: what it holds, what its checks take and refuse, and that it tells three writers apart."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from nightjar.jobs.sequences import Sequence
from nightjar.pipeline.judging.panel import Panel
from nightjar.pipeline.judging.prompts import Verdict
from nightjar.pipeline.judging.results import JudgeResults
from nightjar.pipeline.judging.rubric import Rubric, read_rubric
from nightjar.pipeline.judging.verdicts import judge_scales
from nightjar.pipeline.report.data.advice import LARGE, LARGE_SEQUENCES, SMALL, advice
from nightjar.pipeline.report.data.answer import answer
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.page.html import render_html
from nightjar.pipeline.scoring.scorer import Context
from nightjar.pipeline.scoring.turn_scorer import score, turn_lines
from nightjar.pipeline.suites.catalogue import bundled
from nightjar.pipeline.suites.read import read_suite
from tests import factories

STORIES = read_suite(bundled()["stories"])
BY_ID = {sequence.id: sequence for sequence in STORIES.sequences}
WORDS = "rain came over the hill and nobody in the yard looked up but the dog who had heard it first".split()


def words(count: int, *more: str) -> str:
    """A text of so many words and these."""
    return " ".join([*(WORDS[at % len(WORDS)] + str(at) for at in range(count)), *more])


def test_what_it_holds() -> None:
    """Enough prompts, of many kinds, lengths and tones, in one, two and three turns; each turn can be checked."""
    tags = Counter(tag for sequence in STORIES.sequences for tag in sequence.tags)
    turns = Counter(len(sequence.turns) for sequence in STORIES.sequences)
    prompts = [turn.prompt for sequence in STORIES.sequences for turn in sequence.turns]
    assert len(STORIES.sequences) == LARGE_SEQUENCES >= 40
    assert {LARGE, SMALL} <= bundled().keys()
    assert min(turns[1], turns[2], turns[3]) >= 10
    assert len({sequence.tags[0] for sequence in STORIES.sequences}) >= 12
    assert min(tags[tag] for tag in ("short", "medium", "long", "warm", "wry", "tense", "sad", "eerie", "comic")) >= 3
    assert len(set(prompts)) == len(prompts)
    for sequence in STORIES.sequences:
        for turn in sequence.turns:
            assert {expectation.check for expectation in turn.expect} - {"includes"}, f"{sequence.id}: {turn.prompt}"


@pytest.mark.parametrize(
    ("sequence", "turn", "good", "bad"),
    [
        ("four-lines-for-a-well", 0, "The well\nis deep\nand old.\nWho asks?", "The well\nis deep\nand old.\nWho asks"),
        ("recipe-for-a-grandmother", 0, "\n".join(f"{n}. Stir." for n in range(1, 8)), "1. Stir.\n2. Stir."),
        (
            "recipe-for-a-grandmother",
            0,
            "\n".join(f"{n}. Stir." for n in range(1, 8)),
            "\n".join(f"{n}. Stir." for n in range(1, 9)),
        ),
        ("last-word-salt", 0, words(45, "the", "salt."), words(45, "the", "salt", "cellar.")),
        (
            "parking-space",
            1,
            "please stop it, you two. i can see you both",
            "please discontinue it now, you two, at once",
        ),
        ("night-bus", 1, "\n".join(['"Is that rain?"'] * 6), "\n".join(['"Is that rain?" he asked.'] * 6)),
        ("comma-less", 0, "\n".join(words(6 + n) for n in range(8)), "\n".join(words(6 + n) for n in range(7))),
        ("strike-at-the-theatre", 2, f"PUPPETS RETURN\n{words(40)}", f"Puppets return\n{words(40)}"),
        ("rule-of-the-house", 2, f'Nadia {words(40)} "Never six."', f'Nadia {words(40)} "Never six." she said'),
        ("clockmakers-debt", 2, f"Anselm {words(50)} lived on.", f"Anselm {words(50)} died."),
        ("river-judge", 2, "I ran. I run. I shall run back.", "I ran. I run."),
        ("repair-log", 1, f"Day 6\nA knock at the door. {words(12)}", f"A knock at the door. {words(12)}"),
        ("lost-property", 0, f"An umbrella at the counter {words(70)}", f"Sure! At the counter {words(70)}"),
        ("lost-property", 0, f"At the counter {words(70)}", f"At the counter {'he took it up ' * 5} {words(50)}"),
        ("lost-property", 0, f"At the counter {words(70)}", f"Here is a story:\nAt the counter {words(70)}"),
        ("no-letter-to-spare", 0, words(100), words(100, "food.")),
        ("the-quiet-hour", 2, "He let himself be somebody's son for one long night.", words(30)),
    ],
)
def test_a_reply_that_does_what_was_asked_meets_every_check(sequence: str, turn: int, good: str, bad: str) -> None:
    """And a bad one does not."""
    scorers = turn_lines(BY_ID[sequence])[turn]
    of_good, of_bad = (score(scorers, Context(prompt="", reply=reply)) for reply in (good, bad))
    missed = [scorer.name for scorer in scorers if scorer.check and of_good[scorer.name].value != 1]
    assert missed == []
    assert [of_bad[scorer.name].value for scorer in scorers if scorer.check].count(0) >= 1


def test_a_reply_of_two_words_meets_few_checks() -> None:
    """Limits and forbidden words are kept by who writes next to nothing: they are less than a fifth of the checks."""
    met = []
    for sequence in STORIES.sequences:
        for scorers in turn_lines(sequence):
            scores = score(scorers, Context(prompt="", reply="Once upon"))
            met += [scores[scorer.name].value == 1 for scorer in scorers if scorer.check]
    assert sum(met) / len(met) < 0.2, sum(met) / len(met)


def rubric() -> Rubric:
    assert STORIES.rubric is not None
    return read_rubric(STORIES.rubric)


def judged(details: dict[str, float]) -> RunReport:
    """A run of the suite: writers who put in so many details a reply, and a scripted judge who counts them."""
    source = random.Random(21)
    jobs = [
        factories.row(sequence, [_story(source, wanted) for _ in sequence.turns], model=writer)
        for writer, wanted in details.items()
        for sequence in STORIES.sequences
    ]
    results = JudgeResults(
        rubric=rubric(),
        prompt_digest="p" * 32,
        panel=Panel(judges=("scripted",)),
        verdicts={
            (job.id, turn.index): {
                "scripted": [
                    Verdict(criterion=criterion.name, value=1 + turn.reply.count("copper"), reason="counted")
                    for criterion in rubric().criteria
                ]
            }
            for job in jobs
            for turn in job.turns
        },
    )
    scored = [job.scored(results.score(job)) for job in jobs]
    about: tuple[Sequence, ...] = STORIES.sequences
    return factories.report_of(scored, about, scales=judge_scales(rubric()))


def _story(source: random.Random, wanted: float) -> str:
    details = min(4, max(0, round(source.gauss(wanted, 1.0))))
    return " ".join([*source.choices(WORDS, k=60), *["copper"] * details])


def test_three_writers_are_told_apart() -> None:
    """Writers half a point of five apart, as seen by a judge who reads every reply: one letter each, and no advice."""
    report = judged({"good": 2.6, "fair": 2.1, "poor": 1.6})
    assert report.ranking is not None
    assert [(place.model, place.letters) for place in report.ranking.places] == [
        ("good", "a"),
        ("fair", "b"),
        ("poor", "c"),
    ]
    assert "good" in answer(report)
    assert advice(report) == ()


def test_writers_who_are_nearly_alike_are_not_and_the_page_says_how_many_more() -> None:
    report = judged({"one": 2.1, "other": 2.05})
    [*steps] = advice(report)
    assert "can't be separated over 48 sequences" in answer(report)
    assert any("more sequence" in step for step in steps)
    assert any("nightjar show nightly-2026-11-20" in step for step in steps)
    page = "".join(render_html(report))
    assert all(step.split("`")[0].strip(" :") in page for step in steps)
