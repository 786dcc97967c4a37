"""What judging at an endpoint will cost is said before; `--budget` holds a judging, and the run is as it was."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import tomlkit

from nightjar.config.errors import UsageError
from nightjar.jobs.documents import Run
from nightjar.jobs.judgings import JudgingStatus
from nightjar.jobs.money.spending import spending, spent_so_far
from nightjar.jobs.published import publish_model
from nightjar.jobs.runs.judging_moves import begin_judging
from nightjar.jobs.sequences import Sequence
from nightjar.jobs.states import JobKind, RunStatus
from nightjar.pipeline.judging.start import begin_check, check_again, plan_check
from nightjar.pipeline.runs.judging_cost import check_judges_budget, expected_again, expected_check
from nightjar.pipeline.runs.producer import enqueue, plan_run
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

CLOUD, OTHER, CRITIC, FREE = "cloud", "other", "critic", "unpriced"
CRITERIA = [{"name": name, "description": "Things happen."} for name in ("plot", "style")]
POINTS = {"criteria": [{**each, "scale": {"1": "Nothing.", "2": "Something."}} for each in CRITERIA]}
PAIRS = {"criteria": CRITERIA, "method": "pairwise"}


async def prepare(bench: Bench, fake: FakeEndpoint) -> None:
    """Three sequences of two turns; two models that answer, and two judges, one without a price."""
    fake.reply = lambda body: (
        json.dumps({"reason": "So it is.", "score": 2})
        if "response_format" in body
        else f"It was late, and {len(body['messages'])} owls flew on."
    )
    at = {"endpoint": "fake", "load": {"slots": 1}}
    models = {
        CLOUD: at | {"model": MODEL_AT_FAKE, "price": PRICE},
        OTHER: at | {"model": "fake-other", "price": PRICE},
        CRITIC: at | {"model": "fake-critic", "price": {"input": 100.0, "output": 200.0}},
        FREE: at | {"model": "fake-unpriced"},
    }
    bench.settings.models_file.parent.mkdir(parents=True, exist_ok=True)
    table = {"endpoints": {"fake": fake.table()}, **models}
    bench.settings.models_file.write_text(tomlkit.dumps(table), encoding="utf-8")
    contents = tuple(
        Sequence.model_validate(
            {"id": f"s{n}", "turns": [{"prompt": f"Of owl {n}."}, {"prompt": "On."}], "parameters": {"max_tokens": 30}}
        )
        for n in range(3)
    )
    await import_suite(SuiteContent(name="tales", sequences=contents), bench.database)
    for model in models:
        await publish_model(bench.database, entry_facts(find_model(model, bench.settings)), by="test")


async def worked(bench: Bench, model: str, run: Run) -> Run:
    """The run when it is DONE, after a worker of the model served it to its end."""

    async def is_done() -> bool:
        now = await Run.get(run.id)
        return now is not None and now.status is RunStatus.DONE

    async with bench.dispatching():
        options = WorkerOptions(model=model, burst=True, started_ms=1)
        await asyncio.wait_for(serve(options, bench.settings, bench.database, bench.services.redis), 120)
        await until(is_done, within_s=60)
    now = await Run.get(run.id)
    assert now is not None
    return now


@pytest.mark.parametrize(
    ("models", "judges", "rubric", "says"),
    [
        ((CLOUD,), (CRITIC,), POINTS, [f"{CRITIC} will cost about $", "for 12 verdicts", "replies of up to 300"]),
        # both orders of each pair of replies
        ((CLOUD, OTHER), (CRITIC,), PAIRS, [f"{CRITIC} will cost about $", "for 24 verdicts"]),
        ((CLOUD,), (FREE,), POINTS, [f"Nobody knows the price of {FREE}: what its 12 verdicts cost will be unknown"]),
        ((CLOUD, CRITIC), (CRITIC,), POINTS, [f"{CRITIC} will cost about $", "for 12 verdicts"]),  # not of its own
    ],
)
async def test_a_run_says_what_its_judges_will_cost(
    bench: Bench,
    fake: FakeEndpoint,
    models: tuple[str, ...],
    judges: tuple[str, ...],
    rubric: dict[str, Any],
    says: list[str],
) -> None:
    await prepare(bench, fake)
    request = make_request(suite="tales", models=models, judges=judges, rubric=rubric, name="r", repeats=2)
    notes = (await plan_run(request, bench.database)).notes
    assert all(
        f"{model} will cost about" in " ".join(notes) and "for its replies" in " ".join(notes) for model in models
    )
    judging = notes[-1]
    assert all(word in judging for word in says)


async def test_a_budget_holds_a_judging_and_the_run_is_as_it_was(bench: Bench, fake: FakeEndpoint) -> None:
    """Each request may cost about 0.2 dollars, and costs about 0.05; what was given is not asked for again."""
    await prepare(bench, fake)
    request = make_request(suite="tales", models=(CLOUD,), name="r")
    run = await worked(bench, CLOUD, (await enqueue(request, bench.database)).run)
    before = await spent_so_far(run.id, bench.database)
    asked = await check_again(run, [CRITIC], POINTS, bench.database)
    [expected] = await expected_again(run, asked, bench.database)
    assert expected.verdicts == 6
    assert expected.replies_known
    assert "replies of up to" not in expected.sentence()
    with pytest.raises(UsageError, match=f"--budget 1 cannot be kept: nobody knows the price of {FREE}"):
        await check_judges_budget(1.0, [FREE], bench.database)
    with pytest.raises(UsageError, match="above 0"):
        await check_judges_budget(0.0, [CRITIC], bench.database)

    held = await worked(bench, CRITIC, await begin_judging(run, asked, bench.database, budget=before + 0.4))
    [judging] = held.judging.passes
    assert judging.status is JudgingStatus.CANCELLED
    assert "the budget of" in (judging.reason or "")
    assert held.judging.shown is None, "it is as it was: not judged"
    cost = await spent_so_far(run.id, bench.database) - before
    assert 0 < cost <= 0.4

    asked = await check_again(held, [CRITIC], POINTS, bench.database)
    [left] = await expected_again(held, asked, bench.database)
    assert 0 < left.verdicts < 6, "what is there is not asked for again"
    done = await worked(bench, CRITIC, await begin_judging(held, asked, bench.database, budget=before + 50))
    assert done.judging.passes[-1].status is JudgingStatus.COMPLETE
    assert done.judging.shown == 2
    [paid] = [each for each in (await spending([run.id], bench.database))[run.id] if each.kind is JobKind.JUDGE]
    assert paid.usd is not None
    assert expected.usd is not None
    assert expected.most_usd is not None
    assert paid.requests >= 12
    assert paid.usd / 2 < expected.usd < 2 * paid.usd, "what was expected is about what it was"
    assert expected.usd < expected.most_usd

    check = await plan_check(done, [CRITIC], None, bench.database, sequences=1)
    [of_check] = await expected_check(done, check, bench.database)
    assert of_check.verdicts > 0
    spent = await spent_so_far(run.id, bench.database)
    checked = await worked(bench, CRITIC, await begin_check(done, check, bench.database, budget=spent + 0.0001))
    assert await spent_so_far(run.id, bench.database) == pytest.approx(spent), "nothing was sent that could pass it"
    assert (checked.status, checked.judging.shown) == (RunStatus.DONE, 2)
