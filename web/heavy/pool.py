"""The pool of child processes, and what is kept of their work: by task and by the version of the data behind it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nightjar.config.ended_child import end_child
from nightjar.config.errors import NightjarError, QueueFullError, ServiceError, UsageError
from nightjar.config.interpreter import PYTHON

CHILDREN = 2
KEPT = 64
"""Files of results; the one that was used longest ago goes first."""
MOST_OPEN = 32
"""Tasks that wait or are worked at; more are not taken, or questions alone could fill the memory."""
FULL_RETRY_S = 5.0
LONGEST_ANSWER = 2**20
"""Bytes of a child's answer, which is a line: an error at most, which the child cuts."""
LIMIT_S = 120
PATIENCE_S = 0.15
"""A page that is not ready after so long says that it is being computed."""
_COMMAND = "from nightjar.web.heavy.child import work_for_parent; work_for_parent()"
_FAULTS: Mapping[str, type[NightjarError]] = {"asked": UsageError, "away": ServiceError}
"""By what a child says of an error: whoever asked wrongly is told so, and not of a fault of ours."""
Where = Callable[[], tuple[str, str]]
"""URL and name of the database."""


@dataclass(frozen=True, kw_only=True)
class HeavyTask:
    """Something to be worked out. `version` changes with the data behind it."""

    kind: str
    arguments: tuple[str, ...]
    version: str
    limit_s: int | None = None
    """None: the pool's."""


@dataclass(kw_only=True)
class HeavyPool:
    """Children that work one task at a time each; started when they are needed."""

    where: Where
    limit_s: int = LIMIT_S
    told: Callable[[], None] = lambda: None
    """Called when something has been worked out, well or not."""
    _idle: list[asyncio.subprocess.Process] = field(default_factory=list)
    _all: set[asyncio.subprocess.Process] = field(default_factory=set)
    _turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CHILDREN))
    _results: OrderedDict[HeavyTask, asyncio.Task[Path]] = field(default_factory=OrderedDict)
    _folder: tempfile.TemporaryDirectory[str] | None = None

    async def look(self, task: HeavyTask, patience_s: float = PATIENCE_S) -> Path | None:
        """The file with the result; None while it is being worked out.

        Raises NightjarError where that failed, to everybody who waited for it; QueueFullError.
        """
        result = self._results.get(task)
        if result is None:
            self._check_room()
            result = self._results[task] = asyncio.create_task(self._run(task))
            result.add_done_callback(lambda _: self.told())
            await self._forget_oldest()
        else:
            self._results.move_to_end(task)
        done, _ = await asyncio.wait({result}, timeout=patience_s)
        if not done:
            return None
        if result.exception() is not None and self._results.get(task) is result:
            del self._results[task]  # asked again, it is tried again
        return result.result()

    def _check_room(self) -> None:
        if sum(not result.done() for result in self._results.values()) >= MOST_OPEN:
            raise QueueFullError(
                f"{MOST_OPEN} reports, searches and the like are being worked out. Ask again in {FULL_RETRY_S:.0f} s.",
                retry_after_s=FULL_RETRY_S,
            )

    async def forget(self, task: HeavyTask) -> None:
        """Deletes a result that nobody will ask for again; nothing happens where there is none."""
        result = self._results.get(task)
        if result is None or not result.done():
            return
        del self._results[task]
        if result.exception() is None:
            await asyncio.to_thread(result.result().unlink, missing_ok=True)

    def knows(self, task: HeavyTask) -> bool:
        """Whether it was asked for, and its result is kept."""
        return task in self._results

    async def _forget_oldest(self) -> None:
        ended = [task for task, result in self._results.items() if result.done()]
        for task in ended[: max(0, len(self._results) - KEPT)]:
            await self.forget(task)

    async def _run(self, task: HeavyTask) -> Path:
        async with self._turn:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="nightjar-web-")
            name = str(Path(self._folder.name) / secrets.token_hex(8))
            child = self._idle.pop() if self._idle else await self._start()
            limit_s = task.limit_s or self.limit_s
            order = {"kind": task.kind, "arguments": task.arguments, "file": name, "limit_s": limit_s}
            answer = await self._ask(child, order)
            if answer is None:
                raise NightjarError(
                    f"The {task.kind} took longer than {limit_s} s or too much memory, or failed by a fault of "
                    "ours, which the server's log then has."
                )
            if answer.get("last"):
                await self._end(child)
            else:
                self._idle.append(child)
            if answer["error"] is not None:
                raise _FAULTS.get(answer.get("fault") or "", NightjarError)(answer["error"])
            return Path(name)

    async def _start(self) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(
            *PYTHON, "-c", _COMMAND, stdin=pipe, stdout=pipe, limit=LONGEST_ANSWER
        )
        self._all.add(child)
        url, name = await asyncio.to_thread(self.where)
        assert child.stdin is not None
        child.stdin.write(json.dumps({"mongo": url, "database": name}).encode() + b"\n")
        return child

    async def _ask(self, child: asyncio.subprocess.Process, order: dict[str, object]) -> dict[str, Any] | None:
        """Its answer; None where it died."""
        assert child.stdin is not None
        assert child.stdout is not None
        with contextlib.suppress(OSError):
            child.stdin.write(json.dumps(order).encode() + b"\n")
            await child.stdin.drain()
            if line := await child.stdout.readline():
                answer: dict[str, Any] = json.loads(line)
                return answer
        await self._end(child)
        return None

    async def _end(self, child: asyncio.subprocess.Process) -> None:
        self._all.discard(child)
        await end_child(child)

    async def close(self) -> None:
        """Ends the children and deletes the files."""
        for result in self._results.values():
            result.cancel()
        await asyncio.gather(*self._results.values(), return_exceptions=True)
        for child in list(self._all):
            await self._end(child)
        if self._folder is not None:
            self._folder.cleanup()


def nowhere() -> tuple[str, str]:
    """Of an application that was not told where MongoDB is."""
    raise ServiceError("This server was not told where MongoDB is, and cannot work that out.")
