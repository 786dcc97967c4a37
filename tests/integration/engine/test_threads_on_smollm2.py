"""The number of threads of a real model: it follows the load only where that was asked for, and changes no text."""

from __future__ import annotations

from typing import Any

import pytest

from nightjar.config.cpu_meter import CpuMeter
from nightjar.config.load_settings import LoadSettings
from nightjar.jobs.parameters import Parameters
from nightjar.workers.engine import loading
from nightjar.workers.engine.engine import BatchEngine
from nightjar.workers.engine.loading import load
from nightjar.workers.engine.request import Request
from nightjar.workers.engine.thread_tuner import ThreadTuner
from tests.smollm2 import smollm2


@pytest.fixture(autouse=True)
def _four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "usable_cores", lambda: 4)
    others(monkeypatch, 0.0)


def others(monkeypatch: pytest.MonkeyPatch, cores: float | None, waiting: float = 0.0) -> None:
    """Other processes take so many cores; None: the load was too short to tell, and so many threads want one."""
    monkeypatch.setattr(CpuMeter, "others", lambda meter: cores)
    monkeypatch.setattr(loading, "waiting_for_cores", lambda: waiting)


async def opened(**settings: Any) -> BatchEngine:
    return await load(smollm2(), settings=LoadSettings(slots=1, context=256, **settings), gpu="none")


def asked(engine: BatchEngine, number: int, tokens: int) -> Request:
    prompt = tuple(engine.tokenizer.tokenize(f"Story {number}: a ship of iron and wood", parse_special=False))
    parameters = Parameters(max_tokens=tokens, temperature=0, top_logprobs=1)
    return Request(id=f"{number}", prompt=prompt, max_tokens=tokens, parameters=parameters, seed=1, ignore_end=True)


@pytest.mark.parametrize(
    ("settings", "follows"),
    [({}, True), ({"threads": 2}, False), ({"reproducible": True}, False), ({"threads": "auto"}, True)],
)
async def test_where_the_number_follows_the_load(settings: dict[str, Any], follows: bool) -> None:
    async with await opened(**settings) as engine:
        threads = engine.stats().threads
    assert (threads is not None) is follows
    assert threads is None or (threads.used, threads.lowest, threads.highest) == (4, 4, 4)


@pytest.mark.parametrize(
    ("taken", "waiting", "start"),
    [(0.2, 0.0, 4), (1.0, 0.0, 3), (3.9, 0.0, 1), (7.0, 0.0, 1), (None, 2.2, 2), (None, 9.0, 1)],
)
async def test_it_begins_with_the_cores_that_are_left(
    monkeypatch: pytest.MonkeyPatch, taken: float | None, waiting: float, start: int
) -> None:
    """The first piece of a prompt took 7.5 s on two threads beside seven busy ones."""
    others(monkeypatch, taken, waiting)
    async with await opened() as engine:
        assert (engine.threads, engine.load.threads) == (start, 4)


class Restless(ThreadTuner):
    """Another number at every step."""

    def step(self, shape: object, took_s: float, now: float) -> int:
        self.count = self.count % 4 + 1
        return self.count


async def test_a_number_that_changes_between_steps_changes_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row is computed by one thread as by another: ids and log-probabilities are equal to the last bit."""
    async with await opened(threads=1, flash_attention=False) as engine:
        fixed = [await engine.generate(asked(engine, number, 24)) for number in range(2)]
    monkeypatch.setattr(loading, "ThreadTuner", Restless)
    async with await opened(flash_attention=False) as engine:
        restless = [await engine.generate(asked(engine, number, 24)) for number in range(2)]
    assert [reply.token_ids for reply in restless] == [reply.token_ids for reply in fixed]
    assert [reply.mean_logprob for reply in restless] == [reply.mean_logprob for reply in fixed]
