"""Runs end side by side: neither a slow hook, nor a slow scorer, nor one that never comes back holds up another run."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nightjar.config.embedded import ServiceUrls
from nightjar.config.night_settings import NightSettings
from nightjar.config.settings import Settings, load_settings
from nightjar.jobs.documents import Run
from nightjar.jobs.ending import Ending, Hook, HookKind
from nightjar.jobs.mongo import Database
from nightjar.jobs.nights.documents import Delivery, DeliveryState
from nightjar.jobs.patience import patiently
from nightjar.jobs.states import JobStatus, RunStatus
from nightjar.pipeline.scoring.installed import installed_scorers
from tests.documents import a_turn
from tests.receivers import WebReceiver
from tests.workbench import make_run, opened_bench, until

LIMIT_S = 120
"""Of waiting for what takes a second or two; a busy machine is no fault."""
SCORERS = """
import ctypes, pathlib, re, time
from nightjar.scorers import Direction, FunctionScorer, Scale, Score

RELEASE = pathlib.Path({release!r})


def tone(context):
    if "slow" in context.reply:
        while not RELEASE.exists():
            time.sleep(0.05)
    if "hang" in context.reply:
        re.match("(a+)+$", "a" * 60 + "b")
    if "crash" in context.reply:
        ctypes.string_at(0)
    print("a scorer may print")
    return Score(value=len(context.reply))


tone = FunctionScorer(name="tone", scale=Scale(worst=None, best=None, direction=Direction.NONE), function=tone)
"""


@pytest.fixture
def limit_s() -> str:
    return "3"


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit_s: str) -> Iterator[Path]:
    """A file: once it is there, slow things go on. A scorer of the user's is installed that waits for it."""
    file = tmp_path / "release"
    (tmp_path / "side_scorers.py").write_text(SCORERS.format(release=str(file)))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("NIGHTJAR_SCORERS", "side_scorers:tone")
    monkeypatch.setenv("NIGHTJAR_SCORING_TIMEOUT_S", limit_s)
    for cached in (load_settings, installed_scorers):
        cached.cache_clear()
    yield file
    file.touch()
    sys.modules.pop("side_scorers", None)
    for cached in (load_settings, installed_scorers):
        cached.cache_clear()


@asynccontextmanager
async def dispatching(
    database: Database, services: ServiceUrls, settings: Settings, release: Path
) -> AsyncIterator[None]:
    """A dispatcher at work; slow things go on at the end, so that it can end, too."""
    async with opened_bench(database, services, settings) as bench, bench.dispatching():
        try:
            yield
        finally:
            release.touch()  # noqa: ASYNC240


async def finished_run(run_id: str, *replies: str, database: Database, **changes: Any) -> Run:
    """A run of one turn a sequence whose jobs are DONE with these replies; the dispatcher is to close it."""
    run = await make_run(run_id, sequences=len(replies), turns=1, **changes)
    for order, reply in enumerate(replies):
        turn = a_turn(reply=reply).model_dump(mode="json") | {"committed_at": run.created_at}
        done = {"status": JobStatus.DONE, "turns": [turn], "turns_committed": 1}
        await database.jobs.update_one({"run": run_id, "order": order}, {"$set": done})
    return run


async def ended(run_id: str, status: RunStatus = RunStatus.DONE) -> bool:
    return await patiently(lambda: Run.find_one({"_id": run_id, "status": status})) is not None


@pytest.mark.parametrize("limit_s", ["600"])
async def test_a_slow_scorer_holds_up_no_other_run(
    database: Database, services: ServiceUrls, settings: Settings, release: Path
) -> None:
    """Runs that end later are DONE while it scores; then it is DONE, too, with what the scorer gave."""
    await finished_run("slow", "slow", database=database, priority=5)
    async with dispatching(database, services, settings, release):
        await until(lambda: ended("slow", RunStatus.JUDGING), within_s=LIMIT_S)
        for number in range(3):
            await finished_run(f"quick{number}", "quick", database=database)
        for number in range(3):
            await until(partial(ended, f"quick{number}"), within_s=LIMIT_S)
        assert await ended("slow", RunStatus.JUDGING)
        release.touch()  # noqa: ASYNC240
        await until(lambda: ended("slow"), within_s=LIMIT_S)
    assert {row["value"] async for row in database.raw["scores"].find({"scorer": "tone", "run": "slow"})} == {4}


