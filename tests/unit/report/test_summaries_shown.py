"""Summaries that stood for what did not fit: above the prompt on the page, and in every export of turns."""

from __future__ import annotations

import csv
import io
import json
import re
from html import unescape

import pytest

from nightjar.jobs.records import Summary, Timings
from nightjar.jobs.sequences import Sequence
from nightjar.pipeline.exports.write import render
from nightjar.pipeline.report.data.run_report import RunReport
from tests import factories


def summary(text: str, **of: object) -> Summary:
    return Summary(
        text=text,
        tokens_before=1_480,
        tokens_after=3,
        prompt_digest="p",
        seed=1,
        finish_reason="stop",
        timings=Timings(queue_s=0, prefill_s=0, decode_s=0),
        **of,
    )


@pytest.fixture
def report() -> RunReport:
    """One turn, made with a summary of two turns and one of the second part of a document."""
    about = Sequence.model_validate({"id": "s", "turns": [{"prompt": "And now?"}]})
    made = (summary("They <met>.", turns=(1, 2)), summary("A house.", document="chronicle", part=1))
    return factories.report_of([factories.row(about, ["Now we part."], summaries=made)], [about])


def test_the_page_shows_them_above_the_prompt(report: RunReport) -> None:
    page = " ".join(unescape(re.sub(r"<[^>]+>", " ", render(report, "html"))).split())
    told = (
        "Summary of turns 2, 3: 1 480 tokens in 3 They <met>. Summary of the document chronicle, part 2: 1 480 tokens"
    )
    assert told in page
    assert page.index(told) < page.index("And now?")


def test_json_has_all_of_them(report: RunReport) -> None:
    [turn] = json.loads(render(report, "json"))["jobs"][0]["turns"]
    assert [each["text"] for each in turn["summaries"]] == ["They <met>.", "A house."]
    assert (turn["summaries"][0]["turns"], turn["summaries"][1]["document"]) == ([1, 2], "chronicle")


def test_csv_has_their_texts(report: RunReport) -> None:
    [row] = csv.DictReader(io.StringIO(render(report, "csv")))
    assert row["summaries"] == "They <met>.\n\nA house."
