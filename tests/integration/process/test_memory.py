"""Workers that recall and remember: jobs from the queue to the record, on a scripted engine with a word embedder."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nightjar.config.embedded import ServiceUrls
from nightjar.config.live_settings import LiveSettings
from nightjar.config.settings import Settings
from nightjar.jobs.documents import Job, Run
from nightjar.jobs.live.requests import LiveRequests
from nightjar.jobs.live_request import LiveAsk
from nightjar.jobs.memory import add_fact, facts_of_memory, memories
from nightjar.jobs.mongo import Database, utc_now
from nightjar.jobs.runs.removal import remove_run
from nightjar.jobs.states import JobStatus, RunStatus, WorkerStatus
from nightjar.jobs.status.transcript import read_transcripts
from nightjar.pipeline.collect.collector import collect
from nightjar.pipeline.exports.write import render
from nightjar.workers.conversation.remembering import HEAD
from nightjar.workers.engine.fake import ScriptedEngine
from tests.word_embedder import WordEmbedder
from tests.workbench import Bench, make_run, opened_bench, until

FACT = "The cat is Minka."


@pytest.fixture
async def bench(database: Database, services: ServiceUrls, tmp_path: Path) -> AsyncIterator[Bench]:
    settings = Settings(home=tmp_path / "home", lease_s=3, beat_s=0.2, drain_s=0.3)
    async with opened_bench(database, services, settings) as bench:
        yield bench


def script(prompt: str, seed: int) -> str:
    """Names a fact where it is asked for them, else says something."""
    if "Answer in JSON" not in prompt:
        return f"I heard that ({len(prompt)})."
    return json.dumps({"facts": [FACT]})


async def finished(run: str) -> list[Job]:
    async def ended() -> bool:
        found = await Run.get(run)
        return found is not None and found.status is RunStatus.DONE

    await until(ended, within_s=60)
    return await Job.find({"run": run}).sort("+order").to_list()


async def test_a_run_that_recalls_says_what_it_recalled(bench: Bench) -> None:
    run = await make_run("r", sequences=1, turns=22, set_parameters={"policy": "recall", "max_tokens": 100})
    async with bench.dispatching(), bench.worker(ScriptedEngine(script, context=900), embedder=WordEmbedder()):
        [job] = await finished("r")
    recalled = [turn for turn in job.turns if turn.recalled_turns]
    assert recalled
    assert {turn.recalled_by for turn in recalled} == {WordEmbedder().facts.digest}
    assert all(set(turn.recalled_turns) <= set(turn.dropped_turns) for turn in job.turns)
    assert all(turn.parameters["recall_share"] == 0.25 for turn in job.turns)
    report = await collect(run.id, bench.database)
    data = json.loads(render(report, "json"))
    assert data["models"][0]["recalled"] == len(recalled)
    assert data["jobs"][0]["turns"][-1]["recalled_turns"] == list(job.turns[-1].recalled_turns)
    assert "recalled turns" in render(report, "html")
    [shown] = await read_transcripts(run, [job], bench.database)
    assert shown.turns[-1].recalled == tuple(number + 1 for number in job.turns[-1].recalled_turns)


@pytest.mark.parametrize("asked", [{"policy": "recall"}, {"memory": "notes"}])
async def test_without_an_embedder_the_job_says_what_to_do(bench: Bench, asked: dict[str, str]) -> None:
    await make_run("r", sequences=1, turns=1, set_parameters=asked)
    async with bench.dispatching(), bench.worker(ScriptedEngine(script)):
        [job] = await finished("r")
    assert job.status is JobStatus.DEAD
    assert "memory_model" in (job.reason or "")


async def test_a_contestants_conversations_share_a_memory_that_goes_with_the_run(bench: Bench) -> None:
    """The second conversation is given what the first one said; nobody else's is touched."""
    run = await make_run("r", sequences=2, turns=2, set_parameters={"memory": "notes", "max_tokens": 300})
    async with bench.dispatching(), bench.worker(ScriptedEngine(script, slots=1), embedder=WordEmbedder()):
        first, second = sorted(await finished("r"), key=lambda job: job.turns[0].committed_at)
    [name] = await memories(bench.database)
    assert name == f"run/{run.name}/scripted/notes"
    assert [fact.text for fact in await facts_of_memory(name, bench.database)] == [FACT]
    kept = [turn.memory.kept for job in (first, second) for turn in job.turns if turn.memory]
    assert kept == [(FACT,), (), (), ()], "said again, it is not kept again"
    assert first.turns[0].memory is not None
    assert first.turns[0].memory.given == ()
    assert [[fact.text for fact in turn.memory.given] for turn in second.turns if turn.memory] == [[FACT], [FACT]]
    assert second.turns[1].reprefill_reason is None, "the system prompt is the same in every turn"
    [_, shown] = await read_transcripts(run, [first, second], bench.database)
    assert (shown.turns[0].given, shown.turns[0].memory) == ((FACT,), name)
    ended = await Run.get("r")
    assert ended is not None
    await remove_run(ended, bench.database)
    assert await memories(bench.database) == {}