async def test_a_run_whose_scoring_never_ends_is_put_aside(
    database: Database, services: ServiceUrls, settings: Settings, release: Path
) -> None:
    """With its reason; another run, and the dispatcher, go on. Nobody tries for ever."""
    await finished_run("bad", *["hang"] * 6, database=database, priority=5)
    async with dispatching(database, services, settings, release):
        await until(lambda: ended("bad", RunStatus.JUDGING), within_s=LIMIT_S)
        await finished_run("good", "fine", database=database)
        await until(lambda: ended("good"), within_s=LIMIT_S)
        await until(lambda: ended("bad", RunStatus.STOPPED), within_s=LIMIT_S)
    run = await Run.get("bad")
    assert run is not None
    assert (run.status_reason or "").startswith("its replies cannot be scored: scoring failed on 4 jobs")
    assert "scoring_timeout_s" in (run.status_reason or "")


async def test_one_reply_that_ends_the_scorer_costs_only_its_own_scores(
    database: Database, services: ServiceUrls, settings: Settings, release: Path
) -> None:
    """They have failed, with the reason, and are not stored, so that closing the run again tries them again."""
    await finished_run("r", "fine", "crash", "hang", "well", database=database)
    async with dispatching(database, services, settings, release):
        await until(lambda: ended("r"), within_s=LIMIT_S)
    stored = [row async for row in database.raw["scores"].find({"scorer": "tone"})]
    assert [row["value"] for row in stored] == [4, 4]
    from nightjar.pipeline.collect.collector import collect

    report = await collect("r", database)
    reasons = {job.turns[0].reply: job.turns[0].scores["tone"].reason for job in report.jobs}
    assert reasons == {
        "fine": None,
        "well": None,
        "crash": "not scored: its process ended by SIGSEGV",
        "hang": "not scored: it took longer than 3 s (scoring_timeout_s)",
    }


async def test_a_slow_hook_delays_no_other_runs_calls(
    database: Database, services: ServiceUrls, tmp_path: Path, release: Path
) -> None:
    """While a run's five commands wait for something, another run's command and web call are made."""
    waits = f"sh -c 'touch {tmp_path}/begun; until [ -e {release} ]; do sleep 0.1; done'"
    slow = [Hook(kind=HookKind.COMMAND, target=f"{waits} {number}") for number in range(5)]
    settings = Settings(home=tmp_path / "home", night=NightSettings(command_timeout_s=120))
    with WebReceiver().serving() as web:
        quick = [Hook(kind=HookKind.WEBHOOK, target=web.url), Hook(kind=HookKind.COMMAND, target="true")]
        await finished_run("slow", "a", database=database, ending=Ending(on_finish=tuple(slow)))

        async def delivered(run: str, calls: int) -> bool:
            query = {"run": run, "state": DeliveryState.DELIVERED}
            found = await patiently(lambda: Delivery.find(query).to_list())
            return len(found) == calls

        async with dispatching(database, services, settings, release):
            await until((tmp_path / "begun").exists, within_s=LIMIT_S)
            await finished_run("quick", "b", database=database, ending=Ending(on_finish=tuple(quick)))
            await until(lambda: delivered("quick", 2), within_s=LIMIT_S)
            calling = await Delivery.find({"run": "slow", "state": DeliveryState.CALLING}).to_list()
            assert len(calling) == 2  # its share
            release.touch()  # noqa: ASYNC240
            await until(lambda: delivered("slow", 5), within_s=LIMIT_S)
