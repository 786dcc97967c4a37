"""The ledger of endpoints: whatever crashes in whatever order, every request that was sent is counted once."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nightjar.config.embedded import ServiceUrls
from nightjar.jobs.database import connect
from nightjar.jobs.money.spending import (
    Budgets,
    BudgetSpentError,
    Expense,
    give_back_reservation,
    reserve,
    settle_expense,
    settle_lost,
    spending,
)
from nightjar.jobs.mongo import Database
from nightjar.jobs.remote_models import Price, TokenUse
from nightjar.jobs.states import JobKind, JobStatus

PRICE = Price(input=1.0, output=2.0)
MOST = TokenUse(prompt=200, reply=100, estimated=True)
USED = TokenUse(prompt=120, reply=40)


def expense(job: str, fence: int, turn: int, run: str = "r") -> Expense:
    return Expense(
        id=f"{job}.{fence}.{turn}.0.1",
        run=run,
        job=job,
        fence=fence,
        kind=JobKind.REPLY,
        model="cloud",
        endpoint="fake",
        price=PRICE,
        reserved_usd=PRICE.cost(MOST),
        reserved=MOST,
        at=datetime.now(UTC),
    )


DEATHS = ("before it is sent", "before it is settled", "before it is committed", "late, after others counted it")
STEPS = st.lists(st.sampled_from((*DEATHS, "none", "refused")), min_size=1, max_size=8)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_settled_use_is_that_of_the_turns_and_of_what_was_lost(database: Database, steps: list[str]) -> None:
    """A turn a step: its worker dies so, and another goes on under the next fence until the turn is committed."""
    number = uuid.uuid4()  # hypothesis tries the same steps again
    run, job = f"run-{number}", f"job-{number}"
    turns: list[tuple[str, TokenUse]] = []
    fence, sent = 0, 0
    await database.jobs.insert_one({"_id": job, "status": JobStatus.RUNNING, "fence": 0})
    for turn, death in enumerate(steps):
        for how in (death, "none"):
            fence += 1
            await database.jobs.update_one({"_id": job}, {"$set": {"fence": fence, "status": JobStatus.RUNNING}})
            mine = expense(job, fence, turn, run)
            await reserve(mine, Budgets(), database)
            if how == "refused":
                await give_back_reservation(mine.id, database)
                continue
            sent += 1
            if how in ("before it is sent", "before it is settled"):
                continue
            if how.startswith("late"):
                await database.jobs.update_one({"_id": job}, {"$set": {"status": JobStatus.PENDING}})
                await settle_lost(database, after_s=0)
            await settle_expense(mine, USED, database)
            await settle_expense(mine, USED.model_copy(update={"reply": 99}), database)  # a lost answer, said again
            if how == "none":
                turns.append((mine.id, USED))
                break
    await database.jobs.update_one({"_id": job}, {"$set": {"status": JobStatus.DONE}})
    await settle_lost(database, after_s=0)
    entries = {each.id: each for each in await Expense.find({"run": run}).to_list()}
    assert all(each.settled for each in entries.values())
    assert len(entries) == sent
    assert [entries[name].use for name, _ in turns] == [use for _, use in turns]
    committed = sum(PRICE.cost(use) for _, use in turns)
    others = [each for name, each in entries.items() if name not in dict(turns)]
    [total] = (await spending([run], database))[run]
    assert total.usd == pytest.approx(committed + sum(each.usd or 0 for each in others))
    assert all(each.usd and each.usd > 0 for each in entries.values())


async def test_a_running_job_keeps_its_reservation_and_a_lost_one_is_counted_whole(database: Database) -> None:
    await database.jobs.insert_many(
        [{"_id": "runs", "status": "RUNNING", "fence": 1}, {"_id": "gone", "status": "PENDING", "fence": 2}]
    )
    for job in ("runs", "gone"):
        await reserve(expense(job, 1, 0), Budgets(), database)
    assert await settle_lost(database, after_s=0) == 1
    [total] = (await spending(["r"], database))["r"]
    assert (total.requests, total.open, total.estimated) == (2, 1, 1)
    assert total.usd == pytest.approx(2 * PRICE.cost(MOST))


async def test_what_would_pass_the_budget_leaves_nothing(database: Database) -> None:
    cost = PRICE.cost(MOST)
    await reserve(expense("a", 1, 0), Budgets(run=2 * cost), database)
    await reserve(expense("b", 1, 0), Budgets(run=2 * cost), database)
    with pytest.raises(BudgetSpentError, match="used up") as refusal:
        await reserve(expense("c", 1, 0), Budgets(run=2 * cost), database)
    assert refusal.value.whose == "run"
    assert await Expense.find_all().count() == 2
    await settle_expense(expense("a", 1, 0), USED, database)  # less than was reserved, so that there is room again
    await reserve(expense("d", 1, 0), Budgets(run=2.8 * cost), database)
    with pytest.raises(BudgetSpentError, match="this month"):
        await reserve(expense("e", 1, 0), Budgets(endpoint_month=cost), database)


async def test_what_was_held_for_lost_and_was_refused_costs_nothing(database: Database) -> None:
    mine = expense("late", 1, 0)
    await reserve(mine, Budgets(), database)
    assert await settle_lost(database, after_s=0) == 1
    await give_back_reservation(mine.id, database)
    assert await Expense.get(mine.id) is None
    await reserve(mine, Budgets(), database)
    await settle_expense(mine, USED, database)
    await give_back_reservation(mine.id, database)
    assert await Expense.get(mine.id) is not None, "what was paid for stays"


@pytest.mark.parametrize(
    ("settled", "may_pass"),
    [
        (False, True),  # it may cost less than it reserved
        (True, False),  # it is spent
    ],
)
async def test_only_what_is_spent_uses_a_budget_up(database: Database, settled: bool, may_pass: bool) -> None:
    cost = PRICE.cost(MOST)
    await reserve(expense("a", 1, 0), Budgets(), database)
    if settled:
        await settle_expense(expense("a", 1, 0), MOST, database)
    with pytest.raises(BudgetSpentError) as refusal:
        await reserve(expense("b", 1, 0), Budgets(run=1.5 * cost), database)
    assert refusal.value.may_pass is may_pass
    assert await Expense.find_all().count() == 1


async def test_what_the_page_adds_up_is_found_by_its_time(database: Database, services: ServiceUrls) -> None:
    """A database of before the index has it when it is opened; what is open keeps an index of its own."""
    await database.raw["expenses"].drop_index("time")
    async with await connect(services.mongo, database.raw.name):
        pass
    steps = [{"$match": {"at": {"$gte": datetime.now(UTC)}}}, {"$group": {"_id": "$endpoint"}}]
    asked = {"aggregate": "expenses", "pipeline": steps, "cursor": {}}
    plan = str(await database.raw.command({"explain": asked, "verbosity": "queryPlanner"}))
    assert "'indexName': 'time'" in plan, plan
    lost = {"settled": False, "at": {"$lt": datetime.now(UTC)}}
    plan = str((await database.raw["expenses"].find(lost).explain())["queryPlanner"])
    assert "'indexName': 'open'" in plan, plan
