"""The pool of child processes, and what is kept of their work: by task and by the version of the data behind it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import tempfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from nightjar.config.errors import NightjarError, ServiceError
from nightjar.config.interpreter import PYTHON

CHILDREN = 2
KEPT = 64
"""Files of results; the one that was used longest ago goes first."""
LIMIT_S = 120
PATIENCE_S = 0.15
"""A page that is not ready after so long says that it is being computed."""
_COMMAND = "from nightjar.web.heavy.child import work_for_parent; work_for_parent()"
Where = Callable[[], tuple[str, str]]
"""URL and name of the database."""


@dataclass(frozen=True, kw_only=True)
class HeavyTask:
    """Something to be worked out. `version` changes with the data behind it."""

    kind: str
    arguments: tuple[str, ...]
    version: str


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
        """The file with the result; None while it is being worked out. Raises NightjarError where that failed, once."""
        result = self._results.get(task)
        if result is None:
            result = self._results[task] = asyncio.create_task(self._run(task))
            result.add_done_callback(lambda _: self.told())
            await self._forget_oldest()
        self._results.move_to_end(task)
        done, _ = await asyncio.wait({result}, timeout=patience_s)
        if not done:
            return None
        if result.exception() is not None:
            del self._results[task]  # asked again, it is tried again
        return result.result()

    def knows(self, task: HeavyTask) -> bool:
        """Whether it was asked for, and its result is kept."""
        return task in self._results

    async def _forget_oldest(self) -> None:
        ended = [task for task, result in self._results.items() if result.done()]
        for task in ended[: max(0, len(self._results) - KEPT)]:
            result = self._results.pop(task)
            if result.exception() is None:
                await asyncio.to_thread(result.result().unlink, missing_ok=True)

    async def _run(self, task: HeavyTask) -> Path:
        async with self._turn:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="nightjar-web-")
            name = str(Path(self._folder.name) / secrets.token_hex(8))
            child = self._idle.pop() if self._idle else await self._start()
            order = {"kind": task.kind, "arguments": task.arguments, "file": name, "limit_s": self.limit_s}
            answer = await self._ask(child, order)
            if answer is None:
                raise NightjarError(f"The {task.kind} took longer than {self.limit_s} s, or too much memory.")
            self._idle.append(child)
            if answer["error"] is not None:
                raise NightjarError(answer["error"])
            return Path(name)

    async def _start(self) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(*PYTHON, "-c", _COMMAND, stdin=pipe, stdout=pipe)
        self._all.add(child)
        url, name = await asyncio.to_thread(self.where)
        assert child.stdin is not None
        child.stdin.write(json.dumps({"mongo": url, "database": name}).encode() + b"\n")
        return child

    async def _ask(self, child: asyncio.subprocess.Process, order: dict[str, object]) -> dict[str, str | None] | None:
        """Its answer; None where it died."""
        assert child.stdin is not None
        assert child.stdout is not None
        with contextlib.suppress(OSError):
            child.stdin.write(json.dumps(order).encode() + b"\n")
            await child.stdin.drain()
            if line := await child.stdout.readline():
                answer: dict[str, str | None] = json.loads(line)
                return answer
        await self._end(child)
        return None

    async def _end(self, child: asyncio.subprocess.Process) -> None:
        self._all.discard(child)
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
        await child.wait()

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
