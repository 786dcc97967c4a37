"""How much memory the page takes: with as many streams as it has, and after many live requests."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any

import psutil

from nightjar.scripts.dev.bench.rows import BenchRow
from nightjar.scripts.dev.web_bench.clients import BenchClients
from nightjar.scripts.dev.web_bench.goals import GROWN_MIB, WEB_MIB, median_row
from nightjar.scripts.dev.web_bench.served import ServedBench, served_bench
from nightjar.scripts.dev.web_bench.setup import DEMO, WebSetup, bench_prompts, resident_mib

STREAMS, OF_SESSION = 200, 5
REQUESTS = 10_000
READINGS = 5
"""The memory is read after a fifth of the requests, and after each further one."""
AT_ONCE = 8
KEEP_S = 20
"""Conversations go so soon after their end, or MongoDB would have to hold all of them."""
SETTLE_S = 30.0
WARM_ROUNDS_S = 3.0


async def memory_of_streams(setup: WebSetup) -> list[BenchRow]:
    """Two hundred open streams of events, as forty sessions have them, in every round anew."""
    values = []
    async with served_bench() as bench:
        web = bench.processes()["web"]
        for _ in range(setup.rounds):
            cookies = [await bench.cookie() for _ in range(STREAMS // OF_SESSION)]
            streams = [{"cookie": cookie, "path": "/events"} for cookie in cookies for _ in range(OF_SESSION)]
            wanted = {"host": bench.host, "streams": streams, "deaf": True, "settle_s": WARM_ROUNDS_S}
            async with BenchClients.up("listen", wanted) as clients:
                values.append(resident_mib([web]))
                _, failed = await clients.end()
            assert not failed, failed
            await asyncio.sleep(1)
    return [median_row(f"memory of the web process with {STREAMS} streams", values, WEB_MIB, "MiB")]


async def memory_of_requests(setup: WebSetup) -> list[BenchRow]:
    """Short live requests, streamed, with their conversations removed soon after."""
    grown: dict[str, list[float]] = defaultdict(list)
    each = setup.share(REQUESTS) // READINGS
    async with served_bench({"NIGHTJAR_LIVE__KEEP_S": str(KEEP_S)}) as bench:
        await bench.dispatcher()
        options = ("--slots", str(AT_ONCE + 1), "--live", str(AT_ONCE), "--threads", "1")
        worker = psutil.Process((await bench.worker(DEMO, *options)).process.pid)
        processes = {**bench.processes(), "worker": worker}
        for reading in range(READINGS):
            await _ask_many(bench, each, reading * each)
            await asyncio.sleep(SETTLE_S)
            for name, process in processes.items():
                grown[name].append(resident_mib([process]))
    measure = f"after {each * READINGS:,} live requests, more than after {each:,}"
    return [
        median_row(
            f"memory of {name} {measure}",
            [values[-1] - values[0]],
            GROWN_MIB if name != "worker" else None,
            "MiB",
            "MiB after every fifth: " + ", ".join(f"{value:.0f}" for value in values),
            resident=values,
        )
        for name, values in grown.items()
    ]


async def _ask_many(bench: ServedBench, count: int, begin: int) -> None:
    asked: dict[str, Any] = {"model": DEMO, "max_tokens": 4}
    prompts = list(bench_prompts(count, begin))
    wanted = {"host": bench.host, "token": bench.token, "clients": AT_ONCE, "prompts": prompts, "asked": asked}
    async with BenchClients.up("chat", wanted) as clients:
        await clients.end()
