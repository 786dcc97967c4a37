"""The pool of child processes: how much it takes on, and what everybody who waits is told."""

from __future__ import annotations

import asyncio
import inspect
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from nightjar.config.errors import NightjarError, QueueFullError
from nightjar.config.interpreter import PYTHON
from nightjar.web.heavy import child, pool
from nightjar.web.heavy.pool import HeavyPool, HeavyTask
from nightjar.web.heavy.work import WORK, find_work

HANGS = "import time; time.sleep(600)"
REFUSES = """
import json, sys
sys.stdin.readline()
for line in sys.stdin:
    print(json.dumps({"error": "no such run"}), flush=True)
"""
GROWS = """
import json, sys
sys.stdin.readline()
for line in sys.stdin:
    task = json.loads(line)
    open(task["file"], "w").close()
    print(json.dumps({"error": None, "last": task["arguments"][0] == "1"}), flush=True)
"""
DIES = "import sys; sys.stdin.readline(); sys.stdin.readline(); sys.exit(1)"


def task(number: int) -> HeavyTask:
    return HeavyTask(kind="report", arguments=(str(number),), version="1")


Opened = Callable[[str], Awaitable[HeavyPool]]


@pytest.fixture
async def opened() -> AsyncIterator[Opened]:
    """A pool whose children run this code."""
    pools: list[HeavyPool] = []

    async def open_pool(code: str) -> HeavyPool:
        made = HeavyPool(where=lambda: ("mongodb://nowhere", "none"))

        async def start() -> asyncio.subprocess.Process:
            pipe = asyncio.subprocess.PIPE
            started = await asyncio.create_subprocess_exec(
                sys.executable, "-c", code, stdin=pipe, stdout=pipe, limit=pool.LONGEST_ANSWER
            )
            made._all.add(started)
            assert started.stdin is not None
            started.stdin.write(b"{}\n")
            return started

        made._start = start  # type: ignore[method-assign]
        pools.append(made)
        return made

    yield open_pool
    for each in pools:
        await each.close()


async def test_it_takes_on_only_so_much(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions that differ by a letter would otherwise wait without end; what is under way can still be asked for."""
    monkeypatch.setattr(pool, "MOST_OPEN", 3)
    heavy = await opened(HANGS)
    for number in range(3):
        assert await heavy.look(task(number), patience_s=0) is None
    with pytest.raises(QueueFullError, match="Ask again"):
        await heavy.look(task(3), patience_s=0)
    assert not heavy.knows(task(3))
    assert await heavy.look(task(0), patience_s=0) is None


async def test_everybody_who_waits_is_told_why_it_failed(opened: Opened) -> None:
    """Two tabs with the same page; asked again it is tried again, by the same child."""
    heavy = await opened(REFUSES)
    for _ in range(2):
        both = await asyncio.gather(*(heavy.look(task(1), patience_s=60) for _ in range(2)), return_exceptions=True)
        assert [(type(error), str(error)) for error in both] == [(NightjarError, "no such run")] * 2
    assert len(heavy._all) == 1


async def test_a_child_that_has_grown_is_not_kept(opened: Opened) -> None:
    """Its result is there; the next task has a child of its own, and that is kept."""
    heavy = await opened(GROWS)
    assert await heavy.look(task(1), patience_s=60) is not None
    assert not heavy._all
    for number in (2, 3):
        assert await heavy.look(task(number), patience_s=60) is not None
        assert heavy._idle == list(heavy._all)
        assert len(heavy._all) == 1


async def test_a_child_that_dies_is_no_slow_one(opened: Opened) -> None:
    heavy = await opened(DIES)
    with pytest.raises(NightjarError, match="or failed by a fault of ours"):
        await heavy.look(task(1), patience_s=60)
    assert not heavy._all


def test_an_error_fits_into_the_line_that_is_read() -> None:
    """Whatever characters it has: a line that is too long could not be read, and its child would be lost."""
    for text in ("x" * 10**6, "\U0001f600" * 10**6, '"\\\n' * 10**6):
        line = json.dumps({"error": child.cut_error(text)})
        assert len(line) < pool.LONGEST_ANSWER
    assert child.cut_error("short") == "short"


@pytest.mark.parametrize("kind", WORK)
def test_each_task_has_its_function(kind: str) -> None:
    """They are named by their texts, which no other check reads."""
    work = find_work(kind)
    assert inspect.iscoroutinefunction(work)
    assert work.__name__.startswith("write_")


def test_a_task_imports_only_what_it_needs() -> None:
    """Reading the turns of two runs takes neither the charts' renderer nor scipy, most of a child's memory."""
    asked = "import sys; from nightjar.web.heavy.work import find_work; find_work('turns-beside'); print(*sys.modules)"
    loaded = subprocess.run([*PYTHON, "-c", asked], capture_output=True, text=True, check=True).stdout.split()
    assert "nightjar.web.heavy.turns_work" in loaded
    assert not {"scipy", "vl_convert", "numpy"} & set(loaded)
