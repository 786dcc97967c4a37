"""The producer on a real MongoDB: freezing, asking again, growing, races, and being killed on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from nightjar.config.errors import ModelError, RunConflictError, UnknownNameError, UsageError
from nightjar.jobs import ownership
from nightjar.jobs.documents import Job, Run
from nightjar.jobs.identity import digest, job_id
from nightjar.jobs.models import FileFacts, ModelFacts, ModelKind
from nightjar.jobs.mongo import Database, insert_absent
from nightjar.jobs.published import publish_model
from nightjar.jobs.runs import control
from nightjar.jobs.runs.removal import remove_run
from nightjar.jobs.sequences import Sequence
from nightjar.jobs.states import JobStatus, RunStatus
from nightjar.pipeline.runs import write_jobs
from nightjar.pipeline.runs.producer import Enqueued, enqueue
from nightjar.pipeline.runs.request import make_request
from nightjar.pipeline.runs.write_jobs import finish_expansion
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.importer import import_suite


async def store_suite(database: Database, *, sequences: int = 3, **fields: Any) -> None:
    listed = tuple(
        Sequence.model_validate(
            {"id": f"s{n}", "tags": [f"t{n % 2}"], "turns": [{"prompt": "a"}, {"prompt": f"b{n}"}], **fields}
        )
        for n in range(sequences)
    )
    await import_suite(SuiteContent(name="tales", sequences=listed), database)


async def ask(database: Database, **options: Any) -> Enqueued:
    given = {"suite": "tales", "models": ("m",), "known_models": ("m", "n"), "repeats": 2, **options}
    return await enqueue(make_request(**given), database)


async def count(database: Database, **query: Any) -> int:
    return await database.jobs.count_documents(query)


def facts(name: str, kind: ModelKind = ModelKind.CHAT, **changes: Any) -> ModelFacts:
    file = FileFacts(
        file_name="f.gguf",
        file_bytes=1,
        architecture="bert",
        parameters=1,
        quantisation="Q8_0",
        vocabulary=1,
        context_train=512,
        layers=1,
    )
    fields: dict[str, Any] = {"name": name, "digest": "d" * 64, "kind": kind, "file": file}
    return ModelFacts(**(fields | changes))


async def test_a_run_is_active_with_every_job_pending(database: Database) -> None:
    await store_suite(database)
    done = await ask(database, models=("m", "n"), name="nightly", priority=3)
    assert (done.created, done.jobs_total, done.jobs_added, done.warnings) == (True, 12, 12, ())
    assert done.run.status is RunStatus.ACTIVE
    jobs = await Job.find_all().sort("+model", "+order").to_list()
    assert [(j.model, j.sequence, j.repeat) for j in jobs] == [
        (model, f"s{n}", repeat) for model in "mn" for n in range(3) for repeat in range(2)
    ]
    assert {(j.status, j.run, j.priority, j.turns_total, j.fence) for j in jobs} == {
        (JobStatus.PENDING, done.run.id, 3, 2, 0)
    }
    assert await ownership.claim({jobs[0].id: 0}, "w", "host", 30, database)


async def test_a_job_written_in_bulk_is_as_the_schema_writes_it(database: Database) -> None:
    """The quick path copies one row; a job saved through the schema has the same fields and types."""
    await store_suite(database, sequences=1)
    await ask(database)
    row = await database.jobs.find_one({"repeat": 1})
    assert row is not None
    await Job.model_validate(row | {"_id": "other"}).insert()
    assert await database.jobs.find_one({"_id": "other"}) == row | {"_id": "other"}


async def test_variants_add_jobs_and_leave_those_without_as_they_were(database: Database) -> None:
    """The queue is the model's; ids differ by the variant alone; a run without any has the ids it always had."""
    await store_suite(database)
    plain = await ask(database, name="plain")
    tried = await ask(database, name="ab", variants=({"name": "a", "system": "One."}, {"name": "b"}))
    assert (plain.jobs_total, tried.jobs_total) == (6, 12)
    jobs = await Job.find({"run": tried.run.id}).to_list()
    assert {(job.model, job.variant) for job in jobs} == {("m", "a"), ("m", "b")}
    assert {job.id for job in jobs} == {
        job_id(tried.run.id, "reply", job.sequence, "m", job.repeat, job.variant) for job in jobs
    }
    rows = await database.jobs.find({"run": plain.run.id}).to_list()
    assert {row["_id"] for row in rows} == {
        digest("job", plain.run.id, "reply", f"s{n}", "m", repeat) for n in range(3) for repeat in range(2)
    }
    again = await ask(database, name="ab", variants=({"name": "a", "system": "One."}, {"name": "b"}))
    assert (again.created, again.jobs_added) == (False, 0)
    with pytest.raises(RunConflictError, match="variant a is not what it was"):
        await ask(database, name="ab", variants=({"name": "a", "system": "Two."}, {"name": "b"}))


