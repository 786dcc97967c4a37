"""A page of a thousand transcripts, and what happens to texts that do not fit."""

from __future__ import annotations

import random
import re
from functools import cache

import pytest

from nightjar.jobs.sequences import Sequence
from nightjar.pipeline.exports.write import render
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.page.clip import Clip, clip, longest_that_fits, page_bytes
from nightjar.pipeline.report.page.html import PAGE_BYTES
from nightjar.pipeline.report.page.transcript_views import choose_transcripts, flags
from tests import factories

LIMIT = 5_000_000


def report_of(jobs: int, words: int, turns: int = 3, text: str = "") -> RunReport:
    """A run of four models whose replies have so many words, or all this text."""
    source = random.Random(7)
    expect = [{"check": "includes", "value": "storms"}, {"check": "max_words", "value": 300}]
    turn = {"prompt": "Go on, at length. " * 20, "expect": expect}
    about = [
        Sequence.model_validate({"id": f"s{at}", "tags": [f"t{at % 5}"], "turns": [turn] * turns}) for at in range(25)
    ]
    models = ("amber", "basalt", "cinder", "dolerite")
    rows = [
        factories.row(
            about[at % 25],
            [text or factories.reply_text(source, words) for _ in range(turns)],
            model=models[at // 25 % 4],
            repeat=at // 100,
        )
        for at in range(jobs)
    ]
    return factories.report_of(rows, about, repeats=-(-jobs // 100))


@cache
def thousand() -> RunReport:
    return report_of(1000, 350)


@cache
def page() -> str:
    return render(thousand(), "html")


def test_thousand_transcripts_fit() -> None:
    """1,000 transcripts of three long replies, 6 MB of text: all there, under 5 MB, and the page says what it cut."""
    assert sum(len(turn.reply) for job in thousand().jobs for turn in job.turns) > 5_500_000
    size = len(page().encode())
    assert size < LIMIT
    assert size > 0.85 * LIMIT  # room is used
    assert page().count('<details class="job"') == 1000
    assert "Long texts are shortened" in page()
    assert re.search(r"&hellip; [\d\u202f]+ more characters in nightly-2026-11-20\.json", page())


def test_short_texts_are_whole() -> None:
    """What fits is not cut."""
    small = render(report_of(100, 80), "html")
    assert "more characters" not in small
    assert "Long texts are shortened" not in small


def test_one_huge_reply_is_cut_and_the_others_are_not() -> None:
    """Ten megabytes of one reply: it is cut, the rest is whole."""
    report = report_of(8, 100)
    huge = factories.row(report.sequences[0], ["x" * 10_000_000], model="amber", repeat=5)
    text = render(factories.report_of([*report.jobs, huge], report.sequences), "html")
    assert len(text.encode()) < LIMIT
    assert len(re.findall("more characters in", text)) == 1
    assert report.jobs[3].turns[1].reply in text


def test_hostile_bytes_are_counted_as_they_are_shown() -> None:
    """Text that grows eightfold when it is made visible keeps to the same size."""
    report = report_of(60, 0, text="\x1b\u202e<&" * 2000)
    assert len(render(report, "html").encode()) < LIMIT


def test_very_many_transcripts_are_chosen_from() -> None:
    """More than can be shown: those worth reading and failed ones are there, the rest is sampled from the whole run."""
    report = report_of(400, 40)
    empty = factories.row(report.sequences[3], ["", "a", "b"], model="basalt", repeat=99, empty="no text")
    report = factories.report_of([*report.jobs, empty], report.sequences, repeats=60)
    shown = choose_transcripts(report, 400_000)
    ids = {job.id for job in shown}
    assert 50 < len(shown) < 300
    assert empty.id in ids
    assert {job.model for job in shown} == {"amber", "basalt", "cinder", "dolerite"}
    assert len({job.sequence for job in shown}) == 25


@pytest.mark.parametrize(
    ("text", "most", "shown", "left"),
    [
        ("short", 100, "short", 0),
        ("a" * 110, 100, "a" * 110, 0),  # not for the sake of a few characters
        ("a" * 300, 100, "a" * 100, 200),  # no space to cut at
        ("word " * 60, 100, "word " * 19 + "word", 201),  # between words
        ("", 100, "", 0),
    ],
)
def test_clip(text: str, most: int, shown: str, left: int) -> None:
    """Cut at a space near the limit; the characters left out are counted."""
    assert clip(text, most) == Clip(text=shown, left=left)


def test_limit_is_found() -> None:
    """The longest limit under which all fit; none where all fit whole; never under the shortest."""
    assert longest_that_fits(["a" * 1000] * 10, 20_000) is None
    assert longest_that_fits(["a" * 1000] * 10, 5_000) == pytest.approx(500, abs=1)
    assert longest_that_fits(["a" * 100, "a" * 5000], 1_100) == pytest.approx(1000, abs=1)
    assert longest_that_fits(["a" * 1000] * 10, 10) == 240
    assert page_bytes("<\x1b\u00e9") == len("&lt;[U+001B]") + 2


def test_flags() -> None:
    """What a transcript is marked with."""
    about = thousand().sequences[0]
    assert flags(factories.row(about, ["a", "b", "c"])) == ("unscored",)  # too short for spans of words
    marked = flags(factories.row(about, [""], empty="no text", finish_reason="length"))
    assert set(marked) >= {"empty", "length", "missing"}
    assert PAGE_BYTES < LIMIT
