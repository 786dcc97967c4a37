"""`nightjar eval` behind its command: the models one after the other, with real workers of the demo model."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from nightjar.config.embedded import ServiceUrls
from nightjar.config.settings import Settings, load_settings
from nightjar.jobs.documents import Job, Run
from nightjar.jobs.mongo import Database
from nightjar.jobs.queue import Doorbell
from nightjar.jobs.sequences import Sequence
from nightjar.jobs.states import JobKind, JobStatus, RunStatus
from nightjar.pipeline.runs.producer import enqueue
from nightjar.pipeline.runs.request import make_request
from nightjar.pipeline.runs.this_home import this_home
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.importer import import_suite
from nightjar.scripts.children import Child
from nightjar.scripts.evaluation import WorkerFlags, generate, take_models
from nightjar.scripts.session import Session

PROJECT = Path(__file__).parents[3]
DEMO = "nightjar-demo"
RUBRIC = {
    "name": "r",
    "criteria": [{"name": "plot", "description": "d", "scale": {"1": "bad", "2": "fair", "3": "good"}}],
}


@pytest.fixture
async def session(database: Database, services: ServiceUrls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    monkeypatch.setenv("NIGHTJAR_MONGO_URL", services.mongo.get_secret_value())
    monkeypatch.setenv("NIGHTJAR_REDIS_URL", services.redis.get_secret_value())
    monkeypatch.setenv("NIGHTJAR_MONGO_DATABASE", database.raw.name)
    load_settings.cache_clear()
    settings: Settings = load_settings()
    doorbell = await Doorbell.connect(services.redis)
    await doorbell.redis.flushall()
    yield Session(settings=settings, urls=services, database=database, _doorbell=doorbell)
    await doorbell.close()


async def test_a_model_that_replies_last_and_judges_too(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its judge jobs are written before the worker of its replies has ended: they are no work left undone."""
    stop = Child.stop
    planned_before_the_end = []

    async def stop_late(child: Child, grace_s: float) -> None:
        """As on a busy machine, where a worker takes a while to end."""
        for _ in range(600):
            run = await Run.find_one({"name": "night"})
            assert run is not None
            if run.judging.planned or run.status is RunStatus.DONE:
                planned_before_the_end.append(run.status)
                break
            await asyncio.sleep(0.1)
        await stop(child, grace_s)

    monkeypatch.setattr(Child, "stop", stop_late)
    sequence = Sequence.model_validate({"id": "s", "turns": [{"prompt": "Begin.", "parameters": {"max_tokens": 8}}]})
    await import_suite(SuiteContent(name="tales", sequences=(sequence,)), session.database)
    entries = await take_models([DEMO], session)
    wanted: dict[str, Any] = {"models": (DEMO,), "judges": (DEMO,), "rubric": RUBRIC, "self_judging": True}
    request = make_request(suite="tales", name="night", **wanted)
    run = (await enqueue(request, session.database, closers=this_home(session.settings))).run

    await asyncio.wait_for(generate(run, entries, entries, WorkerFlags(), session, lambda _: None), 240)

    assert planned_before_the_end[0] in (RunStatus.JUDGING, RunStatus.DONE)
    jobs = await Job.find({"run": run.id}).to_list()
    assert {job.kind for job in jobs} == {JobKind.REPLY, JobKind.JUDGE}
    assert {job.status for job in jobs if job.kind is JobKind.REPLY} == {JobStatus.DONE}
    assert all(job.status in (JobStatus.DONE, JobStatus.DEAD) for job in jobs)
    ended = await Run.get(run.id)
    assert ended is not None
    assert ended.status is RunStatus.DONE
