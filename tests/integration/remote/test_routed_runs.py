"""A policy as a model of a run: its jobs go to candidates, fall back with their conversations, are paid and ranked."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from datetime import UTC, datetime
from typing import Any

import pytest

from nightjar.config.errors import RunConflictError, UnknownNameError, UsageError
from nightjar.jobs import ownership
from nightjar.jobs.documents import Job, Run
from nightjar.jobs.money.spending import Expense, pause_endpoint, spending
from nightjar.jobs.published import publish_model
from nightjar.jobs.records import AttemptEnd
from nightjar.jobs.routing.handing_on import leave_paused_endpoints
from nightjar.jobs.routing.policies import PolicyKind, RoutingPolicy, TagRule, activate_policy, store_policy
from nightjar.jobs.runs.control import give_up_model, pause, resume, retry
from nightjar.jobs.sequences import Sequence
from nightjar.jobs.states import JobStatus, RunStatus
from nightjar.jobs.status.run import describe_run
from nightjar.pipeline.collect.collector import collect
from nightjar.pipeline.dispatch.lapsed_leases import take_back_lapsed
from nightjar.pipeline.report.formats.json_ import render_json
from nightjar.pipeline.runs.producer import Enqueued, enqueue, plan_run
from nightjar.pipeline.runs.request import make_request
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.importer import import_suite
from nightjar.workers.engine.fake import ScriptedEngine
from nightjar.workers.library.find import find_model
from nightjar.workers.library.inspect import entry_facts
from tests.documents import a_turn
from tests.fake_endpoint import FakeEndpoint
from tests.integration.remote.conftest import register, serve_cloud
from tests.workbench import Bench, until

LOCAL, CLOUD, CHAT = "local", "cloud", "router:chat"
RULES = [
    TagRule(tag="easy", model=LOCAL, best=CLOUD, pairs=50, reason="local is not worse"),
    TagRule(tag="hard", model=CLOUD, best=CLOUD, pairs=50, reason="cloud is the best of them"),
]


def local_engine() -> ScriptedEngine:
    return ScriptedEngine(lambda prompt, seed: f"Local read: {prompt[-60:]}", name=LOCAL, slots=2)


async def store_chat(bench: Bench, *, active: bool = True, **changes: Any) -> RoutingPolicy:
    fields: dict[str, Any] = {"kind": PolicyKind.ROUTER, "candidates": [LOCAL, CLOUD], "default": CLOUD, "rules": RULES}
    policy = await store_policy(
        RoutingPolicy(id="", name="chat", version=0, created_at=datetime.now(UTC), **(fields | changes)), bench.database
    )
    if active:
        await activate_policy(policy, bench.database)
    return policy


async def prepare(bench: Bench, fake: FakeEndpoint, *, each: int = 2, turns: int = 2, **changes: Any) -> None:
    """Sequences e0, e1, ... tagged easy and h0, h1, ... tagged hard; both models are known, the policy is active."""
    register(bench, fake)
    tagged = [(f"{tag[0]}{n}", tag) for tag in ("easy", "hard") for n in range(each)]
    contents = tuple(
        Sequence.model_validate(
            {
                "id": name,
                "tags": [tag],
                "turns": [
                    {"prompt": f"{name}, turn {t}", "expect": [{"check": "includes", "value": "Reply"}]}
                    for t in range(turns)
                ],
                "parameters": {"max_tokens": 20},
            }
        )
        for name, tag in tagged
    )
    await import_suite(SuiteContent(name="tales", sequences=contents), bench.database)
    for facts in (entry_facts(find_model(CLOUD, bench.settings)), local_engine().facts):
        await publish_model(bench.database, facts, by="test")
    await store_chat(bench, **changes)


async def enqueued(bench: Bench, *models: str, **options: Any) -> Enqueued:
    options = {"name": "r", **options}
    return await enqueue(make_request(suite="tales", models=models or (CHAT,), **options), bench.database)


async def routed_jobs(run: Run) -> dict[str, Job]:
    jobs = await Job.find({"run": run.id, "routed.asked_as": CHAT}).to_list()
    return {job.sequence: job for job in jobs}


async def is_over(run: Run) -> bool:
    now = await Run.get(run.id)
    return now is not None and now.status in (RunStatus.DONE, RunStatus.STOPPED)


async def worked(bench: Bench, run: Run) -> None:
    """Both models are served until the run has ended."""
    async with bench.dispatching(), bench.worker(local_engine()):
        serving = asyncio.create_task(serve_cloud(bench, burst=False))
        try:
            await until(lambda: is_over(run), within_s=90)
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)


async def test_a_policy_is_evaluated_beside_its_candidates(bench: Bench, fake: FakeEndpoint) -> None:
    """Job by job, frozen, paid for under its own name, ranked as one contestant, told in report and `run show`."""
    await prepare(bench, fake)
    made = await enqueued(bench, LOCAL, CLOUD, CHAT)
    assert any("router:chat is router:chat@1: 2 sequences to local, 2 sequences to cloud" in n for n in made.warnings)
    assert any(note.startswith("cloud (for router:chat) will cost about") for note in made.warnings)
    jobs = await routed_jobs(made.run)
    assert {name: job.model for name, job in jobs.items()} == {"e0": LOCAL, "e1": LOCAL, "h0": CLOUD, "h1": CLOUD}
    assert {job.contestant for job in jobs.values()} == {CHAT}
    await store_chat(bench, rules=[], default=LOCAL)  # what becomes of the policy changes nothing of the run
    await worked(bench, made.run)
    run = await Run.get(made.run.id)
    assert run is not None
    assert run.status is RunStatus.DONE, run.status_reason
    assert [model.policy and model.policy.id for model in run.models] == [None, None, "router:chat@1"]
    jobs = await routed_jobs(run)
    assert {job.status for job in jobs.values()} == {JobStatus.DONE}
    assert {name: job.turns[1].draw.reply.partition(" ")[0] for name, job in jobs.items()} == {
        "e0": "Local",
        "e1": "Local",
        "h0": "Reply",
        "h1": "Reply",
    }
    report = await collect(run.id, bench.database)
    assert [model.name for model in report.models] == [LOCAL, CLOUD, CHAT]
    assert report.ranking is not None
    assert {place.model for place in report.ranking.places} == {LOCAL, CLOUD, CHAT}
    mine = report.models[2]
    assert mine.total.metrics["checks"].mean == pytest.approx(0.5)
    assert [(each.model, each.chosen, each.turns) for each in report.routes] == [(LOCAL, 2, 4), (CLOUD, 2, 4)]
    costs = {cost.model: cost for cost in report.costs}
    assert set(costs) == {CLOUD, CHAT}
    assert costs[CHAT].requests == 4
    assert costs[CHAT].usd == pytest.approx(costs[CLOUD].usd / 2)  # type: ignore[operator]
    assert costs[CHAT].usd_per_job == pytest.approx(costs[CHAT].usd / 4)  # type: ignore[operator]
    settled = [each.usd or 0 for each in await Expense.find({"run": run.id}).to_list()]
    assert sum(cost.usd or 0 for cost in report.costs) == pytest.approx(sum(settled))
    document = json.loads("".join(render_json(report)))
    [told] = [job["route"] for job in document["jobs"] if job["model"] == CHAT and job["sequence"] == "h0"]
    assert told["policy"] == "router:chat@1"
    assert told["steps"] == [{"model": CLOUD, "reason": "tag hard: cloud is the best of them", "turn": 0}]
    detail = await describe_run(run, bench.database)
    [view] = [model for model in detail.models if model.policy is not None]
    assert view.answered == {LOCAL: 2, CLOUD: 2}
    assert view.jobs is not None
    assert view.jobs["DONE"] == 4
    assert [model.jobs["DONE"] for model in detail.models if model.jobs] == [4, 4, 4]


async def test_a_vanished_worker_loses_no_decision(bench: Bench, fake: FakeEndpoint) -> None:
    """What it had committed and who was to answer are in the job; the next worker of that model goes on."""
    await prepare(bench, fake, each=1)
    run = (await enqueued(bench)).run
    job = (await routed_jobs(run))["e0"]
    [held] = await ownership.claim({job.id: job.fence}, "gone", "host", 0.2, bench.database)
    await ownership.commit_turn(held, a_turn(0, reply="It vanished after this."), bench.database, last=False)
    await asyncio.sleep(0.4)
    await take_back_lapsed(bench.database)
    back = await Job.get(job.id)
    assert back is not None
    assert (back.status, back.model, back.routed) == (JobStatus.PENDING, LOCAL, job.routed)
    await worked(bench, run)
    done = (await routed_jobs(run))["e0"]
    assert done.status is JobStatus.DONE
    assert done.routed == job.routed
    assert done.turns[0].draw.reply == "It vanished after this."


async def test_while_an_endpoint_is_paused_its_jobs_go_to_the_next(bench: Bench, fake: FakeEndpoint) -> None:
    await prepare(bench, fake)
    fake.always = "402"
    run = (await enqueued(bench)).run
    await worked(bench, run)
    jobs = await routed_jobs(run)
    assert {job.status for job in jobs.values()} == {JobStatus.DONE}
    assert {job.model for job in jobs.values()} == {LOCAL}
    for name in ("h0", "h1"):
        routed = jobs[name].routed
        assert routed is not None
        assert [step.model for step in routed.steps] == [CLOUD, LOCAL]
        assert routed.steps[1].reason.startswith("cloud gave none: fake is paused: HTTP 402")
        assert routed.left == []
    assert {step.model for name in ("e0", "e1") for step in jobs[name].routed.steps} == {LOCAL}  # type: ignore[union-attr]
    shares = {each.model: each for each in (await collect(run.id, bench.database)).routes}
    assert (shares[CLOUD].handed_on, shares[CLOUD].turns, shares[LOCAL].taken_over) == (2, 0, 2)


async def test_a_run_that_does_not_work_keeps_its_jobs_where_they_are(bench: Bench, fake: FakeEndpoint) -> None:
    """Until it is resumed its endpoint may answer again."""
    await prepare(bench, fake)
    run = (await enqueued(bench)).run
    await pause_endpoint("fake", "HTTP 402", "w", 60, bench.database)
    paused = await pause(run, bench.database)
    assert await leave_paused_endpoints(bench.database) == 0
    await resume(paused, bench.database)
    assert await leave_paused_endpoints(bench.database) == 2
    assert await leave_paused_endpoints(bench.database) == 0


async def test_the_whole_conversation_goes_along(bench: Bench, fake: FakeEndpoint) -> None:
    """The cloud answers the first turn and refuses the second: the local model reads what the cloud had said."""
    await prepare(bench, fake, each=1)
    fake.faults = deque(["fine", "402"])
    fake.always = "402"
    run = (await enqueued(bench, only=("hard",))).run
    await worked(bench, run)
    job = (await routed_jobs(run))["h0"]
    assert job.status is JobStatus.DONE, job.reason
    first, second = job.turns
    assert first.draw.reply == "Reply to: h0, turn 0"
    assert second.draw.reply.startswith("Local read:")
    assert second.prompt_tokens > len("h0, turn 0Reply to: h0, turn 0h0, turn 1"), "bytes are tokens there"
    assert job.routed is not None
    assert [job.routed.who(turn.index) for turn in job.turns] == [CLOUD, LOCAL]
    assert job.routed.steps[1].turn == 1
    expenses = await Expense.find({"run": run.id}).to_list()
    assert [(each.asked_as, each.settled) for each in expenses] == [(CHAT, True)]


async def test_where_the_tries_end_the_next_is_asked(bench: Bench, fake: FakeEndpoint) -> None:
    await prepare(bench, fake, each=1)
    fake.always = "500"
    run = (await enqueued(bench, only=("hard",), max_tries=1)).run
    await worked(bench, run)
    job = (await routed_jobs(run))["h0"]
    assert job.status is JobStatus.DONE, job.reason
    assert (job.model, job.tries) == (LOCAL, 0)
    assert job.routed is not None
    assert "HTTP 500" in job.routed.steps[1].reason
    assert AttemptEnd.ERROR in {attempt.end for attempt in job.attempts}


async def test_a_budget_holds_for_a_policy(bench: Bench, fake: FakeEndpoint) -> None:
    """What is sent for it counts; it does not turn to another model because of the money."""
    await prepare(bench, fake, each=4, turns=1)
    run = (await enqueued(bench, budget=0.1)).run
    await worked(bench, run)
    now = await Run.get(run.id)
    assert now is not None
    assert now.status is RunStatus.STOPPED
    assert "the budget of $0.10 is used up" in (now.status_reason or "")
    spent = (await spending([run.id], bench.database)).get(run.id, [])
    assert sum(each.usd or 0 for each in spent) <= 0.1
    jobs = await routed_jobs(run)
    assert {jobs[f"e{n}"].status for n in range(4)} == {JobStatus.DONE}
    assert not any(job.routed.fell_back for job in jobs.values() if job.routed)


async def test_local_only_leaves_out_what_is_at_endpoints(bench: Bench, fake: FakeEndpoint) -> None:
    await prepare(bench, fake)
    run = (await enqueued(bench, local_only=True)).run
    jobs = await routed_jobs(run)
    assert {job.model for job in jobs.values()} == {LOCAL}
    assert run.candidates == (LOCAL,)
    assert "cloud may not be asked" in jobs["h0"].routed.steps[0].reason  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("models", "options", "error", "says"),
    [
        (("router:chta",), {}, UnknownNameError, "router:chat"),  # the nearest name
        (("alias:chat",), {}, UnknownNameError, "There is no policy 'alias:chat'"),
        (("router:chat@9",), {}, UnknownNameError, "There is no policy 'router:chat@9'"),
        (("router:lost",), {}, UnknownNameError, "There is no model 'gone' in router:lost@1"),
        (("router:away",), {"local_only": True}, UsageError, "leaves nobody who answers for router:away@1"),
        (("router:idle",), {}, UsageError, "router:idle is not active"),
        ((CLOUD,), {"local_only": True}, UsageError, "cloud would be asked there"),
        ((CHAT,), {"set_model_parameters": {CHAT: {"temperature": 0.5}}}, UsageError, "Set it for those that answer"),
        ((CHAT,), {"set_model_parameters": {"nobody": {"temperature": 0.5}}}, UnknownNameError, "nobody"),
        ((CHAT,), {"set_parameters": {"grammar": "root ::= 'a'"}}, UsageError, "cloud"),  # what a candidate cannot do
    ],
)
async def test_what_cannot_be_is_refused_before_anything_is_written(
    bench: Bench,
    fake: FakeEndpoint,
    models: tuple[str, ...],
    options: dict[str, Any],
    error: type[Exception],
    says: str,
) -> None:
    await prepare(bench, fake)
    for name, candidates, active in (
        ("lost", [LOCAL, "gone"], True),
        ("away", [CLOUD], True),
        ("idle", [LOCAL], False),
    ):
        fields = {"kind": PolicyKind.ROUTER, "default": candidates[0], "candidates": candidates}
        policy = RoutingPolicy(id="", name=name, version=0, created_at=datetime.now(UTC), **fields)
        stored = await store_policy(policy, bench.database)
        if active:
            await activate_policy(stored, bench.database)
    with pytest.raises(error, match=says):
        await plan_run(make_request(suite="tales", models=models, **options), bench.database)


async def test_a_version_may_be_evaluated_before_it_is_active(bench: Bench, fake: FakeEndpoint) -> None:
    await prepare(bench, fake)
    await store_chat(bench, active=False, rules=[], default=LOCAL)
    run = (await enqueued(bench, CHAT, "router:chat@2")).run
    jobs = await Job.find({"run": run.id}).to_list()
    assert {job.contestant for job in jobs} == {CHAT, "router:chat@2"}
    assert {job.model for job in jobs if job.contestant == "router:chat@2"} == {LOCAL}


async def test_the_same_run_has_the_same_version(bench: Bench, fake: FakeEndpoint) -> None:
    await prepare(bench, fake)
    await enqueued(bench)
    assert not (await enqueued(bench)).created
    await store_chat(bench, default=LOCAL)
    with pytest.raises(RunConflictError, match="router:chat is router:chat@2 of local, cloud, was router:chat@1"):
        await enqueued(bench)


async def test_what_failed_with_all_begins_again_with_the_first(bench: Bench, fake: FakeEndpoint) -> None:
    await prepare(bench, fake, each=1)
    run = (await enqueued(bench, only=("hard",))).run
    for model in (CLOUD, LOCAL):
        await give_up_model(run, model, "nobody serves it", bench.database)
    job = (await routed_jobs(run))["h0"]
    assert (job.status, job.model) == (JobStatus.DEAD, LOCAL)
    await retry(run, bench.database)
    again = (await routed_jobs(run))["h0"]
    assert (again.status, again.model) == (JobStatus.PENDING, CLOUD)
    assert again.fence > job.fence
    assert again.routed is not None
    assert [step.model for step in again.routed.steps] == [CLOUD, LOCAL, CLOUD]
    assert again.routed.left == [LOCAL]
