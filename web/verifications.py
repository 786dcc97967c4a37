"""Models that are hashed again for the page: each by a process of its own that tells how far it is and goes on for as
long as it gets on, however large the files are.

What came of each is kept until the server ends.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

from nightjar.config.ended_child import end_child
from nightjar.config.errors import UsageError
from nightjar.config.interpreter import PYTHON

STALL_S = 120.0
"""It is given up where it read nothing for so long: a disk that hangs, or a share that is gone."""
TOLD_EVERY_S = 3.0
"""So often the pages are told how far it is."""
KEPT = 64
LONGEST_LINE = 2**20
_MODULE = "nightjar.web.heavy.hashing"


@dataclass(frozen=True, kw_only=True)
class Verification:
    """How hashing a model stands. `total_bytes`: None while it waits for its turn."""

    stamp: str
    """Of the files: where they are others by now, it says nothing of them."""
    done_bytes: int = 0
    total_bytes: int | None = None
    checks: tuple[dict[str, Any], ...] | None = None
    """What was found; None while it is under way, and where it failed."""
    error: str | None = None

    @property
    def running(self) -> bool:
        return self.checks is None and self.error is None


@dataclass(kw_only=True)
class Verifications:
    """Those of one server, one after the other: they would only share a disk."""

    told: Callable[[], None] = lambda: None
    """Called when one has got on or has ended."""
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _known: OrderedDict[str, Verification] = field(default_factory=OrderedDict)
    _turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))

    def start(self, model: str, stamp: str, places: str) -> None:
        """Begins. `places`: the folders that the process has to know. Raises UsageError where it is under way."""
        if model in self._tasks:
            raise UsageError(f"{model} is being hashed already.")
        self._known.pop(model, None)
        self._known[model] = Verification(stamp=stamp)
        for ended in [name for name, found in self._known.items() if not found.running][: len(self._known) - KEPT]:
            del self._known[ended]
        self._tasks[model] = asyncio.create_task(self._run(model, places))

    def of(self, model: str, stamp: str) -> Verification | None:
        """How it stands; None where nobody asked for it."""
        found = self._known.get(model)
        return found if found is not None and found.stamp == stamp else None

    async def _run(self, model: str, places: str) -> None:
        try:
            async with self._turn:
                await self._hash(model, places)
        except OSError as error:
            self._fail(model, str(error))
        finally:
            del self._tasks[model]
            self.told()

    async def _hash(self, model: str, places: str) -> None:
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(
            *PYTHON, "-m", _MODULE, stdin=pipe, stdout=pipe, limit=LONGEST_LINE, start_new_session=True
        )
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            child.stdin.write(json.dumps({"places": places, "model": model}).encode())
            child.stdin.close()
            told_at = monotonic()
            while self._known[model].running:
                async with asyncio.timeout(STALL_S):
                    line = await child.stdout.readline()
                if not line:
                    self._fail(model, "It ended without a word; the server's log may have more.")
                else:
                    self._take(model, json.loads(line))
                if monotonic() - told_at >= TOLD_EVERY_S:
                    told_at = monotonic()
                    self.told()
        except TimeoutError:
            self._fail(model, f"Nothing could be read of its files for {STALL_S:.0f} s.")
        finally:
            await end_child(child)

    def _take(self, model: str, said: dict[str, Any]) -> None:
        found = self._known[model]
        if "checks" in said:
            found = replace(found, checks=tuple(said["checks"]))
        elif "error" in said:
            found = replace(found, error=said["error"])
        else:
            found = replace(found, done_bytes=said["done"], total_bytes=said["total"])
        self._known[model] = found

    def _fail(self, model: str, why: str) -> None:
        self._known[model] = replace(self._known[model], error=why)

    async def close(self) -> None:
        """Ends what is under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