async def test_asking_again_changes_nothing_and_says_so(database: Database) -> None:
    await store_suite(database)
    first = await ask(database, name="nightly")
    again = await ask(database, name="nightly")
    assert (again.created, again.jobs_added, again.run.id) == (False, 0, first.run.id)
    fewer = await ask(database, name="nightly", repeats=1)
    assert (fewer.created, fewer.jobs_total, fewer.jobs_added) == (False, 6, 0)


async def test_without_a_name_each_call_is_a_run_of_its_own(database: Database) -> None:
    await store_suite(database)
    names = {(await ask(database)).run.name for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("tales-") for name in names)


async def test_the_same_name_with_another_content_is_refused_with_the_difference(database: Database) -> None:
    await store_suite(database)
    await ask(database, name="nightly", seed=1)
    with pytest.raises(RunConflictError, match=r"the seed is 2, was 1; --set top_k is 3, was not set"):
        await ask(database, name="nightly", seed=2, set_parameters={"top_k": 3})
    await store_suite(database, sequences=4)
    with pytest.raises(RunConflictError, match=r"the suite is tales@2 .* was tales@1"):
        await ask(database, name="nightly", seed=1)
    assert (await ask(database, name="nightly", seed=1, suite="tales@1")).jobs_added == 0
    assert await count(database) == 6


async def test_more_models_and_repeats_add_the_missing_jobs(database: Database) -> None:
    await store_suite(database)
    await ask(database, name="nightly")
    before = {job.id for job in await Job.find_all().to_list()}
    grown = await ask(database, name="nightly", models=("m", "n"), repeats=3, set_model_parameters={"n": {"top_k": 1}})
    assert (grown.created, grown.jobs_total, grown.jobs_added) == (False, 18, 12)
    assert grown.run.status is RunStatus.ACTIVE
    assert [m.name for m in grown.run.models] == ["m", "n"]
    assert grown.run.set_model_parameters == {"n": {"top_k": 1}}
    assert before < {job.id for job in await Job.find_all().to_list()}
    assert await count(database) == 18


async def test_a_done_run_that_grows_works_again_and_keeps_its_results(database: Database) -> None:
    await store_suite(database)
    done = await ask(database, name="nightly")
    await database.jobs.update_many({}, {"$set": {"status": JobStatus.DONE}})
    await control.move(done.run, RunStatus.JUDGING, database)
    await database.runs.update_one({}, {"$set": {"judging.planned": True}})
    await control.move(done.run, RunStatus.DONE, database)
    grown = await ask(database, name="nightly", repeats=3)
    assert (grown.run.status, grown.run.outcome.finished_at) == (RunStatus.ACTIVE, None)
    assert not grown.run.judging.planned
    assert (await count(database, status="DONE"), await count(database, status="PENDING")) == (6, 3)


@pytest.mark.parametrize(
    ("status", "said"), [(RunStatus.PAUSED, "run resume nightly"), (RunStatus.CANCELLED, "--name")]
)
async def test_a_run_that_is_held_or_ended_does_not_grow(database: Database, status: RunStatus, said: str) -> None:
    await store_suite(database)
    done = await ask(database, name="nightly")
    await control.move(done.run, status, database)
    with pytest.raises(RunConflictError, match=said):
        await ask(database, name="nightly", repeats=3)
    assert await count(database) == 6


async def test_producers_that_race_make_one_run(database: Database) -> None:
    """Eight producers ask for the same name at once, half of them for more: one run, every job once."""
    await store_suite(database)
    done = await asyncio.gather(*(ask(database, name="nightly", repeats=2 + n % 2) for n in range(8)))
    assert sum(each.created for each in done) == 1
    assert len({each.run.id for each in done}) == 1
    run = await Run.find_one()
    assert run is not None
    assert (run.repeats, run.jobs_total, run.status) == (3, 9, RunStatus.ACTIVE)
    assert await count(database) == 9


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_jobs, "BATCH_JOBS", 4)


class KilledError(Exception):
    """Stands for the death of a producer."""


