"""Speeds and loads of two sides: like with like, and what differs is said."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from nightjar.jobs.models import LoadFacts, ModelFacts, ModelKind, ModelSource, ProbeKind, SpeedProbe, ThreadUse
from nightjar.jobs.remote_models import Dialect, RemoteFacts, Spending
from nightjar.jobs.states import JobKind
from nightjar.pipeline.compare.comparison import Comparison, compare_sides, pair_up, sides
from nightjar.pipeline.compare.rows import cost_rows
from nightjar.pipeline.judging.panel import Panel
from nightjar.pipeline.judging.results import JudgeResults
from nightjar.pipeline.judging.rubric import read_rubric
from nightjar.pipeline.report.data.costs import model_costs
from nightjar.pipeline.report.data.fingerprints import changed, model_marks
from nightjar.pipeline.report.data.judge_findings import with_judging
from nightjar.pipeline.report.data.model import ModelInput, ModelReport, ParameterUse, WorkerFacts
from nightjar.pipeline.report.data.notices import notices
from nightjar.pipeline.report.data.resources import resources
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.formats.provenance import flat, model_provenance
from nightjar.pipeline.report.page.machine_tables import facts_table, machine_table
from nightjar.pipeline.report.page.speed_charts import tradeoff
from tests import factories

SEQUENCES = factories.sequences()
OLD = factories.load_facts(50.0).probe
assert OLD is not None
NEW = SpeedProbe(
    kind=ProbeKind.TIME,
    measured_at=datetime(2026, 11, 29, tzinfo=UTC),
    prompt_tokens=900,
    generated_tokens=75,
    slots=8,
    prefill_tokens_per_s=600.0,
    decode_tokens_per_s=51.0,
    by_slots={1: 50.0, 8: 160.0},
)


def loaded(**changes: Any) -> LoadFacts:
    return factories.load_facts(50.0).model_copy(update={"probe": None, **changes})


def report(*loads: LoadFacts, **worker: Any) -> RunReport:
    """A run of one model with these loads, and what its one worker measured."""
    jobs = [factories.row(sequence, ["fox"] * len(sequence.turns), model="m") for sequence in SEQUENCES]
    made = factories.report_of(jobs, SEQUENCES)
    known: dict[str, Any] = {"process_peak_bytes": 1, "gpu_peak_bytes": None, "gpu_utilisation": None}
    worker_facts = WorkerFacts(id="h:1:1", device="CPU", gpu_energy_j=None, **known, **worker)
    [model] = made.models
    source = ModelInput(name="m", digest=None, facts=None, loads=loads, workers=(worker_facts,))
    return replace(made, models=(replace(timed(model), input=source, resources=resources(source, 0)),))


def timed(model: ModelReport) -> ModelReport:
    """With a speed of its turns."""
    return replace(model, total=replace(model.total, speed=replace(model.total.speed, decode_tokens_per_s=40.0)))


def compared(base: RunReport, other: RunReport) -> Comparison:
    ((one, two),) = pair_up(sides(base, None), sides(other, None))
    return compare_sides(one, two)


@pytest.mark.parametrize(
    ("before", "after", "held"),
    [
        (NEW, NEW, True),
        (OLD, OLD, True),
        (OLD, NEW, False),  # a fixed amount of work, and a fixed time
        (None, NEW, False),
    ],
)
def test_only_probes_of_one_kind_are_held_against_each_other(
    before: SpeedProbe | None, after: SpeedProbe | None, held: bool
) -> None:
    comparison = compared(report(loaded(probe=before)), report(loaded(probe=after)))
    costs = {cost.name: cost for cost in comparison.costs}
    both = [cost.base is not None and cost.other is not None for name, cost in costs.items() if "probe" in name]
    assert both == [held, held]
    unlike = [notice for notice in comparison.notices if "different ways" in notice]
    assert len(unlike) == (before is not None and after is not None and not held)


def test_turns_are_compared_without_any_probe() -> None:
    costs = {cost.name: cost for cost in compared(report(loaded()), report(loaded())).costs}
    assert costs["turns: decode, tokens/s"].base == 40.0
    assert costs["probe: decode, tokens/s"].base is None


def test_the_newest_probe_counts_whoever_made_it() -> None:
    """That of an earlier run is known at the load; one of this run comes with the worker's last beat."""
    newer = NEW.model_copy(update={"measured_at": datetime(2026, 11, 30, tzinfo=UTC), "decode_tokens_per_s": 60.0})
    [model] = report(loaded(probe=NEW), probe=newer).models
    assert model.resources.probe == newer
    [model] = report(loaded()).models
    assert model.resources.probe is None
    assert "--probe" in model.resources.reasons["probe"]


