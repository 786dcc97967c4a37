"""How long a run's transcripts take to become scores and a report: `python -m nightjar.scripts.dev.collecting_bench`.

Writes made-up runs of the wanted numbers of turns to MongoDB (its own database, dropped in the end), then closes each
in a process of its own as the dispatcher would: reads and scores every turn, stores the scores, writes HTML and JSON.
Prints seconds and the peak memory of all collecting processes together.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nightjar.jobs.mongo import Database
    from nightjar.jobs.sequences import Sequence

SIZES = (10_000, 100_000)
MODELS = ("amber", "basalt", "cinder", "dolerite")
TURNS = 4
SEQUENCES = 125
LOOK_EVERY_S = 0.1
DATABASE = "nightjar_collecting_bench"
START = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)
WORDS = (
    "the keeper of the lighthouse counted ships at dusk while her brother mended nets and told the cat about storms "
    "nobody else remembered because the sea keeps its own diary and reads it aloud in winter when doors are closed "
    "orchard letter train river mountain bread lantern window garden silver quiet heavy bright seven eleven morning"
).split()


@dataclass(frozen=True, kw_only=True)
class Result:
    turns: int
    scores: int
    """The total number of values; every turn has several scorers."""
    seconds: float
    peak_mib: float
    html_mib: float
    json_mib: float


def main() -> None:
    arguments = _arguments()
    if arguments.close:
        print(json.dumps(asyncio.run(_close(arguments.close, arguments.folder))))
        return
    results = [_measure(size) for size in arguments.turns or SIZES]
    print(results_table(results))


def results_table(results: list[Result]) -> str:
    """The result as Markdown."""
    lines = ["| turns | scores | seconds | turns/s | peak memory | HTML | JSON |", "|" + "---:|" * 7]
    lines += [
        f"| {result.turns:,} | {result.scores:,} | {result.seconds:.1f} | {result.turns / result.seconds:,.0f} "
        f"| {result.peak_mib:,.0f} MiB | {result.html_mib:.1f} MiB | {result.json_mib:,.0f} MiB |"
        for result in results
    ]
    return "\n".join(lines)


def _measure(turns: int) -> Result:
    """Writes a run, then closes it in a fresh process."""
    name = asyncio.run(_write(turns))
    with tempfile.TemporaryDirectory(prefix="nightjar-bench-") as folder:
        command = [sys.executable, "-m", "nightjar.scripts.dev.collecting_bench", "--close", name, "--folder", folder]
        answer, peak_mib = _watched(command)
    asyncio.run(_drop())
    result: dict[str, Any] = json.loads(answer.splitlines()[-1])
    return Result(**result, peak_mib=peak_mib)


def _watched(command: list[str]) -> tuple[str, float]:
    """The command's output, and the peak resident memory of it and its children together, in MiB."""
    import psutil

    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    watched, peak = psutil.Process(process.pid), 0
    while process.poll() is None:
        with contextlib.suppress(psutil.Error):
            family = (watched, *watched.children(recursive=True))
            peak = max(peak, sum(member.memory_info().rss for member in family))
        time.sleep(LOOK_EVERY_S)
    if process.returncode:
        raise SystemExit(process.returncode)
    return process.stdout.read(), peak / 2**20


async def _close(run: str, folder: Path) -> dict[str, Any]:
    from nightjar.pipeline.closing.close import close_run
    from nightjar.scripts.session import open_session

    _use_own_database()
    async with open_session() as session:
        begun = time.perf_counter()
        paths = await close_run(run, session.database, folder)
        seconds = time.perf_counter() - begun
        counted = {"$group": {"_id": None, "turns": {"$sum": "$turns_committed"}}}
        cursor = await session.database.jobs.aggregate([{"$match": {"run": run}}, counted])
        (total,) = await cursor.to_list(1)
        scores = await session.database.raw["scores"].count_documents({"run": run})
    html, document = (path.stat().st_size / 2**20 for path in paths)
    sizes = {"html_mib": html, "json_mib": document}
    return {"turns": total["turns"], "scores": scores, "seconds": seconds, **sizes}


