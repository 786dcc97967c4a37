"""A report as bytes and back, without its transcripts."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from nightjar.jobs.ending import Gate, GateKind, GateOutcome, GateResult, GateVerdict
from nightjar.jobs.models import flat_facts
from nightjar.jobs.sequences import Sequence
from nightjar.pipeline.collect.aggregates import LEFT_OUT, pack, unpack
from nightjar.pipeline.exports.write import render
from nightjar.pipeline.judging.judged import JudgedAt
from nightjar.pipeline.judging.panel import Panel
from nightjar.pipeline.judging.prompts import Verdict
from nightjar.pipeline.judging.results import JudgeResults
from nightjar.pipeline.judging.rubric import read_rubric
from nightjar.pipeline.report.data.judge_findings import with_judging
from nightjar.pipeline.report.data.run_report import RunReport
from tests import factories

RUBRIC = read_rubric({"criteria": [{"name": "plot", "description": "d", "scale": {1: "bad", 2: "fair", 3: "good"}}]})
WORDS = "because it rambles"


def judged() -> RunReport:
    about = [Sequence.model_validate({"id": f"s{n}", "turns": [{"prompt": f"p{n}"}]}) for n in range(6)]
    jobs = [factories.row(one, ["A reply."]) for one in about]
    verdicts: dict[JudgedAt, dict[str, list[Verdict]]] = {
        (job.id, 0): {judge: [Verdict(criterion="plot", value=1 + at % 3, reason=WORDS)] for judge in ("j", "k")}
        for at, job in enumerate(jobs)
    }
    bench = JudgeResults(rubric=RUBRIC, prompt_digest="p" * 32, panel=Panel(judges=("j", "k")), verdicts=verdicts)
    scored = [job.scored(bench.score(job)) for job in jobs]
    return with_judging(factories.report_of(scored, about, scales=bench.with_scales({})), bench)


def gated() -> RunReport:
    gate = Gate(kind=GateKind.MISSING, metric=None, value=3, counted=True)
    result = GateResult(gate=gate, about="r:m", outcome=GateOutcome.TRIPPED, reason="4 of 9 turns are missing")
    verdict = GateVerdict(results=(result,), baseline="b", at=datetime(2026, 11, 21, tzinfo=UTC))
    return replace(factories.synthetic_report(), verdict=verdict)


@pytest.mark.parametrize("make", [judged, gated, factories.synthetic_report])
def test_all_numbers_come_back(make: object) -> None:
    """Everything but what is left out on purpose; a new field of the report must be kept, or be left out by name."""
    assert callable(make)
    report: RunReport = make()
    again = unpack(pack(report))
    for name in set(vars(report)) - LEFT_OUT - {"judging"}:
        assert getattr(again, name) == getattr(report, name), name
    if report.judging is not None:
        assert again.judging == replace(report.judging, bench=JudgeResults())
    assert all(render(replace(again, sequences=report.sequences), form) for form in ("html", "json", "csv", "md"))


def test_no_judges_words_are_left() -> None:
    """They quote replies: they go with the transcripts."""
    report = judged()
    assert WORDS in render(report, "json")
    assert WORDS not in render(unpack(pack(report)), "json")


def test_a_report_packed_with_flat_facts_is_read() -> None:
    """Model facts were flat before they had a source."""
    report = factories.synthetic_report()
    packed = json.loads(zlib.decompress(pack(report)))
    for model, packed_model in zip(report.models, packed["models"], strict=True):
        assert model.input.facts is not None
        packed_model["input"]["facts"] = flat_facts(model.input.facts)
    again = unpack(zlib.compress(json.dumps(packed).encode()))
    assert again.models == report.models