async def test_an_evaluation_reads_a_shared_memory_and_never_writes_it(bench: Bench) -> None:
    seen: list[str] = []

    def listening(prompt: str, seed: int) -> str:
        seen.append(prompt)
        return script(prompt, seed)

    await add_fact("shared/house", "The cat is Minka.", utc_now(), bench.database)
    await make_run("r", sequences=1, turns=2, set_parameters={"memory": "shared/house"})
    async with bench.dispatching(), bench.worker(ScriptedEngine(listening), embedder=WordEmbedder()):
        [job] = await finished("r")
    assert len(seen) == 2, "no facts are asked for"
    assert all(f"{HEAD}\n- The cat is Minka." in prompt for prompt in seen)
    assert job.turns[0].memory is not None
    assert job.turns[0].memory.chosen_by == WordEmbedder().facts.digest
    assert await memories(bench.database) == {"shared/house": 1}


async def test_a_users_memory_is_nobody_elses(bench: Bench) -> None:
    """Kept of a live request for the next one of the same user; the name means another memory to everybody else."""
    seen: list[str] = []

    def listening(prompt: str, seed: int) -> str:
        seen.append(prompt)
        return script(prompt, seed)

    async def ask(user: str) -> str:
        messages = [{"role": "user", "content": "Good morning."}]
        asked = LiveAsk(user=user, model="scripted", messages=messages, parameters={"memory": "notes"})
        await (await requests.submit(asked)).result()
        return next(prompt for prompt in reversed(seen) if "Answer in JSON" not in prompt)

    engine = ScriptedEngine(listening)
    async with (
        bench.worker(engine, live=1, embedder=WordEmbedder()) as worker,
        LiveRequests(bench.database, bench.doorbell, LiveSettings()) as requests,
    ):
        await until(lambda: worker.beat.state is WorkerStatus.READY)
        assert HEAD not in await ask("ann")
        assert f"{HEAD}\n- {FACT}" in await ask("ann")
        assert HEAD not in await ask("bob")
    assert await memories(bench.database) == {"user/ann/notes": 1, "user/bob/notes": 1}


async def test_a_conversation_goes_on_with_the_facts_that_it_began_with(bench: Bench) -> None:
    """Its worker ends in the middle of it, and the memory grows meanwhile; the next prompts extend the first ones."""
    await add_fact("shared/house", "The cat is Minka.", utc_now(), bench.database)
    await make_run("r", sequences=1, turns=8, set_parameters={"memory": "shared/house"})

    async def begun() -> bool:
        job = await Job.find_one({"run": "r"})
        return job is not None and job.turns_committed >= 1

    async with bench.dispatching():
        async with bench.worker(ScriptedEngine(script, token_delay_s=0.01), embedder=WordEmbedder()):
            await until(begun)
        await add_fact("shared/house", "The door is green.", utc_now(), bench.database)
        async with bench.worker(ScriptedEngine(script), name="host:2:2", embedder=WordEmbedder()):
            [job] = await finished("r")
    assert len({turn.worker for turn in job.turns}) == 2, "the second worker had something to do"
    given = [[fact.text for fact in turn.memory.given] for turn in job.turns if turn.memory]
    assert given == [["The cat is Minka."]] * 8
    assert [turn.reprefill_reason for turn in job.turns] == [None] * 8
