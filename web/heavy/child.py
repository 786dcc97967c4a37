"""A child process of the pool: takes a task a line, writes what comes of it to a file, and says so.

What libraries print goes to standard error. A task that takes too long ends the process (SIGALRM), and so does one
that wants too much memory.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

import psutil

MEMORY_BYTES = 3 * 2**30
"""Of data; addresses that are only reserved do not count."""
LEFT_BYTES = 200 * 2**20
"""A child that a task leaves larger than this is not kept: the charts' renderer gives nothing back."""
LONGEST_ERROR = 20_000
"""Characters; a file can have an error in each of its lines."""


def work_for_parent() -> None:
    """Works until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    asyncio.run(_work(answers))


async def _work(answers: Any) -> None:
    from pydantic import SecretStr

    from nightjar.config.errors import NightjarError
    from nightjar.jobs.database import Access, connect
    from nightjar.jobs.mongo import DatabaseError
    from nightjar.web.heavy.work import HOLDING, find_work

    where = json.loads(sys.stdin.readline())
    async with await connect(SecretStr(where["mongo"]), where["database"], access=Access.READ) as database:
        while line := await asyncio.to_thread(sys.stdin.readline):
            task = json.loads(line)
            signal.alarm(task["limit_s"])
            answer: dict[str, str | bool | None] = {}
            try:
                made = await find_work(task["kind"])(database, *task["arguments"])
                content = made if isinstance(made, bytes) else made.encode("utf-8", "backslashreplace")
                await asyncio.to_thread(Path(task["file"]).write_bytes, content)
                answer["error"] = None
            except (NightjarError, DatabaseError, MemoryError) as error:
                answer |= {"error": cut_error(str(error) or type(error).__name__), "fault": fault_of(error)}
            signal.alarm(0)
            if large := _resident() > LEFT_BYTES:
                give_memory_back()
            answer["last"] = large and _resident() > LEFT_BYTES and task["kind"] not in HOLDING
            print(json.dumps(answer), file=answers, flush=True)
            if not large:
                give_memory_back()  # which takes a while, for which nobody waits now


def give_memory_back() -> None:
    """What a large task leaves would lie idle until the next: glibc keeps freed memory unless it is asked."""
    gc.collect()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


def _resident() -> int:
    """Bytes."""
    return psutil.Process().memory_info().rss


def fault_of(error: Exception) -> str | None:
    """Whose fault it is, for the parent: "asked" wrongly, something is "away", or None: neither."""
    from nightjar.config.errors import ServiceError, UsageError
    from nightjar.jobs.mongo import DatabaseError

    if isinstance(error, UsageError):
        return "asked"
    return "away" if isinstance(error, ServiceError | DatabaseError) else None


def cut_error(text: str) -> str:
    """Its beginning, where it is too long to be told."""
    if len(text) <= LONGEST_ERROR:
        return text
    return f"{text[:LONGEST_ERROR]}\n... and more: {len(text):,} characters in all."