def test_a_probe_is_shown_with_its_date_and_tokens() -> None:
    rows = {row[0].text: row[1] for row in machine_table(report(loaded(probe=NEW.with_slots(8)))).rows}
    assert rows["Probe: prefill, one slot"].note == "2026-11-29, 900 tokens"
    assert (rows["Probe: decode, all slots"].text, rows["Probe: decode, all slots"].note) == (
        "160",
        "2026-11-29, 8 slots",
    )


def test_threads_that_followed_the_load_are_in_provenance_and_page() -> None:
    made = report(loaded(threads=8), threads=ThreadUse(used=7, lowest=5, highest=8))
    [model] = made.models
    assert model_provenance(model)["threads"] == {"used": 7, "lowest": 5, "highest": 8}
    assert flat(made, model)["threads"] == "7, from 5 to 8 as the load allowed"
    rows = {row[0].text: row[1].text for row in facts_table(made).rows}
    assert rows["threads"] == "7 most of the time, from 5 to 8 as the load allowed"
    assert flat(fixed := report(loaded(threads=8)), fixed.models[0])["threads"] == "8"


def test_a_busy_machine_and_a_smaller_load_are_said() -> None:
    made = report(loaded(given_up=("context 4,096 instead of 8,192 tokens",)), others_cores=1.2)
    texts = [notice.text for notice in notices(made.provenance, made.models, (), ())]
    assert any("machine was busy; other processes took 1.2 cores" in text for text in texts)
    assert any("loaded smaller, since memory was short: context 4,096 instead" in text for text in texts)
    quiet = report(loaded(), others_cores=0.2)
    assert not any("busy" in notice.text for notice in notices(quiet.provenance, quiet.models, (), ()))


def test_loads_that_differ_are_said_by_compare_and_by_the_trend() -> None:
    """A context that shrank was silent in both."""
    whole, shrunk = report(loaded(context=8192)), report(loaded(context=4096, cache_type_k="q8_0"))
    [said] = [notice for notice in compared(whole, shrunk).notices if "loaded differently" in notice]
    assert said == "They were loaded differently: context 8,192, f16/f16 cache / context 4,096, q8_0/f16 cache."
    marks = changed(model_marks(whole.models[0], whole), model_marks(shrunk.models[0], shrunk))
    assert [mark.what for mark in marks] == ["context", "cache"]


@pytest.mark.parametrize(
    ("first", "second", "flagged"),
    [
        ({"json_schema": {"type": "object"}}, {"json_schema": {"type": "object"}}, True),
        ({"json_schema": None}, {"json_schema": None, "grammar": "/(yes|no)/"}, True),  # one side is enough
        ({"json_schema": None, "grammar": None}, {}, False),  # free text is the same by both
    ],
)
def test_another_grammar_engine_is_said_where_replies_were_held_to_something(
    first: dict[str, Any], second: dict[str, Any], flagged: bool
) -> None:
    before, after = report(loaded()), report(loaded(grammar_engine="llguidance 1.9.1"))
    notices = compared(asked(before, first), asked(after, second)).notices
    said = [notice for notice in notices if "different engines" in notice]
    engines = "different engines (llama.cpp / llguidance 1.9.1), by which the same seed gives other texts"
    assert said == [f"Their replies were held to schemas or grammars by {engines}."] * flagged
    assert not [notice for notice in compared(asked(after, first), asked(after, second)).notices if "engines" in notice]
    away = at_endpoint(asked(report(loaded(grammar_engine="none")), first), None)
    assert not [notice for notice in compared(asked(before, first), away).notices if "engines" in notice]