async def interrupted(database: Database, monkeypatch: pytest.MonkeyPatch, after: int, **options: Any) -> Run:
    """The run of a producer that died after that many batches."""
    insert = insert_absent
    written = 0

    async def dying(collection: Any, rows: list[dict[str, Any]]) -> int:
        nonlocal written
        if written == after:
            raise KilledError
        written += 1
        return await insert(collection, rows)

    with monkeypatch.context() as patch:
        patch.setattr(write_jobs, "insert_absent", dying)
        with pytest.raises(KilledError):
            await ask(database, name="nightly", **options)
    run = await Run.find_one({"name": "nightly"})
    assert run is not None
    assert run.status is RunStatus.EXPANDING
    return run


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("after", [0, 1, 3])
async def test_an_expansion_that_was_killed_is_finished_by_anyone(
    database: Database, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    await store_suite(database, sequences=7)
    run = await interrupted(database, monkeypatch, after)
    assert await count(database) == 4 * after
    added = await asyncio.gather(*(finish_expansion(run, database) for _ in range(3)))  # three dispatchers
    assert sum(added) == 14 - 4 * after
    assert await count(database) == 14
    assert (await the_run()).status is RunStatus.ACTIVE


@pytest.mark.usefixtures("small_batches")
async def test_what_is_marked_as_written_is_not_looked_at_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between a batch and its mark: the batch is looked at once, what is before it never."""
    await store_suite(database, sequences=7)
    run = await interrupted(database, monkeypatch, 2)
    assert run.expanded == 8
    await database.runs.update_one({"_id": run.id}, {"$set": {"expanded": 4}})
    seen: list[int] = []
    store = write_jobs._store

    async def watched(rows: list[dict[str, Any]], database: Database, *, look: bool) -> int:
        added = await store(rows, database, look=look)
        seen.append(added)
        return added

    monkeypatch.setattr(write_jobs, "_store", watched)
    assert await finish_expansion(run, database) == 6
    assert seen == [0, 4, 2]
    run = await the_run()
    assert (run.status, run.expanded, await count(database)) == (RunStatus.ACTIVE, 14, 14)


@pytest.mark.usefixtures("small_batches")
async def test_asking_again_finishes_a_killed_expansion_first(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store_suite(database, sequences=7)
    await interrupted(database, monkeypatch, 1)
    grown = await ask(database, name="nightly", repeats=3)
    assert (grown.jobs_total, grown.jobs_added, grown.run.status) == (21, 7, RunStatus.ACTIVE)
    assert await count(database) == 21


@pytest.mark.usefixtures("small_batches")
async def test_growth_that_was_killed_is_finished_by_anyone(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store_suite(database, sequences=7)
    await ask(database, name="nightly")
    run = await interrupted(database, monkeypatch, 1, models=("m", "n"))
    await finish_expansion(run, database)
    assert await count(database) == 28
    assert (await the_run()).status is RunStatus.ACTIVE


def after_first_batch(monkeypatch: pytest.MonkeyPatch, act: Callable[[], Awaitable[object]]) -> None:
    """Does something while the jobs of a run are being written, as another process might."""
    insert = insert_absent
    acted = False

    async def then_act(collection: Any, rows: list[dict[str, Any]]) -> int:
        nonlocal acted
        count = await insert(collection, rows)
        if not acted:
            acted = True
            await act()
        return count

    monkeypatch.setattr(write_jobs, "insert_absent", then_act)


async def the_run() -> Run:
    run = await Run.find_one()
    assert run is not None
    return run


@pytest.mark.usefixtures("small_batches")
async def test_a_run_cancelled_while_it_expands_has_no_job_left_to_do(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store_suite(database, sequences=7)

    async def cancel() -> None:
        await control.move(await the_run(), RunStatus.CANCELLED, database)

    after_first_batch(monkeypatch, cancel)
    done = await ask(database)
    assert done.run.status is RunStatus.CANCELLED
    assert (await count(database), await count(database, status="CANCELLED")) == (4, 4)


@pytest.mark.usefixtures("small_batches")
async def test_a_run_removed_while_it_expands_leaves_no_job(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store_suite(database, sequences=7)

    async def remove() -> None:
        await remove_run(await control.cancel(await the_run(), database), database)

    after_first_batch(monkeypatch, remove)
    with pytest.raises(UsageError, match="removed"):
        await ask(database)
    assert await count(database) == 0


@pytest.mark.usefixtures("small_batches")
async def test_who_wrote_an_older_shape_of_a_run_does_not_call_it_whole(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run grows while another process still writes its first jobs: it stays EXPANDING until the new ones exist."""
    await store_suite(database, sequences=7)
    run = await interrupted(database, monkeypatch, 0)
    more = {"$set": {"repeats": 3, "jobs_total": 21, "expanded": 0}}
    with monkeypatch.context() as patch:
        after_first_batch(patch, lambda: database.runs.update_one({"_id": run.id}, more))
        assert await finish_expansion(run, database) == 4
    assert (await the_run()).status is RunStatus.EXPANDING
    assert await finish_expansion(run, database) == 17
    assert (await the_run()).status is RunStatus.ACTIVE
    assert await count(database) == 21


async def test_an_unknown_model_is_told_the_nearest_names(database: Database) -> None:
    await store_suite(database)
    await publish_model(database, facts("mistral-7b"), by="elsewhere")
    with pytest.raises(UnknownNameError, match="Did you mean 'mistral-7b'"):
        await ask(database, models=("mistral-7",))
    assert (await ask(database, models=("mistral-7b",))).created  # published from another host: enough
    assert await Run.count() == 1


@pytest.mark.parametrize(
    ("kind", "mode", "said"),
    [
        (ModelKind.BASE, "chat", "mode: completion.*template"),
        (ModelKind.BASE, "independent", "mode: completion"),
        (ModelKind.EMBEDDING, "chat", "embedding model"),
        (ModelKind.EMBEDDING, "completion", "embedding model"),
    ],
)
async def test_a_model_of_the_wrong_kind_is_refused_before_anything_is_written(
    database: Database, kind: ModelKind, mode: str, said: str
) -> None:
    await store_suite(database, mode=mode)
    await publish_model(database, facts("m", kind), by="elsewhere")
    with pytest.raises(ModelError, match=said):
        await ask(database)
    assert await Run.count() == 0


async def test_a_base_model_completes(database: Database) -> None:
    await store_suite(database, mode="completion")
    await publish_model(database, facts("m", ModelKind.BASE), by="elsewhere")
    assert (await ask(database)).created


@pytest.mark.parametrize(
    ("fields", "options", "said"),
    [
        ({"parameters": {"temperature": 0}}, {}, "3 of 3 sequences"),
        ({"parameters": {"temperature": 0}}, {"repeats": 1}, None),  # nothing is repeated
        ({"parameters": {"temperature": 0}}, {"set_parameters": {"temperature": 0.5}}, None),  # --set goes before
        ({}, {"set_parameters": {"temperature": 0}}, "3 of 3 sequences"),
        ({}, {"set_model_parameters": {"m": {"temperature": 0}}}, "on m"),
        ({}, {}, None),
        ({"turns": [{"prompt": "a", "parameters": {"temperature": 0}}]}, {}, "3 of 3 sequences"),
        ({"turns": [{"prompt": "a", "parameters": {"temperature": 0}}, {"prompt": "b"}]}, {}, None),  # turn 2 varies
    ],
)
async def test_repeats_at_temperature_0_are_warned_about(
    database: Database, fields: dict[str, Any], options: dict[str, Any], said: str | None
) -> None:
    await store_suite(database, **fields)
    warnings = (await ask(database, **options)).warnings
    assert len(warnings) == (0 if said is None else 1)
    assert all(said is not None and said in warning for warning in warnings)


async def test_only_and_limit_take_some_sequences(database: Database) -> None:
    await store_suite(database, sequences=5)
    done = await ask(database, only=("t0", "s1"), limit=3, repeats=1)
    assert done.run.sequences == ["s0", "s1", "s2"]
    assert await Job.distinct("sequence", {}) == ["s0", "s1", "s2"]
    with pytest.raises(UnknownNameError, match="no tag or sequence 's9'"):
        await ask(database, only=("s9",))


async def test_ten_thousand_jobs_are_written_whole(database: Database) -> None:
    """More than one batch; how fast is measured elsewhere."""
    await store_suite(database, sequences=20)
    seen: list[tuple[int, int]] = []
    request = make_request(suite="tales", models=("m", "n"), known_models=("m", "n"), repeats=300)
    done = await enqueue(request, database, progress=lambda written, total: seen.append((written, total)))
    assert (done.jobs_total, await count(database)) == (12_000, 12_000)
    assert seen == [(5_000, 12_000), (10_000, 12_000), (12_000, 12_000)]
