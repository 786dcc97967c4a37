"""How quick a search is, what memory it takes, and how much of the embedding engine's speed indexing reaches.

`python -P -m nightjar.scripts.dev.search_bench EMBEDDER.gguf [--vectors N] [--conversations N]`: embedded servers in a
home of their own; each thing that is measured runs in a process of its own. Vectors and texts are made up.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

from nightjar.config.interpreter import PYTHON
from nightjar.scripts.dev.bench.whole import READY_S, home_session, started
from nightjar.scripts.dev.collecting_bench import START, WORDS

if TYPE_CHECKING:
    from nightjar.jobs.documents import Job
    from nightjar.jobs.models import ModelFacts
    from nightjar.jobs.mongo import Database
    from nightjar.scripts.session import Session

QUERIES = 50
BLOCK = 5_000
PER_JOB = 10
"""Texts of made-up vectors that stand in one job."""
TURNS = 2
"""Of a conversation that is indexed."""
PHRASES = ("a storm at the lighthouse", "the cat remembers winter", "bread and silver", "a letter to the sea")


def main() -> None:
    arguments = _arguments()
    if arguments.measure == "search":
        print(json.dumps(asyncio.run(_measure_search())))
    elif arguments.measure == "engine":
        print(json.dumps(asyncio.run(_measure_engine(arguments.embedder))))
    else:
        with tempfile.TemporaryDirectory(prefix="nightjar-search-bench-") as folder:
            asyncio.run(_bench(arguments, Path(folder)))


async def _bench(arguments: argparse.Namespace, home: Path) -> None:
    embedder = arguments.embedder.resolve()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the beginning", flush=True)
    async with home_session(home, {"NIGHTJAR_MEMORY_MODEL": str(embedder)}) as session:
        if arguments.vectors:
            await _fill(arguments.vectors, session)
            await _child("search", embedder)  # marks what is indexed, as indexing does
            shutil.rmtree(home / "search")
            made, cold = await _child("search", embedder), await _child("search", embedder)
            print(search_table(arguments.vectors, made, cold), flush=True)
        if arguments.conversations:
            print(await _measure_indexing(arguments.conversations, embedder, home, session), flush=True)
    print(f"load {os.getloadavg()[0]:.1f} at the end")


def search_table(vectors: int, made: dict[str, Any], cold: dict[str, Any]) -> str:
    """The results as Markdown. Times leave out the question's own embedding, which has a line."""
    lines = [
        (f"first query, its file made from MongoDB ({vectors:,} vectors)", f"{made['first_s']:.2f} s", "2 s"),
        ("first query of a process", f"{cold['first_s']:.2f} s", "2 s"),
        (f"a query, median of {QUERIES}", f"{cold['median_s'] * 1000:.0f} ms", "50 ms"),
        (
            f"of these the comparing alone; the slowest query {cold['slowest_s'] * 1000:.0f} ms",
            f"{cold['rank_s'] * 1000:.0f} ms",
            "",
        ),
        ("embedding the question, apart", f"{cold['embed_s'] * 1000:.0f} ms", ""),
        ("memory of the searching process, the mapped file included", f"{cold['memory_bytes'] / 1e6:.0f} MB", "400 MB"),
    ]
    return "\n".join(["| what | measured | goal |", "|---|---:|---:|", *(f"| {' | '.join(line)} |" for line in lines)])


async def _child(what: str, embedder: Path, texts: Sequence[str] = ()) -> dict[str, Any]:
    """Its answer, from a process of its own."""
    command = [*PYTHON, "-m", "nightjar.scripts.dev.search_bench", str(embedder), "--measure", what]
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    out, _ = await child.communicate(json.dumps(texts).encode())
    if child.returncode:
        raise SystemExit(child.returncode)
    answer: dict[str, Any] = json.loads(out.splitlines()[-1])
    return answer


