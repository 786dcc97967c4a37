"""What `nightjar doctor` concludes from what it finds."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr

from nightjar.config import embedded, hardware, programs
from nightjar.config.errors import ServiceError
from nightjar.config.load_settings import LoadSettings
from nightjar.config.settings import Settings
from nightjar.jobs import database
from nightjar.jobs.machines import workers
from nightjar.jobs.schema import Access
from nightjar.jobs.status import overview
from nightjar.jobs.status.views import Overview, QueueView, ServiceState
from nightjar.scripts.doctor import machine
from nightjar.scripts.doctor.check import GIB, Check
from nightjar.scripts.doctor.machine import all_checks
from nightjar.scripts.views import servers as servers_module
from nightjar.scripts.views.servers import ServerView
from nightjar.workers.process import gpus
from nightjar.workers.process.gpus import Card

WELL = Overview(services={"mongo": ServiceState(ok=True), "redis": ServiceState(ok=True)})
CARD = Card(index="0", uuid="GPU-11", name="Example 9000", memory_bytes=24 * GIB)


@pytest.fixture(autouse=True)
def _healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with no problems; each test breaks one thing."""
    views = [
        ServerView(name="mongo", kind="embedded", state="down"),
        ServerView(name="redis", kind="embedded", state="down"),
    ]
    show_servers(monkeypatch, views)
    monkeypatch.setattr(programs, "find_program", lambda kind: programs.Program(path=Path("/bin/x"), version="1.2"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=100 * GIB))
    monkeypatch.setattr(hardware, "memory_available", lambda: 30 * GIB)
    monkeypatch.setattr(hardware, "memory_limit", lambda: 32 * GIB)
    monkeypatch.setattr(hardware, "usable_cores", lambda: 4)
    monkeypatch.setattr(machine, "_others_cores", lambda: 0.0)
    monkeypatch.setattr(gpus, "list_cards", list)
    llama = ModuleType("nightjar.workers.engine.llama.devices")  # stands in for llama.cpp itself
    llama.gpus = list  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "nightjar.workers.engine.llama.devices", llama)


def show_servers(monkeypatch: pytest.MonkeyPatch, views: list[ServerView]) -> None:
    async def server_views(settings: Settings) -> list[ServerView]:
        return views

    monkeypatch.setattr(servers_module, "server_views", server_views)


def show_gpus(monkeypatch: pytest.MonkeyPatch, cards: list[Card], usable: list[Any]) -> None:
    monkeypatch.setattr(gpus, "list_cards", lambda: cards)
    monkeypatch.setattr(sys.modules["nightjar.workers.engine.llama.devices"], "gpus", lambda: usable)


async def found(settings: Settings) -> dict[str, Check]:
    return {check.name: check for check in await all_checks(settings)}


async def test_a_healthy_machine_needs_nothing(settings: Settings) -> None:
    checks = await found(settings)
    assert {check.state for check in checks.values()} == {"fine"}
    assert [check.remedy for check in checks.values() if check.remedy] == []
    assert list(checks) == [
        "project",
        "settings",
        "registry",
        "python",
        "mongod",
        "redis-server",
        "mongo",
        "redis",
        "disk: home",
        "disk: models",
        "disk: reports",
        "memory",
        "cores",
        "gpu",
        "llama.cpp",
        "models",
    ]


# Free bytes, and what they are called.
DISKS = [(0.5 * GIB, "problem"), (5 * GIB, "warning"), (50 * GIB, "fine")]


@pytest.mark.parametrize(("free", "state"), DISKS)
async def test_disks(settings: Settings, monkeypatch: pytest.MonkeyPatch, free: float, state: str) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    checks = await found(settings)
    for name, variable in (("home", "HOME"), ("models", "MODELS_DIR"), ("reports", "REPORTS_DIR")):
        check = checks[f"disk: {name}"]
        assert check.state == state
        assert (check.remedy is None) == (state == "fine")
        assert check.remedy is None or f"NIGHTJAR_{variable}" in check.remedy


