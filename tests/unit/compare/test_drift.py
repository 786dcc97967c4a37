"""Drift in a run: the gate on each model, and what another build of llama.cpp than the baseline's makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from nightjar.config.errors import UsageError
from nightjar.jobs.ending import Gate, GateKind, GateOutcome
from nightjar.jobs.fidelity import Deviations, LoadedSide, ScoredPlaces
from nightjar.pipeline.collect.aggregates import pack, unpack
from nightjar.pipeline.compare.changes import with_changes
from nightjar.pipeline.compare.drift import parse_drifts
from nightjar.pipeline.compare.gates import check_report
from nightjar.pipeline.report.data.fidelity import FidelityResult, FidelityRow, Material
from nightjar.pipeline.report.data.fidelity_costs import load_costs
from nightjar.pipeline.report.data.fidelity_numbers import fidelity_numbers
from nightjar.pipeline.report.data.fidelity_rows import ranked_rows
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.formats.csv_ import render_csv
from nightjar.pipeline.report.formats.json_ import head_of
from nightjar.pipeline.report.formats.markdown import render_markdown
from nightjar.pipeline.report.page.html import render_html
from tests.factories import load_facts, model_facts, synthetic_report

REFERENCE, OTHERS = "amber-1b", {"basalt-3b": 0.01, "cinder-0.5b-instruct": 0.3}


def side(name: str, build: str) -> LoadedSide:
    load = load_facts(1.0).model_copy(update={"llama_cpp_build": build})
    return LoadedSide(label=name, facts=model_facts(name), load=load, cache_bytes=1000)


def held(build: str = "b1", kld: Mapping[str, float] = OTHERS, digest: str = "d") -> RunReport:
    """A report of three models, of which the first is the reference."""
    tokens = np.arange(12)
    places = ScoredPlaces(text=tokens // 2, span=tokens // 2, position=tokens % 2, depth=tokens + 3)

    def row(name: str, value: float) -> FidelityRow:
        kl = np.full(12, value)
        deviations = Deviations(
            kl=kl, kl_variance=None, same_top=tokens > 3, reference_logprob=-kl, candidate_logprob=-2 * kl
        )
        numbers = fidelity_numbers(deviations, places, "sequence")
        return FidelityRow(side=side(name, build), numbers=numbers, costs=load_costs(side(name, build), models[name]))

    report = synthetic_report()
    models = {model.name: model for model in report.models}
    reference = FidelityRow(
        side=side(REFERENCE, build), numbers=None, costs=load_costs(side(REFERENCE, build), models[REFERENCE])
    )
    rows, front_of = ranked_rows([reference, *(row(name, value) for name, value in kld.items())])
    material = Material(
        name="night",
        kind="run",
        digest=digest,
        layout="conversations",
        window=None,
        bos=None,
        score_from=None,
        replies_of=REFERENCE,
    )
    result = FidelityResult(
        generated_by="Nightjar 0",
        generated_at=report.generated_at,
        material=material,
        reference=rows[0],
        candidates=tuple(rows[1:]),
        costs_from="night",
        front_of=front_of,
    )
    return replace(report, fidelity=result)


def outcomes(gate: str, report: RunReport, only: str | None = None) -> dict[str, GateOutcome]:
    results = check_report(parse_drifts([gate]), report, only)
    return {result.about.rpartition(":")[2]: result.outcome for result in results}


@pytest.mark.parametrize(
    ("gate", "wanted"),
    [
        ("kld:0.02", [GateOutcome.PASSED, GateOutcome.TRIPPED]),
        ("kld:0.5", [GateOutcome.PASSED, GateOutcome.PASSED]),
        ("changed_top:0.1", [GateOutcome.TRIPPED, GateOutcome.TRIPPED]),
        ("perplexity:0.05", [GateOutcome.PASSED, GateOutcome.TRIPPED]),
    ],
)
def test_each_model_but_the_reference_is_gated(gate: str, wanted: list[GateOutcome]) -> None:
    assert outcomes(gate, held()) == dict(zip(OTHERS, wanted, strict=True))
    assert outcomes(gate, held(), "basalt-3b") == {"basalt-3b": wanted[0]}


def test_what_was_not_measured_passes_no_gate() -> None:
    """One model of a run that is held against another, and all of a run that is held against none."""
    assert outcomes("kld:9", held(kld={"basalt-3b": 0.01})) == {
        "basalt-3b": GateOutcome.PASSED,
        "cinder-0.5b-instruct": GateOutcome.INCONCLUSIVE,
    }
    assert set(outcomes("kld:9", synthetic_report()).values()) == {GateOutcome.INCONCLUSIVE}


def test_its_metrics_are_not_those_of_the_suite() -> None:
    """`perplexity` is a ratio less 1 here, whatever a suite's metric of that name is."""
    gate = Gate(kind=GateKind.DRIFT, metric="perplexity", value=0.0)
    assert len(check_report([gate], held())) == 2
    with pytest.raises(UsageError, match="Known: changed_top, kld"):
        parse_drifts(["checks:0.1"])


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (held("b1"), None),
        (
            held("b0"),
            "llama.cpp is b1, and was b0 in nightly-2026-11-20: basalt-3b was 0.0100 nats away and is 0.0100",
        ),
        (held("b0", {"basalt-3b": 0.02}, "other"), "(on other replies): basalt-3b was 0.0200 nats away"),
        (synthetic_report(), None),
    ],
)
def test_another_build_than_the_baselines_is_named(before: RunReport, said: str | None) -> None:
    now = with_changes(held("b1"), before)
    assert now.fidelity is not None
    texts = [notice.text for notice in now.fidelity.notices]
    assert not texts if said is None else said in texts[0]


def test_the_section_in_every_format() -> None:
    """With what each model costs; the front leaves out who is worse in everything."""
    report = held()
    page = "".join(render_html(report))
    assert "Fidelity to amber-1b" in page
    assert page.count('id="costs"') <= 1
    assert 'id="fidelity-costs"' in page
    data = head_of(report)["fidelity"]
    assert [row["label"] for row in data["candidates"]] == list(OTHERS)
    assert data["candidates"][0]["costs"]["tokens_per_s"] == 24.0
    assert "## Fidelity to amber-1b" in "".join(render_markdown(report))
    assert "fidelity.kld" in next(iter(render_csv(report)))
    assert "Fidelity to" not in "".join(render_html(synthetic_report()))
    assert head_of(synthetic_report())["fidelity"] is None


def test_it_outlives_the_transcripts() -> None:
    report = held()
    assert unpack(pack(report)).fidelity == report.fidelity
