"""A whole Nightjar in child processes of a test, to be hurt: servers, dispatcher, supervised workers.

What dies is started again by `mend`, as an init system would; servers come back on their port with their data.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import psutil
from pydantic import SecretStr

from config import mongod, redis_server
from config.programs import find_program
from jobs.database import Database, connect
from jobs.documents import Job
from jobs.identity import chain_digest, turn_seed
from jobs.states import JobStatus
from tests.acceptance.chaos.scripted_worker import MODEL
from tests.workbench import make_run
from workers.engine.fake import echo

PROJECT = Path(__file__).resolve().parents[3]
RUN = "chaos"
SEED = 7
LEASE_S = 3
DEMO = "nightjar-demo"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class House:
    """Child processes by name; `mend` starts what is missing."""

    folder: Path
    workers: int
    knobs: dict[str, Any]
    demo_model: bool = False
    """Workers hold the bundled demo model instead of the scripted engine."""
    test_commands: bool = False
    """Start mongod so that it can be told to fail."""
    mongo_port: int = field(default_factory=free_port)
    redis_port: int = field(default_factory=free_port)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    mending: bool = True
    _logs: list[IO[bytes]] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        return ["mongo", "redis", "dispatcher", *(f"worker{n}" for n in range(self.workers))]

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger"

    def command(self, name: str) -> list[str]:
        if name == "mongo":
            (self.folder / "mongo").mkdir(exist_ok=True)
            program = str(find_program(mongod).path)
            options = ["--bind_ip", "127.0.0.1", "--wiredTigerCacheSizeGB", "0.25", "--quiet"]
            options += ["--setParameter", "enableTestCommands=1"] if self.test_commands else []
            return [program, "--dbpath", str(self.folder / "mongo"), "--port", str(self.mongo_port), *options]
        if name == "redis":
            program = str(find_program(redis_server).path)
            return [
                program,
                "--port",
                str(self.redis_port),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--dir",
                str(self.folder),
            ]
        if name == "dispatcher":
            return [sys.executable, "-m", "scripts", "dispatcher"]
        if self.demo_model:
            return [sys.executable, "-m", "scripts", "worker", "--model", DEMO, "--gpu", "none", "--slots", "4"]
        return [sys.executable, "-m", "tests.acceptance.chaos.scripted_worker"]

    def environment(self) -> dict[str, str]:
        """What every process of the house finds in its environment."""
        return {
            "NIGHTJAR_HOME": str(self.folder / "home"),
            "NIGHTJAR_MONGO_URL": f"mongodb://127.0.0.1:{self.mongo_port}",
            "NIGHTJAR_REDIS_URL": f"redis://127.0.0.1:{self.redis_port}",
            "NIGHTJAR_LEASE_S": str(LEASE_S),
            "NIGHTJAR_BEAT_S": "0.5",
            "NIGHTJAR_DRAIN_S": "3",
            "NIGHTJAR_MODEL__THREADS": "1",
            "CHAOS": json.dumps({"ledger": str(self.ledger), **self.knobs}),
        }

    def start(self, name: str) -> None:
        log = (self.folder / f"{name}.log").open("ab")
        self._logs.append(log)
        environment = os.environ | self.environment()
        self.processes[name] = subprocess.Popen(
            self.command(name), cwd=PROJECT, env=environment, stdout=log, stderr=log, start_new_session=True
        )

    async def mend(self) -> None:
        """Starts again what has ended, until cancelled."""
        while True:
            for name in self.names:
                process = self.processes.get(name)
                if self.mending and (process is None or process.poll() is not None):
                    self.start(name)
            await asyncio.sleep(0.2)

    def generating(self) -> list[psutil.Process]:
        """The worker processes that hold an engine: the supervisors' children."""
        found: list[psutil.Process] = []
        for name, process in self.processes.items():
            if name.startswith("worker") and process.poll() is None:
                with contextlib.suppress(psutil.Error):
                    found += psutil.Process(process.pid).children()
        return found

    def close(self) -> None:
        self.mending = False
        for name in reversed(self.names):
            process = self.processes.get(name)
            if process is None:
                continue
            for child in _descendants(process.pid):
                with contextlib.suppress(psutil.Error):
                    child.kill()
            process.kill()
            process.wait()
        for log in self._logs:
            log.close()


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


@contextlib.asynccontextmanager
async def inhabited(house: House) -> AsyncIterator[Database]:
    """The house with its servers up; yields a connection of the test's own."""
    mender = None
    try:
        for name in ("mongo", "redis"):
            house.start(name)
        url = SecretStr(f"mongodb://127.0.0.1:{house.mongo_port}")
        database = await connect(url, "nightjar", timeout_s=20)
        mender = asyncio.create_task(house.mend())
        async with database:
            yield database
    finally:
        if mender is not None:
            mender.cancel()
        house.close()