async def test_a_folder_that_cannot_be_written(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    check = (await found(settings))["disk: models"]
    assert (check.state, "NIGHTJAR_MODELS_DIR" in (check.remedy or "")) == ("problem", True)


async def test_little_memory(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "memory_available", lambda: 1 * GIB)
    check = (await found(settings))["memory"]
    assert check.state == "warning"
    assert "1.0 GiB available of 32.0 GiB" in check.found


async def test_more_threads_than_cores(tmp_path: Path) -> None:
    check = (await found(Settings(home=tmp_path, model=LoadSettings(threads=9))))["cores"]
    assert check.state == "warning"
    assert "NIGHTJAR_MODEL__THREADS is 9" in (check.remedy or "")


async def test_a_busy_machine(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_others_cores", lambda: 1.3)
    check = (await found(settings))["cores"]
    assert check.state == "warning"
    assert check.found.endswith("; other processes take 1.3")


async def test_a_program_that_is_missing(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(kind: object) -> programs.Program:
        raise ServiceError("apt-get install libcurl4")

    monkeypatch.setattr(programs, "find_program", missing)
    check = (await found(settings))["mongod"]
    assert (check.state, check.remedy) == ("problem", "apt-get install libcurl4")


async def test_no_program_is_needed_where_urls_are_set(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, mongo_url=SecretStr("mongodb://h"), redis_url=SecretStr("redis://h"))
    assert not {"mongod", "redis-server"} & set(await found(settings))


# A server's state, and what doctor calls it.
@pytest.mark.parametrize(("state", "called"), [("down", "fine"), ("dead", "problem"), ("unreachable", "problem")])
async def test_servers(settings: Settings, monkeypatch: pytest.MonkeyPatch, state: str, called: str) -> None:
    show_servers(monkeypatch, [ServerView(name="mongo", kind="embedded", state=state, reason="because")])
    check = (await found(settings))["mongo"]
    assert (check.state, check.remedy) == (called, "because")


class _Clock:
    """A database whose clock is off."""

    def __init__(self, ahead_s: float) -> None:
        self._ahead = timedelta(seconds=ahead_s)

    async def __aenter__(self) -> _Clock:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead


def show_work(monkeypatch: pytest.MonkeyPatch, told: Overview = WELL, *, ahead_s: float = 0.0) -> None:
    """MongoDB is up and reports this."""

    async def connect(url: SecretStr, name: str, *, access: Access) -> _Clock:
        assert access is Access.READ
        return _Clock(ahead_s)

    async def read(*_: object) -> Overview:
        return told

    async def crashes(*_: object) -> list[dict[str, Any]]:
        return []

    views = [ServerView(name=name, kind="embedded", state="up") for name in ("mongo", "redis")]
    show_servers(monkeypatch, views)
    monkeypatch.setattr(database, "connect", connect)
    monkeypatch.setattr(embedded, "mongo_url", lambda settings: SecretStr("mongodb://h"))
    monkeypatch.setattr(overview, "read_overview", read)
    monkeypatch.setattr(workers, "recent_crashes", crashes)


@pytest.mark.parametrize(("ahead_s", "state"), [(0.0, "fine"), (-1.0, "fine"), (300.0, "warning"), (-300.0, "warning")])
async def test_clocks(settings: Settings, monkeypatch: pytest.MonkeyPatch, ahead_s: float, state: str) -> None:
    show_work(monkeypatch, ahead_s=ahead_s)
    check = (await found(settings))["clock"]
    assert check.state == state
    assert state == "fine" or f"{-ahead_s:+.0f} s" in check.found


async def test_queues_are_asked_where_mongodb_is_up(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = QueueView(model="m", waiting=3, reason="no worker for model", stalled=True)
    show_work(monkeypatch, replace(WELL, queues=[waiting]))
    check = (await found(settings))["queue m"]
    assert (check.state, check.found) == ("problem", "3 wait: no worker for model")
    assert check.remedy == "Start one: nightjar worker --model m"


async def test_a_card_that_llama_cpp_uses(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    show_gpus(monkeypatch, [CARD], [SimpleNamespace(description="CUDA0")])
    checks = await found(settings)
    assert "Example 9000, 24.0 GiB, GPU-11" in checks["gpu 0"].found
    assert checks["llama.cpp"].state == "fine"
    assert "CUDA0" in checks["llama.cpp"].found


async def test_a_card_that_this_build_cannot_use(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commonest mistake on a GPU host: the index's source package, built for the CPU."""
    show_gpus(monkeypatch, [CARD], [])
    check = (await found(settings))["llama.cpp"]
    assert check.state == "warning"
    assert 'CMAKE_ARGS="-DGGML_CUDA=on"' in (check.remedy or "")
