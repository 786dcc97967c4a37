"""A server that does wrong, and a bench with a registry that names it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from nightjar.config.embedded import ServiceUrls
from nightjar.config.remote_settings import RemoteSettings
from nightjar.config.settings import Settings
from nightjar.jobs.mongo import Database
from nightjar.workers.process.load_model import WorkerOptions
from nightjar.workers.process.main import serve
from tests.fake_endpoint import KEY, MODEL_AT_FAKE, FakeEndpoint, fake_endpoint
from tests.workbench import Bench, opened_bench

PRICE = {"input": 1_000.0, "output": 2_000.0}
"""Dear, so that a test's few tokens cost something."""


@pytest.fixture
def fake() -> Iterator[FakeEndpoint]:
    with fake_endpoint() as running:
        yield running


@pytest.fixture
async def bench(
    database: Database, services: ServiceUrls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Bench]:
    monkeypatch.setenv("FAKE_KEY", KEY)
    remote = RemoteSettings(connect_s=2, silence_s=0.5, tries=2, wait_s=2, pause_s=60)
    settings = Settings(home=tmp_path / "home", lease_s=3, beat_s=0.2, drain_s=0.5, remote=remote)
    async with opened_bench(database, services, settings) as bench:
        yield bench


def register(bench: Bench, fake: FakeEndpoint, *, price: dict[str, float] | None = PRICE, **changes: Any) -> None:
    """Writes models.toml with the model `cloud`."""
    endpoint = fake.table() | ({} if price is None else {"price": price}) | changes.pop("endpoint", {})
    table = {"endpoints": {"fake": endpoint}, "cloud": {"endpoint": "fake", "model": MODEL_AT_FAKE, **changes}}
    bench.settings.models_file.parent.mkdir(parents=True, exist_ok=True)
    bench.settings.models_file.write_text(tomlkit.dumps(table), encoding="utf-8")


async def serve_cloud(bench: Bench, *, burst: bool = True) -> int:
    """A whole worker process of `cloud`, until its backlog is empty."""
    options = WorkerOptions(model="cloud", burst=burst, started_ms=1)
    return await asyncio.wait_for(serve(options, bench.settings, bench.database, bench.services.redis), 120)
