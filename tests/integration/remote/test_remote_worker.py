"""A worker of a model at an endpoint: a run on a server that does wrong, from enqueueing to the ledger."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from itertools import pairwise
from typing import Any

import pytest

from nightjar.config.errors import ModelError
from nightjar.jobs.documents import Job, Run
from nightjar.jobs.money.spending import EndpointPause, Expense, spending
from nightjar.jobs.published import publish_model
from nightjar.jobs.records import TurnRecord
from nightjar.jobs.sequences import Sequence
from nightjar.jobs.states import JobKind, JobStatus, RunStatus
from nightjar.pipeline.runs.producer import enqueue
from nightjar.pipeline.runs.request import make_request
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.importer import import_suite
from nightjar.workers.library.find import find_model
from nightjar.workers.library.inspect import entry_facts
from nightjar.workers.remote.serve import serve_remote
from tests.fake_endpoint import KEY, FakeEndpoint
from tests.integration.remote.conftest import PRICE, register, serve_cloud
from tests.workbench import Bench, until

SCHEMA = {"type": "object", "properties": {"animal": {"type": "string"}}, "required": ["animal"]}


async def begin(bench: Bench, *, sequences: int = 2, turns: int = 2, parameters: Any = None, **options: Any) -> Run:
    contents = tuple(
        Sequence.model_validate(
            {
                "id": f"s{n}",
                "turns": [{"prompt": f"sequence {n}, turn {t}: of an owl"} for t in range(turns)],
                "parameters": {"max_tokens": 20, **(parameters or {})},
            }
        )
        for n in range(sequences)
    )
    await import_suite(SuiteContent(name="tales", sequences=contents), bench.database)
    await publish_model(bench.database, entry_facts(find_model("cloud", bench.settings)), by="test")
    request = make_request(suite="tales", models=("cloud",), max_tries=3, **{"name": "r", **options})
    return (await enqueue(request, bench.database)).run


async def work(bench: Bench, *, burst: bool = True) -> int:
    """The same beside a dispatcher."""
    async with bench.dispatching():
        return await serve_cloud(bench, burst=burst)


async def replies(run: Run) -> list[Job]:
    return await Job.find({"run": run.id, "kind": JobKind.REPLY}).sort("+order").to_list()


async def turns(run: Run) -> list[TurnRecord]:
    return [turn for job in await replies(run) for turn in job.turns]


async def test_a_run_is_answered_paid_for_and_its_conversations_are_kept(bench: Bench, fake: FakeEndpoint) -> None:
    register(bench, fake)
    run = await begin(bench)
    assert await work(bench) == 0
    done = await turns(run)
    assert [turn.draw.reply for turn in done] == [f"Reply to: {turn.prompt}" for turn in done]
    second = next(body for body in fake.bodies if len(body["messages"]) == 3)
    assert second["messages"][1] == {"role": "assistant", "content": "Reply to: sequence 0, turn 0: of an owl"} or (
        "sequence 1" in second["messages"][1]["content"]
    )
    assert all(turn.draw.timings.first_token_s is not None for turn in done)
    expenses = await Expense.find({"run": run.id}).to_list()
    assert len(expenses) == len(done) == 4
    assert all(expense.settled and not expense.lost for expense in expenses)
    [spent] = (await spending([run.id], bench.database))[run.id]
    assert spent.usd == pytest.approx(sum(turn.draw.remote.usd or 0 for turn in done if turn.draw.remote))
    assert spent.prompt_tokens == sum(use["prompt_tokens"] for use in fake.paid)
    assert spent.reply_tokens == sum(use["completion_tokens"] for use in fake.paid)
    assert spent.estimated == spent.unpriced == spent.open == 0


@pytest.mark.parametrize(
    ("faults", "tries", "estimated"),
    [
        (["429 retry after", "503 retry after"], 0, 0),  # the endpoint said when: no try counted, nothing paid
        (["429"], 0, 0),  # sent again in the same attempt
        (["500", "500", "503"], 1, 0),  # more often than one attempt tries
        (["cut"], 0, 1),  # what it wrote may have to be paid for, and is counted
        (["half event", "error in the middle"], 1, 2),
        (["silence"], 0, 1),
        (["no use"], 0, 1),
        (["NaN use"], 0, 1),
        (["other model"], 0, 0),
    ],
)
async def test_a_run_ends_well_whatever_happens_on_the_way(
    bench: Bench, fake: FakeEndpoint, faults: list[str], tries: int, estimated: int
) -> None:
    register(bench, fake)
    fake.faults = deque(faults)
    run = await begin(bench, sequences=1)
    assert await work(bench) == 0
    [job] = await replies(run)
    assert job.status is JobStatus.DONE, job.reason
    assert job.tries == tries
    [spent] = (await spending([run.id], bench.database))[run.id]
    assert spent.estimated == estimated
    assert spent.open == 0
    assert spent.requests >= len(fake.paid), "whatever was begun is counted"
    mine = {turn.draw.remote.expense: turn.draw.remote.use for turn in job.turns if turn.draw.remote}
    for expense in await Expense.find({"_id": {"$in": list(mine)}}).to_list():
        assert expense.use == mine[expense.id]


@pytest.mark.parametrize("fault", ["401", "402", "404", "redirect"])
async def test_an_endpoint_that_refuses_is_paused_with_one_notice(bench: Bench, fake: FakeEndpoint, fault: str) -> None:
    register(bench, fake)
    fake.always = fault
    run = await begin(bench, sequences=6)
    assert await work(bench) == 3, "a burst has nobody to act"
    jobs = await replies(run)
    assert {job.status for job in jobs} == {JobStatus.PENDING}
    assert {job.tries for job in jobs} == {0}
    assert len(fake.bodies) <= 8, "no more than were under way at once"
    [pause] = await EndpointPause.find_all().to_list()
    assert pause.id == "fake"
    stored = json.dumps([job.model_dump(mode="json") for job in jobs]) + pause.reason
    assert KEY not in stored


async def test_a_pause_ends_where_somebody_says_so(bench: Bench, fake: FakeEndpoint) -> None:
    from nightjar.jobs.money.spending import resume_endpoint

    register(bench, fake)
    fake.always = "402"
    run = await begin(bench, sequences=2)
    working = asyncio.create_task(work(bench, burst=False))
    await until(lambda: EndpointPause.find_all().count(), within_s=60)
    fake.always = None
    await resume_endpoint("fake", bench.database)

    async def is_done() -> bool:
        return {job.status for job in await replies(run)} == {JobStatus.DONE}

    await until(is_done, within_s=60)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)


@pytest.mark.parametrize(
    ("fault", "says"),
    [("400", "Unsupported value"), ("too long", "maximum context length"), ("10 MB", "larger than")],
)
async def test_what_can_never_succeed_ends_its_job_alone(
    bench: Bench, fake: FakeEndpoint, fault: str, says: str
) -> None:
    register(bench, fake)
    fake.faults.append(fault)
    run = await begin(bench, sequences=2, turns=1)
    await work(bench)
    statuses = {job.status for job in await replies(run)}
    assert statuses == {JobStatus.DONE, JobStatus.DEAD}
    [dead] = [job for job in await replies(run) if job.status is JobStatus.DEAD]
    assert says in (dead.reason or "")


async def test_a_turn_is_counted_again_where_its_prompt_was_shortened(bench: Bench, fake: FakeEndpoint) -> None:
    """The server found it too long when it had begun to answer, and was asked again without the second turn."""
    register(bench, fake)
    fake.faults = deque(["fine", "fine", "too long in the middle"])
    run = await begin(bench, sequences=1, turns=3, parameters={"policy": "trim"})
    await work(bench)
    [job] = await replies(run)
    assert job.status is JobStatus.DONE, job.reason
    assert job.turns[2].dropped_turns == (1,)
    entries = {expense.id: expense for expense in await Expense.find({"run": run.id}).to_list()}
    assert len(entries) == len(fake.paid) == 4
    assert [entries[turn.draw.remote.expense].use for turn in job.turns if turn.draw.remote] == [
        turn.draw.remote.use for turn in job.turns if turn.draw.remote
    ]


async def test_a_server_that_only_keeps_alive_is_left_at_the_time_limit(bench: Bench, fake: FakeEndpoint) -> None:
    register(bench, fake)
    fake.faults.append("keep-alives")
    run = await begin(bench, sequences=1, turns=1, parameters={"time_limit_s": 1.5})
    await work(bench)
    [turn] = await turns(run)
    assert turn.draw.finish_reason == "timeout"
    [spent] = (await spending([run.id], bench.database))[run.id]
    assert (spent.requests, spent.estimated, spent.open) == (1, 1, 0)


async def test_an_endpoint_that_stays_away_is_paused(
    bench: Bench, fake: FakeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has a few rests first; then a burst, which has nobody to act, ends, and its jobs have not died of it."""
    monkeypatch.setattr("nightjar.workers.remote.caller.REST_S", 0.1)
    register(bench, fake)
    fake.always = "500"
    run = await begin(bench, sequences=6)
    assert await work(bench) == 3
    [pause] = await EndpointPause.find_all().to_list()
    assert "times in a row" in pause.reason
    assert JobStatus.DEAD not in {job.status for job in await replies(run)}


