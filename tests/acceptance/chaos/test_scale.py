"""A million jobs: expanded by a producer that is killed again and again, dispatched, and looked at."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from jobs.database import connect
from jobs.documents import Run
from jobs.models import ModelKind
from jobs.publishing import publish_model
from jobs.states import RunStatus
from pipeline.window import LARGEST
from tests.acceptance.chaos.house import PROJECT, House, status
from tests.acceptance.chaos.scripted_worker import MODEL
from tests.workbench import until
from workers.engine.fake import scripted_facts

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(3000)]
SEQUENCES = 10_000
REPEATS = int(os.environ.get("CHAOS_SCALE_REPEATS", "100"))
KILLS = 5


def write_suite(path: Path) -> None:
    sequences = "".join(f"  - {{id: s{n}, turns: [{{prompt: 'Tell of day {n}.'}}]}}\n" for n in range(SEQUENCES))
    path.write_text(f"nightjar: 1\nname: many\nsequences:\n{sequences}")


async def test_a_million_jobs(tmp_path: Path) -> None:
    house = House(folder=tmp_path, workers=0, knobs={})
    total = SEQUENCES * REPEATS
    try:
        for name in ("mongo", "redis"):
            house.start(name)
        url = SecretStr(f"mongodb://127.0.0.1:{house.mongo_port}")
        async with await connect(url, "nightjar", timeout_s=20) as database:
            facts = scripted_facts(MODEL, context=4096, kind=ModelKind.CHAT, digest="0" * 64)
            await publish_model(database, facts, by="test")
            write_suite(tmp_path / "many.yaml")
            environment = os.environ | house.environment()
            run = [sys.executable, "-m", "scripts"]
            await asyncio.to_thread(
                subprocess.run, [*run, "suite", "import", str(tmp_path / "many.yaml")], env=environment, cwd=PROJECT,
                check=True,
            )  # fmt: skip
            enqueue = [*run, "enqueue", "--suite", "many", "--model", MODEL, "--repeats", str(REPEATS), "--name", "big"]

            async def reached(mark: int) -> bool:
                return await database.jobs.estimated_document_count() >= mark

            began = time.monotonic()
            for kill in range(1, KILLS + 1):
                producer = await asyncio.create_subprocess_exec(*enqueue, env=environment, cwd=PROJECT)
                mark = total * kill // (KILLS + 2)
                await until(partial(reached, mark), within_s=600)
                producer.kill()
                await producer.wait()
            house.start("dispatcher")

            async def whole() -> bool:
                run = await Run.find_one({"name": "big"})
                return run is not None and run.status is RunStatus.ACTIVE

            await until(whole, within_s=2000)
            took = time.monotonic() - began
            assert await database.jobs.count_documents({}) == total
            told, _, status_s = await status(house)
            assert told["runs"][0]["jobs"]["PENDING"] == total
            await asyncio.sleep(3)
            async with Redis(port=house.redis_port) as redis:
                entries = await redis.dbsize()
                redis_bytes = (await redis.info("memory"))["used_memory"]
            assert entries <= LARGEST + 10
        print(
            f"{total:,} jobs in {took:.0f} s, {total / took:,.0f} jobs/s with {KILLS} kills; status {status_s:.1f} s; "
            f"Redis {redis_bytes / 1e6:.1f} MB, {entries} keys"
        )
    finally:
        house.close()
