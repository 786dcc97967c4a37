"""Two workers and one card, with a fake NVML: never both at once; the card of a vanished host becomes free again."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest

from nightjar.jobs.mongo import Database
from nightjar.workers.process.gpu_lease import LEASE_S
from tests.acceptance.chaos.faults import committed
from tests.acceptance.chaos.house import RUN, House, inhabited
from tests.acceptance.chaos.scripted_worker import MODEL
from tests.workbench import make_run, until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]
UUID = "GPU-5f0c7a1e-0000-0000-0000-000000000001"
NVML = f'''
from types import SimpleNamespace

NVML_DEVICE_MIG_ENABLE = 1


class NVMLError(Exception):
    pass


def _no(*_):
    raise NVMLError("not supported")


nvmlDeviceGetMigMode = nvmlDeviceGetUtilizationRates = nvmlDeviceGetTotalEnergyConsumption = _no
nvmlSystemGetDriverVersion = _no


def nvmlInit(): pass
def nvmlDeviceGetCount(): return 1
def nvmlDeviceGetHandleByIndex(index): return index
def nvmlDeviceGetHandleByUUID(uuid): return 0
def nvmlDeviceGetMemoryInfo(handle): return SimpleNamespace(total=2**34, used=2**30)
def nvmlDeviceGetUUID(handle): return "{UUID}"
def nvmlDeviceGetName(handle): return "Example 9000"
'''


async def holders(database: Database) -> list[str]:
    """Workers that serve now, according to their heartbeats."""
    return [row["_id"] async for row in database.workers.find({"state": "ready"}, {"_id": 1})]


async def test_two_workers_never_share_a_card(tmp_path: Path) -> None:
    (tmp_path / "nvml").mkdir()
    (tmp_path / "nvml" / "pynvml.py").write_text(NVML)
    own = {name: {"PYTHONPATH": str(tmp_path / "nvml")} for name in ("worker0", "worker1")}
    house = House(folder=tmp_path, workers=2, knobs={"slots": 2, "cards": True, "token_delay_s": 0.01}, own=own)
    async with inhabited(house) as database:
        await make_run(RUN, sequences=200, turns=4, model=MODEL)

        async def refused() -> str | None:
            assert len(await holders(database)) <= 1
            row = await database.workers.find_one({"state": "failed"})
            return None if row is None else str(row["reason"])

        reason = await until(refused, within_s=LEASE_S + 60)
        (holder,) = await holders(database)
        assert holder in reason
        assert UUID in reason
        house.mending = False
        vanished = psutil.Process(int(holder.split(":")[1]))
        for process in (vanished.parent(), vanished):
            assert process is not None
            process.kill()
        began, before = time.monotonic(), await committed(database)
        house.mending = True

        async def taken_over() -> bool:
            return await committed(database) > before + 4

        await until(taken_over, within_s=LEASE_S + 60)
    print(f"refused: {reason}; the card was had again {time.monotonic() - began:.0f} s after its holder's death")