async def test_a_budget_of_an_endpoint_needs_a_price(bench: Bench, fake: FakeEndpoint) -> None:
    register(bench, fake, price=None, endpoint={"budget": 5.0})
    with pytest.raises(ModelError, match="nobody knows the price of 'cloud'"):
        serve_remote(find_model("cloud", bench.settings), "w", bench.settings, bench.database, bench.services.redis)


async def test_without_a_price_nothing_is_sent_on_a_budget(bench: Bench, fake: FakeEndpoint) -> None:
    """Enqueueing refuses that; a judge of the same kind may be named later."""
    register(bench, fake, price=None)
    run = await begin(bench, sequences=1, turns=1)
    await bench.database.runs.update_one({"_id": run.id}, {"$set": {"budget": 1.0}})
    await work(bench)
    [job] = await replies(run)
    assert job.status is JobStatus.DEAD
    assert "Nobody knows the price of cloud" in (job.reason or "")
    assert fake.bodies == []


async def test_a_filter_and_a_wrong_structure_are_the_models_failures(bench: Bench, fake: FakeEndpoint) -> None:
    register(bench, fake)
    answers = deque(['{"animal": "owl"}', '{"beast": 1}', "an owl", ""])
    fake.reply = lambda body: answers.popleft()
    fake.faults = deque(["fine", "fine", "fine", "content filter"])
    run = await begin(bench, sequences=1, turns=4, parameters={"json_schema": SCHEMA})
    await work(bench)
    draws = [turn.draw for turn in await turns(run)]
    assert [draw.degenerate for draw in draws] == [
        None,
        "not what its schema asks for: 'animal' is a required property",
        "not what its schema asks for: it is no JSON",
        None,
    ]
    assert draws[3].empty == "withheld by the endpoint's content filter"
    assert fake.bodies[0]["response_format"]["json_schema"]["schema"] == SCHEMA