def asked(made: RunReport, values: dict[str, Any]) -> RunReport:
    """The same, of replies with these parameters."""
    uses = {name: (ParameterUse(value=value, source="suite", turns=1),) for name, value in values.items()}
    [model] = made.models
    return replace(made, models=(replace(model, parameters={**model.parameters, **uses}),))


@pytest.mark.parametrize(
    ("first", "second", "flagged"),
    [
        ({"j": {"llama.cpp"}}, {"j": {"llguidance 1.9.1"}}, True),
        ({"j": {"llguidance 1.9.1"}}, {"j": {"llguidance 1.9.1"}}, False),
        ({}, {"j": {"llguidance 1.9.1"}}, False),  # nobody knows
        ({"j": {"llama.cpp"}}, {"k": {"llguidance 1.9.1"}}, False),  # another judge is said elsewhere
    ],
)
def test_another_grammar_engine_of_a_judge_is_said(
    first: dict[str, set[str]], second: dict[str, set[str]], flagged: bool
) -> None:
    rubric = read_rubric({"criteria": [{"name": "plot", "description": "d", "scale": {1: "bad", 2: "good"}}]})
    one, two = (
        with_judging(
            report(loaded()),
            JudgeResults(
                rubric=rubric,
                panel=Panel(judges=("j",)),
                grammar_engines={judge: frozenset(engines) for judge, engines in known.items()},
            ),
        )
        for known in (first, second)
    )
    said = [notice for notice in compared(one, two).notices if "different engines" in notice]
    assert [notice.split(" by different")[0] for notice in said] == [
        "The verdicts of judge j were held to their schema"
    ] * flagged


def test_speeds_in_one_chart_are_of_one_kind() -> None:
    """One model with a probe beside one without: both are shown by the turns of this run."""
    jobs = [
        factories.row(sequence, ["fox"] * len(sequence.turns), model=name) for sequence in SEQUENCES for name in "ab"
    ]
    made = factories.report_of(jobs, SEQUENCES)
    first, second = map(timed, made.models)
    known = ModelInput(name="a", digest=None, facts=None, loads=(loaded(probe=NEW),), workers=())
    mixed = replace(made, models=(replace(first, resources=resources(known, 0)), second))
    chart = tradeoff(mixed)
    assert chart is not None
    assert all("(this run)" in str(row) for row in chart.rows)


def at_endpoint(made: RunReport, usd: float | None) -> RunReport:
    """The same of a model that answers at an endpoint, where a conversation costs so much."""
    [model] = made.models
    remote = RemoteFacts(endpoint="e", host="example.org", dialect=Dialect.OPENAI, model="x")
    facts = ModelFacts(name="m", source=ModelSource.REMOTE, digest="0" * 64, kind=ModelKind.CHAT, remote=remote)
    spent = Spending(model="m", kind=JobKind.REPLY, requests=1, usd=usd, unpriced=int(usd is None))
    costs = model_costs([spent], {}, {("m", JobKind.REPLY): 1})
    return replace(made, models=(replace(model, input=replace(model.input, facts=facts)),), costs=costs)


def test_what_endpoints_are_paid_stands_beside_a_model_that_pays_none() -> None:
    """Nothing is said of how an endpoint loads a model, and no price is made up for a local one."""
    local, remote = report(loaded()), at_endpoint(report(loaded(context=0, cache_type_k="none")), 0.0125)
    comparison = compared(local, remote)
    assert not [notice for notice in comparison.notices if "loaded differently" in notice]
    [row] = [row for row in cost_rows(comparison) if "dollars" in row[0]]
    assert row[1:4] == ["–", "$0.0125", "-"]
    [row] = [row for row in cost_rows(compared(local, at_endpoint(local, None))) if "dollars" in row[0]]
    assert row[1:3] == ["–", "–"], "a price that nobody knows"
