"""Nothing lost, nothing twice: runs on the scripted engine through faults. `make chaos` runs the long ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.chaos.faults import endure
from tests.acceptance.chaos.house import House, inhabited
from tests.acceptance.chaos.verdict import judge


async def endure_mixed_faults(folder: Path, *, sequences: int, faults: int, seed: int, limit_s: float) -> None:
    """Every turn once, right and chained; at most a tenth generated again, none of them after its commit."""
    house = House(folder=folder, workers=2, knobs={"slots": 6, "token_delay_s": 0.0005})
    async with inhabited(house) as database:
        counts = await endure(house, database, sequences=sequences, turns=4, faults=faults, seed=seed, limit_s=limit_s)
        verdict = await judge(house, turns=4)
    print(f"seed {seed}: {dict(counts)}: {verdict.generated} generations, {verdict.again:.1%} more than turns")
    assert verdict.again <= 0.1
    assert verdict.wrong == []
    assert verdict.done == verdict.jobs == sequences
    assert (verdict.after_commit, verdict.late) == (0, 0)


async def test_a_short_run_through_mixed_faults(tmp_path: Path) -> None:
    await endure_mixed_faults(tmp_path, sequences=60, faults=8, seed=1, limit_s=240)


@pytest.mark.chaos
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_thousand_sequences_through_a_hundred_faults(tmp_path: Path, seed: int) -> None:
    await endure_mixed_faults(tmp_path, sequences=1000, faults=100, seed=seed, limit_s=3500)


@pytest.mark.chaos
@pytest.mark.timeout(900)
async def test_the_demo_model_through_ten_faults(tmp_path: Path) -> None:
    """The same with llama.cpp in the workers."""
    house = House(folder=tmp_path, workers=1, knobs={}, demo_model=True)
    async with inhabited(house) as database:
        counts = await endure(house, database, sequences=50, turns=4, faults=10, seed=1, limit_s=850)
        verdict = await judge(house, turns=4)
    print(f"demo model: {dict(counts)}")
    assert (verdict.wrong, verdict.done) == ([], 50)


@pytest.mark.chaos
@pytest.mark.timeout(600)
async def test_without_the_fence_transcripts_go_wrong(tmp_path: Path) -> None:
    """The negative control: workers stopped past their lease write late, and the check sees it."""
    knobs = {"slots": 6, "token_delay_s": 0.002, "no_fence": True}
    house = House(folder=tmp_path, workers=2, knobs=knobs)
    async with inhabited(house) as database:
        kinds = ("stop worker",)
        await endure(house, database, sequences=90, turns=4, faults=12, seed=1, limit_s=500, kinds=kinds)
        verdict = await judge(house, turns=4)
    print(f"without the fence: {len(verdict.wrong)} wrong transcripts, {verdict.late} late commits")
    assert verdict.wrong or verdict.late
