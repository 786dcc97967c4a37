"""MongoDB and Redis for what a program asks of them: opened by the first that needs them, closed by the last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nightjar.scripts.session import Session


@dataclass
class _Shared:
    """A process can have one session at a time: documents belong to one connection."""

    users: int = 0
    session: Session | None = None
    opened: AsyncExitStack = field(default_factory=AsyncExitStack)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


_shared = _Shared()


@asynccontextmanager
async def program_session() -> AsyncIterator[Session]:
    """In the background loop only. Raises as `open_session` does."""
    from nightjar.scripts.session import open_session

    async with _shared.lock:
        if _shared.session is None:
            _shared.session = await _shared.opened.enter_async_context(open_session(redis=True, program=True))
        _shared.users += 1
    try:
        yield _shared.session
    finally:
        async with _shared.lock:
            _shared.users -= 1
            if not _shared.users:
                _shared.session = None
                await _shared.opened.aclose()