@dataclass
class Faults:
    """The mixed faults; each returns what it did, for the ledger."""

    house: House
    chance: random.Random
    counts: Counter[str] = field(default_factory=Counter)

    async def strike(self, kind: str) -> None:
        """One fault of a kind; a fault that finds no victim waits for one."""
        self.counts[kind] += 1
        if kind == "flushall":
            await self._flush()
            return
        if kind in ("kill worker", "stop worker", "term worker"):
            victim = await self._victim()
            if kind == "kill worker":
                victim.kill()
            elif kind == "term worker":
                victim.terminate()
            else:
                asyncio.get_running_loop().create_task(self._stop_past_lease(victim))
            return
        name = {"kill supervisor": f"worker{self.chance.randrange(self.house.workers)}"}.get(kind, kind.split()[1])
        process = self.house.processes.get(name)
        if process is not None and process.poll() is None:
            process.kill()

    async def _victim(self) -> psutil.Process:
        found: list[psutil.Process] = []
        while not found:
            await asyncio.sleep(0.05)
            found = self.house.generating()
        return self.chance.choice(found)

    async def _stop_past_lease(self, victim: psutil.Process) -> None:
        with contextlib.suppress(psutil.Error):
            victim.suspend()
            await asyncio.sleep(2 * LEASE_S)
            victim.resume()

    async def _flush(self) -> None:
        from redis.asyncio import Redis
        from redis.exceptions import RedisError

        client = Redis(port=self.house.redis_port, socket_timeout=2)
        with contextlib.suppress(RedisError, OSError):
            await client.flushall()
        await client.aclose()


KINDS = (
    "kill worker", "kill worker", "kill supervisor", "kill dispatcher", "kill redis", "kill mongo", "stop worker",
    "term worker", "flushall",
)  # fmt: skip


async def endure(
    house: House, database: Database, *, sequences: int, turns: int, faults: int, seed: int, limit_s: float,
    kinds: tuple[str, ...] = KINDS,
) -> Counter[str]:  # fmt: skip
    """Makes a run, strikes at even steps of its progress, and waits until it is DONE; the faults by kind."""
    chance = random.Random(seed)
    model = DEMO if house.demo_model else MODEL
    await make_run(RUN, sequences=sequences, turns=turns, model=model, set_parameters={"max_tokens": 80})
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
    return striker.counts


async def wait_for_turns(database: Database, turns: int, end: float) -> None:
    while await committed(database) < turns:
        assert time.monotonic() < end, f"too slow: {await committed(database)} of {turns} turns"
        await asyncio.sleep(0.05)


async def committed(database: Database) -> int:
    """Committed turns of the run; waits for a MongoDB that is away."""
    from jobs.patience import patiently

    async def count() -> int:
        groups: list[dict[str, Any]] = [
            {"$match": {"run": RUN}},
            {"$group": {"_id": None, "turns": {"$sum": "$turns_committed"}}},
        ]
        return sum([row["turns"] async for row in await database.jobs.aggregate(groups, hint="status")])

    return await patiently(count)


@dataclass(frozen=True)
class Verdict:
    """What became of a run: faults in its transcripts, and what was generated again."""

    jobs: int
    done: int
    wrong: list[str]
    turns: int
    generated: int
    after_commit: int
    """Generations begun for a turn that had been committed."""

    @property
    def again(self) -> float:
        """Generations beyond the committed ones, as a share of the turns."""
        return (self.generated - self.turns) / self.turns


async def judge(house: House, *, turns: int) -> Verdict:
    """Checks every transcript: each turn once, in order, with the text its prompt and seed give, chained."""
    jobs = await Job.find({"run": RUN}).to_list()
    scripted = not house.demo_model
    wrong = [f"{job.sequence}: {problem}" for job in jobs if (problem := _problem(job, turns, scripted=scripted))]
    committed_at = {turn.draw.seed: turn.committed_at.timestamp() for job in jobs for turn in job.turns}
    lines = [line.split() for line in house.ledger.read_text().splitlines()] if scripted else []
    # The worker's clock stamps both; a commit takes a moment, in which nothing may begin anew either.
    late = sum(float(began) > committed_at.get(int(seed), float("inf")) + 1 for began, seed in lines)
    done = sum(job.status is JobStatus.DONE for job in jobs)
    return Verdict(
        jobs=len(jobs), done=done, wrong=wrong, turns=len(jobs) * turns, generated=len(lines), after_commit=late
    )


def _problem(job: Job, turns: int, *, scripted: bool) -> str | None:
    if [turn.index for turn in job.turns] != list(range(turns)):
        return f"turns {[turn.index for turn in job.turns]}"
    fences = [turn.fence for turn in job.turns]
    if fences != sorted(fences):
        return f"turns committed under fences {fences}: a late owner wrote"
    chain, history = "", ""
    for turn in job.turns:
        chain = chain_digest(chain, turn.index, turn.prompt, turn.draw.reply_ids)
        if turn.chain != chain:
            return f"turn {turn.index} does not follow from the one before it"
        seed = turn_seed(SEED, job.sequence_digest, job.repeat, turn.index)
        history += f"<|im_start|>user\n{turn.prompt}<|im_end|>\n<|im_start|>assistant\n"
        if turn.draw.seed != seed or (scripted and turn.draw.reply != echo(history, seed)):
            return f"turn {turn.index} has the seed or the text of another"
        history += f"{turn.draw.reply}<|im_end|>\n"
    return None