async def test_a_price_that_nobody_knows_is_unknown(bench: Bench, fake: FakeEndpoint) -> None:
    register(bench, fake, price=None)
    run = await begin(bench, sequences=1, turns=1)
    await work(bench)
    [spent] = (await spending([run.id], bench.database))[run.id]
    assert (spent.usd, spent.unpriced) == (None, 1)


async def test_the_price_is_frozen_in_the_run(bench: Bench, fake: FakeEndpoint) -> None:
    register(bench, fake)
    run = await begin(bench, sequences=2, turns=1)
    fake.always = "402"
    await work(bench)
    fake.always = None
    register(bench, fake, price={"input": 9.0, "output": 9.0})
    await bench.database.raw["endpoint_pauses"].delete_many({})
    await work(bench)
    assert {expense.price.input for expense in await Expense.find({"run": run.id}).to_list() if expense.price} == {
        PRICE["input"]
    }


@pytest.mark.parametrize("slots", [1, 4])
async def test_nothing_is_sent_beyond_the_budget(bench: Bench, fake: FakeEndpoint, slots: int) -> None:
    """Each request may cost 0.14 dollars and costs about 0.03: the run stops before its budget could be passed.

    What is under way at the same time has only reserved its money: it delays the others and does not stop the run.
    """
    register(bench, fake, load={"slots": slots})
    run = await begin(bench, sequences=6, turns=1, budget=0.2)
    async with bench.dispatching():
        assert await serve_cloud(bench) == 0

        async def stopped() -> bool:
            now = await Run.get(run.id)
            return now is not None and now.status is RunStatus.STOPPED

        await until(stopped, within_s=60)
    now = await Run.get(run.id)
    assert now is not None
    assert "the budget of $0.20 is used up" in (now.status_reason or "")
    [spent] = (await spending([run.id], bench.database))[run.id]
    assert spent.usd is not None
    assert 0 < spent.usd <= 0.2
    done = [job for job in await replies(run) if job.status is JobStatus.DONE]
    assert 2 <= len(done) < 6


async def test_rates_are_shared_and_kept(bench: Bench, fake: FakeEndpoint) -> None:
    """Of sixty a minute six may come at once; what comes after waits a second each."""
    register(bench, fake, endpoint={"limits": {"rpm": 60}})
    run = await begin(bench, sequences=8, turns=1)
    began = asyncio.get_running_loop().time()
    await work(bench)
    assert {job.status for job in await replies(run)} == {JobStatus.DONE}
    assert asyncio.get_running_loop().time() - began > 1.5


async def test_tokens_a_minute_are_kept_by_a_worker(bench: Bench, fake: FakeEndpoint) -> None:
    """Of 1,200 a minute 120 may come at once, which four of these requests take or less; the others wait for theirs."""
    register(bench, fake, endpoint={"limits": {"tpm": 1_200}})
    run = await begin(bench, sequences=7, turns=1)
    sent: list[float] = []
    clock = asyncio.get_running_loop().time

    def reply(body: dict[str, Any]) -> str:
        sent.append(clock())
        return "An owl."

    fake.reply = reply
    await work(bench)
    assert {job.status for job in await replies(run)} == {JobStatus.DONE}
    assert {job.tries for job in await replies(run)} == {0}
    gaps = [later - before for before, later in pairwise(sent)]
    assert gaps[0] < 0.8, gaps
    assert sum(gaps) > 2, gaps


async def test_an_endpoint_that_is_asked_too_much_is_asked_less_at_once(bench: Bench, fake: FakeEndpoint) -> None:
    """Four places; each refusal halves what is under way at once, and no request is lost of it."""
    register(bench, fake, endpoint={"limits": {"concurrency": 4}})
    fake.pause_s = 0.02
    run = await begin(bench, sequences=8, turns=1)
    await work(bench)
    assert fake.most_under_way == 4
    fake.most_under_way = 0
    fake.faults = deque(["429 retry after"] * 8)
    again = await begin(bench, sequences=8, turns=1, name="again")
    assert again.id != run.id
    await work(bench)
    assert not fake.faults
    assert fake.most_under_way < 4, "one place is left after so many refusals, and eight answers bring two back"
    assert {job.status for job in await replies(again)} == {JobStatus.DONE}
