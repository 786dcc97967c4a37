"""From what moves to the browser: events, and watched text from the moment the engine hands it over."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from nightjar.jobs.documents import Job, Run
from nightjar.jobs.events import EventKind, Moved
from nightjar.jobs.runs import control
from nightjar.jobs.sequences import Sequence, TurnSpec
from nightjar.jobs.states import JobStatus
from nightjar.pipeline.runs.producer import enqueue
from nightjar.pipeline.runs.request import make_request
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.importer import import_suite
from nightjar.scripts.dev.bench.rows import BenchRow, nth_percentile
from nightjar.scripts.dev.web_bench.clients import BenchClients
from nightjar.scripts.dev.web_bench.goals import EVENT_MS, median_row, percentiles_note, text_delays_ms
from nightjar.scripts.dev.web_bench.served import GRACE_S, READY_S, ServedBench, served_bench
from nightjar.scripts.dev.web_bench.setup import DEMO, WebSetup

SESSIONS, STREAMS = 4, 5
"""Twenty browsers' streams: of each session's, so many are of events, the others of a watched text."""
OF_EVENTS = 2
SLOTS = 8
MOVES = 200
EVERY_S = 0.05
LONG: dict[str, Any] = {"max_tokens": 1900, "json_schema": {"type": "string", "minLength": 6000}}
"""Replies that go on for a while, whatever the model would like."""
_Heard = list[tuple[int, str, int | None, int | None, int | None, int]]
"""Stream, job, fence, turn, characters, nanoseconds; of an event no fence, turn and characters."""


async def event_times(setup: WebSetup) -> list[BenchRow]:
    """What a run says while eight conversations are written, to twenty clients."""
    rounds: list[tuple[dict[str, int], _Heard]] = []
    async with served_bench() as bench:
        noted = bench.home / "noted.json"
        await bench.dispatcher()
        worker = await bench.worker(DEMO, "--slots", str(SLOTS), "--threads", "1", noted=noted)
        for number in range(setup.rounds):
            rounds.append(await _round(bench, number))
        await worker.stop(GRACE_S)
        handed = _handed(noted)
    events = [_event_delays_ms(said, heard) for said, heard in rounds]
    texts = [text_delays_ms(handed, _texts_of(heard)) for _, heard in rounds]
    both = [one + other for one, other in zip(events, texts, strict=True)]
    about = f"p99 with {SESSIONS * STREAMS} clients"
    return [_row(f"{what} to browser, {about}", delays) for what, delays in _named(both, events, texts)]


def _named(*delays: list[list[float]]) -> list[tuple[str, list[list[float]]]]:
    return list(zip(("events and watched text", "events", "watched text"), delays, strict=True))


def _row(measure: str, delays: list[list[float]]) -> BenchRow:
    p99 = [nth_percentile(each, 99) for each in delays]
    return median_row(measure, p99, EVENT_MS, "ms", percentiles_note(delays, "ms"))


async def _round(bench: ServedBench, number: int) -> tuple[dict[str, int], _Heard]:
    run = await _begun(bench, number)
    jobs = await _running(run)
    streams: list[dict[str, str]] = []
    for session in range(SESSIONS):
        cookie = await bench.cookie()
        streams += [{"cookie": cookie, "path": "/events"}] * OF_EVENTS
        for watched in range(STREAMS - OF_EVENTS):
            job = jobs[(session * STREAMS + watched) % len(jobs)]
            streams.append({"cookie": cookie, "path": f"/runs/{run.name}/jobs/{job}/text", "job": job})
    said: dict[str, int] = {}
    async with BenchClients.up("listen", {"host": bench.host, "streams": streams}) as clients:
        for move in range(MOVES):
            name = f"bench-{number}-{move}"
            said[name] = time.monotonic_ns()
            bench.session.database.events.say(Moved(kind=EventKind.JOB, run=run.id, job=name))
            await asyncio.sleep(EVERY_S)
        await asyncio.sleep(1)
        heard, failed = await clients.end()
    assert not failed, failed
    begun = await Run.get(run.id)
    assert begun is not None
    await control.cancel(begun, bench.session.database)
    return said, heard


async def _begun(bench: ServedBench, number: int) -> Run:
    sequences = tuple(
        Sequence(id=f"s{each}", turns=(TurnSpec(prompt=f"Go on, {each}."),), parameters=LONG) for each in range(SLOTS)
    )
    content = SuiteContent(name=f"bench-{number}", sequences=sequences)
    version, _ = await import_suite(content, bench.session.database)
    request = make_request(
        suite=f"{version.name}@{version.version}", models=(DEMO,), name=f"bench-{number}", known_models=(DEMO,)
    )
    return (await enqueue(request, bench.session.database)).run


async def _running(run: Run) -> list[str]:
    """Ids of its jobs, when all of them are being replied to."""
    async with asyncio.timeout(READY_S):
        while True:
            jobs = await Job.find({"run": run.id}).to_list()
            if len(jobs) == SLOTS and all(job.status is JobStatus.RUNNING for job in jobs):
                return [job.id for job in jobs]
            await asyncio.sleep(0.1)


def _event_delays_ms(said: dict[str, int], heard: _Heard) -> list[float]:
    """Every one to every stream of events. Raises AssertionError where one of them did not come."""
    delays = [(moment - said[job]) / 1e6 for _, job, fence, _, _, moment in heard if fence is None and job in said]
    assert len(delays) == len(said) * SESSIONS * OF_EVENTS, f"{len(delays)} of {len(said)} events times streams came"
    return delays


def _texts_of(heard: _Heard) -> dict[tuple[int, str, int, int], list[tuple[int, int]]]:
    texts: dict[tuple[int, str, int, int], list[tuple[int, int]]] = defaultdict(list)
    for stream, job, fence, turn, characters, moment in heard:
        if fence is not None and turn is not None and characters is not None:
            texts[stream, job, fence, turn].append((characters, moment))
    return texts


def _handed(file: Path) -> dict[tuple[str, int, int], list[tuple[int, int]]]:
    handed: dict[tuple[str, int, int], list[tuple[int, int]]] = defaultdict(list)
    for job, fence, turn, characters, moment in json.loads(file.read_text("utf-8")):
        handed[job, fence, turn].append((characters, moment))
    return handed