async def _write(turns: int) -> str:
    """Writes a run with that many turns and returns its id."""
    from nightjar.scripts.session import open_session

    _use_own_database()
    async with open_session() as session:
        await session.database.client.drop_database(DATABASE)
        repeats = max(turns // (len(MODELS) * SEQUENCES * TURNS), 1)
        return await _insert(session.database, repeats)


async def _insert(database: Database, repeats: int) -> str:
    about = [sequence(number) for number in range(SEQUENCES)]
    await insert_made_up_suite(about)
    return await insert_made_up_run(about, database, name=f"bench-{repeats}", repeats=repeats)


async def insert_made_up_suite(about: list[Sequence]) -> None:
    """The suite that all made-up runs are of, with these sequences."""
    from nightjar.jobs.documents import SequenceDocument, SequenceRef, SuiteVersion
    from nightjar.jobs.identity import digest

    names = _document_names(about)
    for one in about:
        await SequenceDocument(id=names[one.id], sequence=one).insert()
    await SuiteVersion(
        id=digest("bench"),
        name="bench",
        version=1,
        source="made up",
        imported_at=START,
        sequences=[
            SequenceRef(id=s.id, digest=s.digest, document=names[s.id], turns=TURNS, mode=s.mode, tags=s.tags)
            for s in about
        ],
    ).insert()


async def insert_made_up_run(
    about: list[Sequence], database: Database, *, name: str, repeats: int, **changes: Any
) -> str:
    """A run of these sequences with all its replies; its id. `changes` are fields of the run."""
    from nightjar.jobs.documents import Run, RunModel
    from nightjar.jobs.identity import digest
    from nightjar.jobs.states import RunStatus

    fields: dict[str, Any] = {"status": RunStatus.JUDGING, "created_at": START} | changes
    run = Run(
        id=digest("run", name),
        name=name,
        suite=digest("bench"),
        suite_name="bench",
        suite_version=1,
        sequences=[one.id for one in about],
        models=[RunModel(name=name) for name in MODELS],
        repeats=repeats,
        seed=7,
        date="2026-11-20",
        nightjar_version="0",
        content=digest("content"),
        **fields,
    )
    await run.insert()
    batch: list[dict[str, Any]] = []
    for document in _jobs(run.id, about, _document_names(about), repeats):
        batch.append(document)
        if len(batch) == 1000:
            await database.jobs.insert_many(batch, ordered=False)
            batch = []
    if batch:
        await database.jobs.insert_many(batch, ordered=False)
    return run.id


def _document_names(about: list[Sequence]) -> dict[str, str]:
    from nightjar.jobs.identity import digest

    return {one.id: digest("sequence", one.model_dump(mode="json")) for one in about}


def sequence(number: int) -> Sequence:
    """Four turns with every kind of check; the last asks for JSON."""
    from nightjar.jobs.sequences import Sequence

    checks = [
        {"check": "includes", "value": ["storms", "cat"]},
        {"check": "regex", "value": r"\b(?:sea|river)\b.{0,200}\bwinter\b"},
        {"check": "max_words", "value": 160},
    ]
    turns = [{"prompt": f"Prompt {number}, turn {turn}.", "expect": checks} for turn in range(TURNS - 1)]
    turns.append({"prompt": "Now as JSON.", "expect": [*checks, {"check": "json", "value": True}]})
    return Sequence.model_validate({"id": f"s{number:03d}", "turns": turns, "tags": [f"tag{number % 6}"]})


def _jobs(run: str, about: list[Sequence], names: dict[str, str], repeats: int) -> Iterator[dict[str, Any]]:
    from nightjar.jobs.documents import Job
    from nightjar.jobs.identity import job_id
    from nightjar.jobs.parameters import ParameterSource, resolve
    from nightjar.jobs.states import JobStatus

    source = random.Random(7)  # noqa: S311
    resolved = resolve([(ParameterSource.SUITE, {"temperature": 0.8})])
    parameters = resolved.values.model_dump(mode="json")
    sources = {key: value.value for key, value in resolved.sources.items()}
    order = 0
    for model in MODELS:
        for sequence in about:
            for repeat in range(repeats):
                turns = [_turn(source, sequence, turn, order, parameters, sources, model) for turn in range(TURNS)]
                document = Job.model_construct(
                    run=run,
                    model=model,
                    sequence=sequence.id,
                    sequence_digest=sequence.digest,
                    sequence_document=names[sequence.id],
                    repeat=repeat,
                    order=order,
                    status=JobStatus.DONE,
                    due_at=START,
                    turns_total=TURNS,
                    turns_committed=TURNS,
                    created_at=START,
                    finished_at=START,
                )
                row = {name: getattr(document, name) for name in Job.model_fields if name != "id"}
                name = job_id(run, "reply", sequence.id, model, repeat)
                yield {
                    "_id": name,
                    **row,
                    "kind": "reply",
                    "status": "DONE",
                    "tags": list(sequence.tags),
                    "turns": turns,
                }
                order += 1


def _turn(
    source: random.Random,
    about: Sequence,
    index: int,
    order: int,
    parameters: dict[str, Any],
    sources: dict[str, str],
    model: str,
) -> dict[str, Any]:
    """A committed turn as MongoDB stores it, with a reply of 60 to 200 words."""
    count = source.randint(60, 200)
    reply = " ".join(source.choices(WORDS, k=count)).capitalize() + "."
    if index == TURNS - 1 and source.random() < 0.8:
        reply = json.dumps({"story": reply, "words": count})
    tokens = count * 4 // 3
    speed = 60.0
    return {
        "index": index,
        "name": None,
        "prompt": about.turns[index].prompt,
        "draws": [
            {
                "seed": source.getrandbits(31),
                "reply": reply,
                "reply_ids": list(range(tokens)),
                "raw_text": reply,
                "finish_reason": "stop",
                "mean_logprob": -1.25,
                "timings": {"queue_s": 0.02, "prefill_s": 0.05, "decode_s": tokens / speed, "first_token_s": 0.07},
            }
        ],
        "prompt_tokens": 40 + 200 * index,
        "reused_tokens": 200 * index,
        "prompt_digest": "0" * 32,
        "policy": "trim",
        "dropped_turns": [],
        "parameters": parameters,
        "sources": sources,
        "chain": "0" * 32,
        "fence": 1,
        "worker": f"{model}:1:1",
        "committed_at": START + timedelta(seconds=order // 4, milliseconds=250 * index),
    }


async def _drop() -> None:
    from nightjar.scripts.session import open_session

    _use_own_database()
    async with open_session() as session:
        await session.database.client.drop_database(DATABASE)


def _use_own_database() -> None:
    os.environ["NIGHTJAR_MONGO_DATABASE"] = DATABASE


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m nightjar.scripts.dev.collecting_bench", description=__doc__)
    parser.add_argument("--turns", type=int, action="append", help="a number of turns; may be given several times")
    parser.add_argument("--close", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, default=Path(), help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
