"""The ledger of endpoints: whatever crashes in whatever order, every request that was sent is counted once."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
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


def expense(job: str, fence: int, turn: int, run: str = "r", *, number: int = 1) -> Expense:
    return Expense(
        id=f"{job}.{fence}.{turn}.0.{number}",
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


FATES = {
    "answered": "its reply is committed",
    "refused": "the server takes nothing for it, and it is sent again",
    "cut": "what it wrote so far is settled, and it is sent again",
    "lost reply": "settled, but its worker died before the reply was committed",
    "lost request": "its worker died while it was under way",
    "late": "others counted it as lost before its worker, which lives, says what it took",
}
"""What becomes of a request, once it is over."""
COST = PRICE.cost(MOST)
STEPS = st.lists(st.tuples(st.integers(0, 1), st.sampled_from(["begin", *FATES])), min_size=4, max_size=24)
SHARES = st.one_of(st.none(), st.floats(0.8, 9.0))
"""A budget, in requests as they are reserved; none of some runs."""


@dataclass
class LedgerWorker:
    """One of two workers with a job each; at most one request of each is under way."""

    job: str
    run: str
    database: Database
    fence: int = 0
    turn: int = 0
    number: int = 0
    under_way: Expense | None = None
    committed: list[tuple[str, TokenUse]] = field(default_factory=list)
    sent: set[str] = field(default_factory=set)
    given_up: set[str] = field(default_factory=set)
    refusals: list[BudgetSpentError] = field(default_factory=list)

    async def claim(self) -> None:
        self.fence += 1
        change = {"status": JobStatus.RUNNING, "fence": self.fence}
        await self.database.jobs.update_one({"_id": self.job}, {"$set": change}, upsert=True)

    async def begin(self, budgets: Budgets) -> None:
        """Reserves the next request, where the budgets allow it."""
        if self.under_way is not None:
            return
        self.number += 1
        mine = expense(self.job, self.fence, self.turn, self.run, number=self.number)
        try:
            await reserve(mine, budgets, self.database)
        except BudgetSpentError as refusal:
            self.refusals.append(refusal)
            assert await Expense.get(mine.id) is None, "what is refused leaves nothing"
            return
        self.under_way = mine
        self.sent.add(mine.id)

    async def end(self, fate: str) -> None:
        """The request under way ends so; a worker that dies has a successor under the next fence."""
        mine, self.under_way = self.under_way, None
        if mine is None:
            return
        if fate == "refused":
            self.sent.remove(mine.id)
            await give_back_reservation(mine.id, self.database)
        elif fate == "cut":
            await settle_expense(mine, USED.model_copy(update={"reply": 7, "estimated": True}), self.database)
        elif fate == "answered":
            await settle_expense(mine, USED, self.database)
            await settle_expense(mine, USED.model_copy(update={"reply": 99}), self.database)  # said again
            self.committed.append((mine.id, USED))
            self.turn += 1
        else:
            if fate == "lost reply":
                await settle_expense(mine, USED, self.database)
            if fate == "lost request":
                self.given_up.add(mine.id)
            await self.database.jobs.update_one({"_id": self.job}, {"$set": {"status": JobStatus.PENDING}})
            if fate == "late":
                await settle_lost(self.database, after_s=0)
                await settle_expense(mine, USED, self.database)
            await self.claim()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, of_run=SHARES, of_month=SHARES)
@example(steps=[(n % 2, fate) for n in range(6) for fate in ("begin", "answered")], of_run=2.0, of_month=None)
@example(steps=[(n % 2, fate) for n in range(6) for fate in ("begin", "lost request")], of_run=None, of_month=3.5)
@example(steps=[(0, "begin"), (1, "begin"), (0, "late"), (0, "begin"), (1, "cut")], of_run=1.5, of_month=1.5)
async def test_settled_use_is_that_of_the_turns_and_of_what_was_lost(
    database: Database, steps: list[tuple[int, str]], of_run: float | None, of_month: float | None
) -> None:
    """Two workers of a run in any order, budgets reached in the middle or not: never more than they allow is reserved."""
    number = uuid.uuid4()  # hypothesis tries the same steps again, and an endpoint's month is not over
    await Expense.find_all().delete()
    workers = [LedgerWorker(job=f"job-{n}-{number}", run=f"run-{number}", database=database) for n in range(2)]
    run = workers[0].run
    budgets = Budgets(
        run=None if of_run is None else of_run * COST, endpoint_month=None if of_month is None else of_month * COST
    )
    last_month = expense("old", 1, 0, "another").model_copy(update={"at": datetime.now(UTC) - timedelta(days=32)})
    await reserve(last_month, Budgets(), database)
    await settle_expense(last_month, MOST, database)
    elsewhere = expense("other", 1, 0, "another")  # of the month's budget, not of the run's
    await reserve(elsewhere, Budgets(), database)
    await settle_expense(elsewhere, USED, database)
    of_others = PRICE.cost(USED)
    least = min((each for each in (of_run, of_month) if each is not None), default=None)
    for worker in workers:
        await worker.claim()
    for which, step in steps:
        worker = workers[which]
        await (worker.begin(budgets) if step == "begin" else worker.end(step))
        [now] = (await spending([run], database)).get(run, [None])
        total = 0.0 if now is None or now.usd is None else now.usd
        assert budgets.run is None or total <= budgets.run + 1e-12
        assert budgets.endpoint_month is None or total == 0 or total + of_others <= budgets.endpoint_month + 1e-12
    assert least is not None or not any(worker.refusals for worker in workers)
    for worker in workers:  # they end; what they had under way nobody knows of
        if worker.under_way is not None:
            worker.given_up.add(worker.under_way.id)
        await database.jobs.update_one({"_id": worker.job}, {"$set": {"status": JobStatus.DONE}})
    await settle_lost(database, after_s=0)
    entries = {each.id: each for each in await Expense.find({"run": run}).to_list()}
    committed = dict(turn for worker in workers for turn in worker.committed)
    assert all(each.settled and each.usd and each.usd > 0 for each in entries.values())
    assert entries.keys() == set().union(*(worker.sent for worker in workers)), "each request once"
    assert {name: entries[name].use for name in committed} == committed
    lost = {name for name, each in entries.items() if each.lost}
    assert lost == set().union(*(worker.given_up for worker in workers))
    assert all(entries[name].use == MOST for name in lost), "all that was reserved"
    others = sum(each.usd or 0 for name, each in entries.items() if name not in committed)
    [total_of_run] = (await spending([run], database)).get(run, [None])
    usd = 0.0 if total_of_run is None else total_of_run.usd
    assert usd == pytest.approx(sum(PRICE.cost(use) for use in committed.values()) + others)


async def test_two_that_reserve_at_once_never_pass_a_budget_together(database: Database) -> None:
    """Whatever order they are written and added up in; one that is refused may come again."""
    budgets = Budgets(run=1.5 * COST, endpoint_month=100 * COST)
    for turn in range(10):
        run = f"at-once-{turn}"
        both = (reserve(expense(f"{job}-{turn}", 1, 0, run), budgets, database) for job in "ab")
        done = await asyncio.gather(*both, return_exceptions=True)
        refusals = [each for each in done if each is not None]
        assert refusals
        assert all(isinstance(each, BudgetSpentError) and each.may_pass for each in refusals)
        assert await Expense.find({"run": run}).count() == 2 - len(refusals)


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
