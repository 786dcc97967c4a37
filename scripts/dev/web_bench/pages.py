"""How long the server takes for every page of a home in which much was evaluated, and how large a first load is."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from statistics import median
from typing import Any

import psutil

from nightjar.config.errors import ServiceError
from nightjar.jobs.ending import EndScore
from nightjar.jobs.run_outcome import RunOutcome
from nightjar.jobs.states import RunStatus
from nightjar.scripts.dev.bench.rows import BenchRow
from nightjar.scripts.dev.collecting_bench import (
    SEQUENCES,
    START,
    insert_made_up_run,
    insert_made_up_suite,
    sequence,
)
from nightjar.scripts.dev.web_bench.clients import opened_stream
from nightjar.scripts.dev.web_bench.goals import FIRST_LOAD_KB, PAGE_MS, POOL_MIB, median_row
from nightjar.scripts.dev.web_bench.served import ServedBench, report_progress, served_bench
from nightjar.scripts.dev.web_bench.setup import WebSetup, resident_mib

RUNS = 100
BIG = "big"
"""The run with 10,000 turns: 2,500 jobs."""
BIG_REPEATS, SMALL_SEQUENCES = 5, 19
"""The other 99 runs have 76 jobs each: 10,024 together."""
READY_S = 130.0
AGAIN_S = 0.5
PAGES = (
    "/",
    "/runs",
    "/runs?q=bench&suite=bench",
    f"/runs/{BIG}",
    f"/runs/{BIG}/transcripts",
    f"/runs/{BIG}/transcripts?page=125",
    f"/runs/{BIG}/transcripts?text=storms",
    f"/runs/{BIG}/report",
    f"/runs/{BIG}/report/document",
    "/compare",
    f"/compare?base={BIG}&other=run-1",
    "/trend",
    "/trend/bench",
    "/schedules",
    "/suites",
    "/suites/bench",
    "/models",
    "/models/get",
    "/models/nightjar-demo",
    "/models/nightjar-demo/settings",
    "/play",
    "/search",
    "/search?q=storms",
    "/duplicates",
    "/costs",
    "/new",
    "/workers",
    "/doctor",
    "/doctor/cleanup",
    "/settings",
)
_COMPUTED = re.compile(rb'<li class="info">[^<]*as soon as')
"""What a page says that is computed beside, in whatever words."""
_LOADED = re.compile(rb'<(?:script|link)[^>]* (?:src|href)="(/static/[^"]+)"')


async def page_times(setup: WebSetup) -> list[BenchRow]:
    """Every page in turn, in every round; where one says that it is computed, it is asked again until it is there."""
    times: dict[str, list[float]] = defaultdict(list)
    computed: dict[str, float] = {}
    waits: list[float] = []
    async with served_bench() as bench:
        report_progress("writing 100 runs with 10,000 jobs")
        await _write_much(bench)
        cookie = await bench.cookie()
        async with _highest_of_pool(bench) as pool:
            for _ in range(setup.rounds):
                for path in PAGES:
                    times[path].append(await _page_ms(bench, cookie, path, computed, waits))
        kilobytes = await _first_load_kb(bench, cookie)
    medians = sorted(((median(each), path) for path, each in times.items()), reverse=True)
    path = medians[0][1]
    longest = max(value for each in times.values() for value in each)
    then = ", ".join(f"{other} {value:.0f}" for value, other in medians[1:6])
    last = ", ".join(f"{path} {seconds:.1f} s" for path, seconds in computed.items())
    note = f"{path}; then {then}; {len(times)} pages, the longest answer in any round {longest:.0f} ms"
    return [
        median_row("slowest page at the server", times[path], PAGE_MS, "ms", note, **times),
        median_row(
            "longest answer that says `computed`", [max(waits, default=0.0)], None, "ms", f"there after: {last}"
        ),
        median_row("first load without charts", [kilobytes], FIRST_LOAD_KB, "kB", "page, style and scripts"),
        median_row("memory of the page's pool, highest", [max(pool, default=0.0)], POOL_MIB, "MiB"),
    ]


async def _write_much(bench: ServedBench) -> None:
    database = bench.session.database
    about = [sequence(number) for number in range(SEQUENCES)]
    await insert_made_up_suite(about)
    score = EndScore(model="m", metric="checks", mean=0.5, low=0.4, high=0.6, n=SMALL_SEQUENCES, missing=0)
    for number in range(RUNS):
        moment = START + timedelta(hours=number)
        outcome = RunOutcome(
            answer="No difference can be told.", scores=[score], finished_at=moment + timedelta(minutes=50)
        )
        changes: dict[str, Any] = {"status": RunStatus.DONE, "created_at": moment, "outcome": outcome}
        name, few = (BIG, about) if number == 0 else (f"run-{number}", about[:SMALL_SEQUENCES])
        repeats = BIG_REPEATS if number == 0 else 1
        await insert_made_up_run(few, database, name=name, repeats=repeats, **changes)


async def _page_ms(bench: ServedBench, cookie: str, path: str, computed: dict[str, float], waits: list[float]) -> float:
    """Until the whole answer is here. Of a page that is computed beside, the answer that has it: `waits` gets how long
    those before it took, `computed` how long it was computed for the first time."""
    began = time.perf_counter()
    while True:
        asked = time.perf_counter()
        body = await _get(bench, cookie, path)
        spent_ms = 1000 * (time.perf_counter() - asked)
        if body is not None and not _COMPUTED.search(body):
            break
        waits.append(spent_ms)
        if time.perf_counter() - began > READY_S:
            raise ServiceError(f"{path} was not ready after {READY_S:.0f} s. Log: {bench.server.log}.")
        await asyncio.sleep(AGAIN_S)
    if asked > began + AGAIN_S:
        report_progress(f"{path}: there after {asked - began:.1f} s")
        computed.setdefault(path, asked - began)
    return spent_ms


async def _get(bench: ServedBench, cookie: str, path: str) -> bytes | None:
    """The body; None where it is still being computed."""
    head = f"GET {path} HTTP/1.1\r\ncookie: {cookie}\r\naccept: text/html"
    try:
        async with opened_stream(bench.host, head) as (reader, _):
            return await reader.read(-1)
    except RuntimeError as error:
        if " 503 " in str(error).partition("\r\n")[0]:
            return None
        raise


async def _first_load_kb(bench: ServedBench, cookie: str) -> float:
    """What a browser that comes for the first time is sent for the page Now."""
    page = await _get(bench, cookie, "/")
    assert page is not None
    files = [await _get(bench, cookie, found.decode()) for found in {*_LOADED.findall(page)}]
    assert len(files) > 4, "where are the scripts?"
    return (len(page) + sum(len(file or b"") for file in files)) / 1000


@asynccontextmanager
async def _highest_of_pool(bench: ServedBench) -> AsyncIterator[list[float]]:
    """The memory of the page's children together, looked at while the block runs."""
    web, seen = bench.processes()["web"], [0.0]

    async def look() -> None:
        while True:
            with contextlib.suppress(psutil.Error):
                pool = [child for child in web.children() if "heavy" in " ".join(child.cmdline())]
                seen.append(resident_mib(pool))
            await asyncio.sleep(0.2)

    looking = asyncio.create_task(look())
    try:
        yield seen
    finally:
        looking.cancel()