async def _measure_search() -> dict[str, Any]:
    import resource

    from nightjar.pipeline.search.question import SearchQuestion
    from nightjar.pipeline.search.start import search
    from nightjar.scripts.session import open_session
    from nightjar.workers.embedder.client import open_embedder

    totals, ranked, embedded = [], [], []
    async with open_session() as session, await open_embedder(session.settings, "The benchmark") as embedder:
        await embedder.embed(["warm"])  # its process may be anybody's
        for number in range(QUERIES + 1):
            question = SearchQuestion(text=f"{PHRASES[number % len(PHRASES)]} {number}")
            began = perf_counter()
            answer = await search(question, embedder, session.database, session.settings.home)
            totals.append(perf_counter() - began - answer.times.embed_s)
            ranked.append(answer.times.rank_s)
            embedded.append(answer.times.embed_s)
            assert answer.hits, "nothing was found"
    return {
        "first_s": totals[0],
        "median_s": median(totals[1:]),
        "slowest_s": max(totals[1:]),
        "rank_s": median(ranked[1:]),
        "embed_s": median(embedded[1:]),
        "memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


async def _fill(count: int, session: Session) -> None:
    """Made-up vectors of the small embedder's width, each with a text, in the jobs of a run that has ended."""
    import numpy as np

    from nightjar.jobs.search.vectors import TextKind, TextPlace, vector_id, write_vectors
    from nightjar.workers.embedder.client import open_embedder
    from nightjar.workers.embedder.spec import read_embedder_spec

    facts = (await asyncio.to_thread(read_embedder_spec, session.settings, "The benchmark")).facts
    async with await open_embedder(session.settings, "The benchmark") as embedder:
        width = (await embedder.embed(["a text"])).shape[1]
    random_numbers, words = np.random.default_rng(1), random.Random(1)  # noqa: S311
    run = await _insert_run("searched", count // PER_JOB, turns=False)
    for start in range(0, count, BLOCK):
        vectors = random_numbers.normal(size=(min(BLOCK, count - start), width)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        made, refs = {}, {}
        for row, vector in enumerate(vectors, start=start):
            text = f"{' '.join(words.choices(WORDS, k=14))} {row}."
            place = TextPlace(
                run=run,
                job=f"{run}.{row // PER_JOB}",
                turn=0,
                part=TextKind.REPLY,
                source=f"{run}.{row // PER_JOB}",
                model="amber",
            )
            name = vector_id(text, facts.digest)
            made[name], refs[name] = (text, vector.astype("<f2").tobytes()), [place]
        await write_vectors(facts.digest, made, refs, session.database)


async def _measure_indexing(conversations: int, embedder: Path, home: Path, session: Session) -> str:
    """Through jobs and a worker, and the same texts through the engine alone, before and after."""
    from nightjar.jobs.live.embedder import JobEmbedder
    from nightjar.jobs.live.requests import LiveRequests
    from nightjar.jobs.search.unindexed import find_unindexed
    from nightjar.pipeline.search.index import index_texts
    from nightjar.workers.embedder.spec import read_embedder_spec

    facts: ModelFacts = (await asyncio.to_thread(read_embedder_spec, session.settings, "The benchmark")).facts
    texts = _texts(conversations)
    before = (await _child("engine", embedder, texts))["seconds"]
    await _insert_run("indexed", conversations, turns=True)
    async with AsyncExitStack() as children:
        await started(children, ["worker", "--model", str(embedder), "--no-probe"], home / "logs/worker.log")
        async with LiveRequests(session.database, session.doorbell, session.settings.live) as requests:
            await _until_published(facts, session.database)
            jobs = await JobEmbedder.of(requests, facts, "bench")
            await jobs.embed(["the first one waits for the model"])
            unindexed = await find_unindexed(facts.digest, session.database)
            began = perf_counter()
            embedded = await index_texts(unindexed, jobs, session.database)
            seconds = perf_counter() - began
    after = (await _child("engine", embedder, texts))["seconds"]
    assert embedded == len(texts), f"{embedded} of {len(texts)} texts"
    alone = (before + after) / 2
    return "\n".join(
        [
            f"| {len(texts):,} texts of {conversations:,} conversations | texts/s | share |",
            "|---|---:|---:|",
            f"| the engine alone, before and after | {len(texts) / before:.0f}, {len(texts) / after:.0f} | 1 |",
            f"| indexing by jobs of a worker, MongoDB and all | {len(texts) / seconds:.0f} | {alone / seconds:.2f} |",
        ]
    )


async def _until_published(facts: ModelFacts, database: Database) -> None:
    from nightjar.jobs.published import published

    async with asyncio.timeout(READY_S):
        while not await published([facts.name], database):  # noqa: ASYNC110  # nobody tells of it
            await asyncio.sleep(0.5)


async def _measure_engine(model: Path) -> dict[str, float]:
    """Seconds for the texts on standard input, all at once."""
    from nightjar.config.settings import load_settings
    from nightjar.workers.conversation.local_embedder import LocalEmbedder
    from nightjar.workers.engine.loading import load
    from nightjar.workers.library.find import find_file

    texts = json.load(sys.stdin)
    entry = find_file(str(model), load_settings())
    engine = await load(entry.path, settings=entry.load, gpu="none")
    embedder = LocalEmbedder(engine)
    await embedder.embed(texts[:8])
    began = perf_counter()
    await embedder.embed(texts)
    seconds = perf_counter() - began
    await embedder.close()
    return {"seconds": seconds}


def _texts(conversations: int) -> list[str]:
    """What of the conversations is embedded, each text once."""
    return [text for job in range(conversations) for turn in range(TURNS) for text in _turn_texts(job, turn)]


def _turn_texts(job: int, turn: int) -> tuple[str, str]:
    """Prompt and reply, of 10 to 20 and 60 to 200 words."""
    words = random.Random(job * TURNS + turn)  # noqa: S311
    prompt = f"Prompt {job}.{turn}: {' '.join(words.choices(WORDS, k=words.randint(10, 20)))}."
    return prompt, f"Reply {job}.{turn}: {' '.join(words.choices(WORDS, k=words.randint(60, 200)))}."


async def _insert_run(name: str, jobs: int, *, turns: bool) -> str:
    """A run that has ended; its id. Without turns there is nothing of it to index."""
    from nightjar.jobs.documents import Job, Run, RunModel
    from nightjar.jobs.identity import digest
    from nightjar.jobs.states import RunStatus

    run = Run(
        id=digest("run", name),
        name=name,
        status=RunStatus.DONE,
        suite=digest("bench"),
        suite_name="bench",
        suite_version=1,
        sequences=["s"],
        models=[RunModel(name="amber")],
        repeats=jobs,
        seed=7,
        date="2026-11-20",
        nightjar_version="0",
        content=digest("content"),
        created_at=START,
    )
    await run.insert()
    documents: Iterator[Job] = (_job(run.id, number, turns=turns) for number in range(jobs))
    while batch := [job for job, _ in zip(documents, range(BLOCK), strict=False)]:
        await Job.insert_many(batch)
    return run.id


def _job(run: str, number: int, *, turns: bool) -> Job:
    from nightjar.jobs.documents import Job
    from nightjar.jobs.parameters import Policy
    from nightjar.jobs.records import Draw, Timings, TurnRecord
    from nightjar.jobs.states import JobStatus

    times = Timings(queue_s=0, prefill_s=0, decode_s=0)
    records = []
    for index, (prompt, reply) in enumerate(_turn_texts(number, turn) for turn in range(TURNS if turns else 0)):
        draw = Draw(seed=1, reply=reply, reply_ids=(), raw_text=reply, finish_reason="stop", timings=times)
        records.append(
            TurnRecord(
                index=index,
                prompt=prompt,
                draws=(draw,),
                prompt_tokens=1,
                reused_tokens=0,
                prompt_digest="p",
                policy=Policy.TRIM,
                parameters={},
                sources={},
                chain="c",
                fence=1,
                worker="bench",
                committed_at=START,
            )
        )
    return Job(
        id=f"{run}.{number}",
        run=run,
        model="amber",
        sequence="s",
        sequence_digest="d",
        sequence_document="d",
        repeat=number,
        order=number,
        status=JobStatus.DONE,
        due_at=START,
        turns=records,
        turns_total=TURNS,
        created_at=START,
        finished_at=START,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("embedder", type=Path, help="a small embedding model, GGUF")
    parser.add_argument("--vectors", type=int, default=100_000, help="0: leave searching out")
    parser.add_argument("--conversations", type=int, default=400, help="0: leave indexing out")
    parser.add_argument("--measure", choices=("search", "engine"), help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
