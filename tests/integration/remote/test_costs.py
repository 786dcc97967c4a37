"""What a run, a model, a sequence and a verdict cost: in the report, in a comparison and in the overview."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
import tomlkit

from nightjar.jobs.documents import Job, Run
from nightjar.jobs.money.job_spending import job_spending
from nightjar.jobs.money.spending import Expense
from nightjar.jobs.published import publish_model
from nightjar.jobs.sequences import Sequence
from nightjar.jobs.states import JobKind, RunStatus
from nightjar.jobs.status.overview import read_overview
from nightjar.jobs.status.views import ServiceState
from nightjar.pipeline.collect.aggregates import pack, unpack
from nightjar.pipeline.collect.collector import collect
from nightjar.pipeline.compare.comparison import compare_sides, pair_up, sides
from nightjar.pipeline.compare.rows import cost_rows
from nightjar.pipeline.exports.write import render
from nightjar.pipeline.report.data.sequence_costs import sequence_costs
from nightjar.pipeline.runs.producer import enqueue
from nightjar.pipeline.runs.request import make_request
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.importer import import_suite
from nightjar.workers.library.find import find_model
from nightjar.workers.library.inspect import entry_facts
from nightjar.workers.process.load_model import WorkerOptions
from nightjar.workers.process.main import serve
from tests.fake_endpoint import MODEL_AT_FAKE, FakeEndpoint
from tests.integration.remote.conftest import PRICE
from tests.workbench import Bench, until

CLOUD, CRITIC = "cloud", "critic"
RUBRIC = {
    "criteria": [
        {"name": name, "description": "Things happen.", "scale": {"1": "Nothing.", "2": "Something."}}
        for name in ("plot", "style")
    ]
}


def answer(body: dict[str, Any]) -> str:
    last = body["messages"][-1]["content"]
    return json.dumps({"reason": "So it is.", "score": 2}) if "response_format" in body else f"Reply to: {last[:20]}"


async def judged_run(bench: Bench, fake: FakeEndpoint, name: str, *, critic_price: dict[str, float] | None) -> Run:
    """Two short sequences and a long one, answered by `cloud` twice and judged by `critic`, which is at the same
    endpoint and has a price of its own, or none."""
    fake.reply = answer
    endpoint = fake.table()
    models: dict[str, Any] = {
        CLOUD: {"endpoint": "fake", "model": MODEL_AT_FAKE, "price": PRICE},
        CRITIC: {"endpoint": "fake", "model": "fake-critic"},
    }
    if critic_price is not None:
        models[CRITIC]["price"] = critic_price
    bench.settings.models_file.parent.mkdir(parents=True, exist_ok=True)
    bench.settings.models_file.write_text(tomlkit.dumps({"endpoints": {"fake": endpoint}, **models}), encoding="utf-8")
    contents = tuple(
        Sequence.model_validate({"id": each, "turns": [{"prompt": prompt}], "parameters": {"max_tokens": 40}})
        for each, prompt in (("s0", "an owl"), ("s1", "a fox"), ("long", "of a long night " * 40))
    )
    await import_suite(SuiteContent(name="tales", sequences=contents), bench.database)
    for model in (CLOUD, CRITIC):
        await publish_model(bench.database, entry_facts(find_model(model, bench.settings)), by="test")
    request = make_request(suite="tales", models=(CLOUD,), judges=(CRITIC,), rubric=RUBRIC, name=name, repeats=2)
    run = (await enqueue(request, bench.database)).run
    async with bench.dispatching():
        working = [
            asyncio.create_task(
                serve(
                    WorkerOptions(model=model, burst=False, started_ms=number),
                    bench.settings,
                    bench.database,
                    bench.services.redis,
                )
            )
            for number, model in enumerate((CLOUD, CRITIC))
        ]
        try:

            async def is_done() -> bool:
                now = await Run.get(run.id)
                return now is not None and now.status is RunStatus.DONE

            await until(is_done, within_s=90)
        finally:
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)
    return run


async def test_replies_and_verdicts_are_told_apart_by_model_and_sequence(bench: Bench, fake: FakeEndpoint) -> None:
    run = await judged_run(bench, fake, "r", critic_price={"input": 100.0, "output": 200.0})
    entries = await Expense.find({"run": run.id}).to_list()
    paid = {kind: sum(e.usd or 0 for e in entries if e.kind is kind) for kind in (JobKind.REPLY, JobKind.JUDGE)}
    report = await collect(run.id, bench.database)
    replies, verdicts = report.costs
    assert (replies.model, replies.role, replies.jobs) == (CLOUD, "replies", 6)
    assert (verdicts.model, verdicts.role, verdicts.jobs) == (CRITIC, "verdicts", 6)
    assert verdicts.requests == 12, "a request a criterion, a verdict for both"
    assert verdicts.usd == pytest.approx(paid[JobKind.JUDGE])
    assert verdicts.usd_per_job == pytest.approx(paid[JobKind.JUDGE] / 6)

    by_sequence = {(cost.sequence, cost.role): cost for cost in report.sequence_costs}
    assert list(by_sequence) == [(s, r) for s in ("s0", "s1", "long") for r in ("replies", "verdicts")]
    for role, kind in (("replies", JobKind.REPLY), ("verdicts", JobKind.JUDGE)):
        of_role = [cost for cost in report.sequence_costs if cost.role == role]
        assert sum(cost.usd or 0 for cost in of_role) == pytest.approx(paid[kind]), "nothing is lost, nothing twice"
        assert {cost.jobs for cost in of_role} == {2}
        long, short = (by_sequence[name, role].usd or 0 for name in ("long", "s0"))
        assert long > short > 0
    of_long = {job.id for job in await Job.find({"run": run.id, "sequence": "long", "kind": "reply"}).to_list()}
    mine = [entry.usd or 0 for entry in entries if entry.job in of_long]
    assert by_sequence["long", "replies"].usd == pytest.approx(sum(mine))

    document = json.loads(render(report, "json"))
    assert list(document)[-3] == "sequence_costs"  # before the transcripts, which are written last
    assert document["sequence_costs"][0]["sequence"] == "s0"
    assert "Costs by sequence" in render(report, "html")
    kept = unpack(pack(report))
    assert kept.sequence_costs == report.sequence_costs, "the numbers outlive the transcripts"

    shown = sequence_costs(
        await job_spending(run.id, bench.database, about=of_long), dict.fromkeys(of_long, ("long", CLOUD)), ["long"]
    )
    assert shown == tuple(cost for cost in report.sequence_costs if cost.sequence == "long")

    [view] = (await read_overview(bench.database, ServiceState(ok=True), run_id=run.id)).runs
    assert [(cost.model, cost.role, cost.done) for cost in view.costs] == [
        (CLOUD, "replies", 6),
        (CRITIC, "verdicts", 6),
    ]
    assert [cost.usd_each for cost in view.costs] == pytest.approx([replies.usd_per_job, verdicts.usd_per_job])
    assert view.cost_usd == pytest.approx(sum(paid.values()))


async def test_a_judge_without_a_price_is_unknown_and_leaves_the_rest_known(bench: Bench, fake: FakeEndpoint) -> None:
    run = await judged_run(bench, fake, "unknown", critic_price=None)
    other = await collect(run.id, bench.database)
    replies, verdicts = other.costs
    assert (verdicts.usd, verdicts.usd_per_job, verdicts.jobs) == (None, None, 6)
    assert {(cost.usd, cost.text, cost.unpriced) for cost in other.sequence_costs if cost.role == "verdicts"} == {
        (None, "unknown", 4)
    }
    [view] = (await read_overview(bench.database, ServiceState(ok=True), run_id=run.id)).runs
    assert [cost.cost for cost in view.costs][1] == "unknown"
    assert (view.cost or "").startswith("at least $")

    known = replace(verdicts, usd=0.6, usd_per_job=0.1, unpriced=0)
    base = replace(other, provenance=replace(other.provenance, id="known"), costs=(replies, known))
    ((one, two),) = pair_up(sides(base, None), sides(other, None))
    comparison = compare_sides(one, two)
    money = {cost.name: (cost.base, cost.other) for cost in (*comparison.costs, *comparison.run_costs)}
    each = replies.usd_per_job
    assert each is not None
    assert money["US dollars a conversation"] == (each, each)
    assert money["US dollars a sequence"] == pytest.approx((2 * each, 2 * each)), "with its repeats"
    assert money["US dollars a verdict"][0] == pytest.approx(0.1)
    assert money["US dollars a verdict"][1] is None
    assert money["run: US dollars without judging"] == (replies.usd, replies.usd)
    assert money["run: US dollars for judging"] == (0.6, None)
    assert {row[0]: row[1] for row in cost_rows(comparison)}["US dollars a verdict"] == "$0.1000"
    assert compare_sides(one, one).run_costs == (), "a run is not dearer than itself"
