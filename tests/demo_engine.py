"""The engine on the bundled model, on one thread."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from nightjar.config.load_settings import LoadSettings
from nightjar.workers.engine.engine import BatchEngine
from nightjar.workers.engine.loading import load
from nightjar.workers.library.inspect import read_facts

DEMO = Path(__file__).parents[1] / "config/models/nightjar-demo.gguf"


async def opened(**settings: Any) -> BatchEngine:
    """The engine with four slots of 512 tokens, unless the settings say otherwise."""
    known = {"threads": 1, "slots": 4, "context": 512} | settings
    return await load(DEMO, settings=LoadSettings(**known), facts=read_facts(DEMO, "demo"), gpu="none")


@asynccontextmanager
async def demo_engine(**settings: Any) -> AsyncIterator[BatchEngine]:
    """For a fixture: the engine is checked and closed at the end."""
    async with await opened(**settings) as engine:
        yield engine
        engine.check_integrity()
