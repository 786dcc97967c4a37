"""Mixed faults, and a run through them. A seed decides what happens when; each fault waits for its moment."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psutil

from nightjar.jobs.mongo import Database
from tests.acceptance.chaos.house import LEASE_S, RUN, House
from tests.workbench import make_run

KINDS = (
    "kill worker",
    "kill worker",
    "kill supervisor",
    "kill dispatcher",
    "kill redis",
    "kill mongo",
    "stop worker",
    "term worker",
    "flushall",
)
ENDS: dict[str, Callable[[psutil.Process], None]] = {
    "stop worker": lambda victim: None,
    "stop and term worker": lambda victim: victim.send_signal(signal.SIGTERM),
    "stop and kill worker": lambda victim: victim.kill(),
}
"""What becomes of a worker that was stopped for twice its lease; at last it is continued."""


@dataclass
class Faults:
    """Causes faults, and counts them."""

    house: House
    chance: random.Random
    counts: Counter[str] = field(default_factory=Counter)
    _stopped: set[asyncio.Task[None]] = field(default_factory=set)

    async def strike(self, kind: str) -> None:
        """Causes one fault of a kind; without a victim it waits for one."""
        self.counts[kind] += 1
        if kind == "flushall":
            await self._flush()
        elif kind in ENDS:
            self._stopped.add(asyncio.create_task(self._stop_past_lease(await self._victim(), ENDS[kind])))
        elif kind == "kill worker":
            (await self._victim()).kill()
        elif kind == "term worker":
            (await self._victim()).terminate()
        else:
            name = {"kill supervisor": f"worker{self.chance.randrange(self.house.workers)}"}.get(kind, kind.split()[1])
            process = self.house.processes.get(name)
            if process is not None and process.poll() is None:
                process.kill()

    async def over(self) -> None:
        """Waits until every stopped worker has been continued or ended."""
        await asyncio.gather(*self._stopped)

    async def _victim(self) -> psutil.Process:
        found: list[psutil.Process] = []
        while not found:
            await asyncio.sleep(0.05)
            found = [process for process in self.house.generating() if _runs(process)]
        return self.chance.choice(found)

    async def _stop_past_lease(self, victim: psutil.Process, end: Callable[[psutil.Process], None]) -> None:
        with contextlib.suppress(psutil.Error):
            victim.suspend()
            await asyncio.sleep(2 * LEASE_S)
            end(victim)
            victim.resume()

    async def _flush(self) -> None:
        from redis.asyncio import Redis
        from redis.exceptions import RedisError

        client = Redis(port=self.house.redis_port, socket_timeout=2)
        with contextlib.suppress(RedisError, OSError):
            await client.flushall()
        await client.aclose()


def _runs(process: psutil.Process) -> bool:
    """False for a process that is stopped or has ended."""
    try:
        return process.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


async def endure(
    house: House,
    database: Database,
    *,
    sequences: int,
    turns: int,
    faults: int,
    seed: int,
    limit_s: float,
    kinds: tuple[str, ...] = KINDS,
) -> Counter[str]:
    """Creates a run, causes faults at even steps of its progress, and waits until DONE. Returns the faults by kind."""
    chance = random.Random(seed)
    await make_run(RUN, sequences=sequences, turns=turns, model=house.model, set_parameters={"max_tokens": 80})
    total = sequences * turns
    steps = sorted(chance.sample(range(1, total - total // 20), faults))
    striker = Faults(house=house, chance=chance)
    plan = [kinds[n % len(kinds)] for n in range(faults)]
    chance.shuffle(plan)
    end = time.monotonic() + limit_s
    for step, kind in zip(steps, plan, strict=True):
        await wait_for_turns(database, step, end)
        await striker.strike(kind)
    await wait_for_turns(database, total, end)
    await striker.over()
    return striker.counts


async def wait_for_turns(database: Database, turns: int, end: float) -> None:
    while await committed(database) < turns:
        assert time.monotonic() < end, f"too slow: {await committed(database)} of {turns} turns"
        await asyncio.sleep(0.05)


async def committed(database: Database) -> int:
    """Committed turns of the run; waits while MongoDB cannot be reached."""
    from nightjar.jobs.patience import patiently

    async def count() -> int:
        groups: list[dict[str, Any]] = [
            {"$match": {"run": RUN}},
            {"$group": {"_id": None, "turns": {"$sum": "$turns_committed"}}},
        ]
        return sum([row["turns"] async for row in await database.jobs.aggregate(groups, hint="status")])

    return await patiently(count)
