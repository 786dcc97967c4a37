"""Fixtures for every test: none of the developer's settings reaches a test; one pair of servers serves the session."""

from __future__ import annotations

import gc
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
import structlog

from nightjar.config import embedded
from nightjar.config.embedded import ServiceUrls
from nightjar.config.settings import Settings, load_settings

if TYPE_CHECKING:
    from nightjar.jobs.mongo import Database

# A shell starts background jobs with SIGINT ignored, `nohup` any with SIGHUP, and children inherit that: tests that
# press Ctrl-C or close a terminal need them back.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


hypothesis.settings.register_profile("nightjar", deadline=None)  # a busy machine is no fault of an example
hypothesis.settings.load_profile("nightjar")

# The default renders tracebacks with all local variables, which holds up the event loop for seconds.
_plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
structlog.configure(processors=[*structlog.get_config()["processors"][:-1], _plain])


class _SaysWhatBroke:
    """pytest names no failures once its own run has broken off: a reader of a log's end still sees what there were."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.broken: list[str] = []

    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self.broken.append(str(excinfo.value))

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if self.broken and reporter is not None:
            reporter.short_test_summary()
            for error in self.broken:
                reporter.write_line(f"BROKE OFF {error[-1500:]}")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_SaysWhatBroke(config))


ROOMS = ("config", "jobs", "pipeline", "workers", "scripts", "web")


@pytest.fixture(autouse=True, scope="module")
def _what_is_left_open_is_found_here() -> Iterator[None]:
    """pytest complains of what a file of tests left open at that file, not at whichever test is next to collect it."""
    yield
    gc.collect()


@pytest.fixture(autouse=True)
def _one_name_for_each_module() -> Iterator[None]:
    """Our modules are imported as `nightjar.…` alone: under a second name their classes would be others."""
    yield
    twice = sorted(name for name in ROOMS if name in sys.modules)
    assert not twice, f"imported without the package `nightjar`: {', '.join(twice)}"


@pytest.fixture(autouse=True)
def _logging_of_each_test() -> Iterator[None]:
    """A command that a test runs in its own process sets what is logged, and how: for this test alone."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture(autouse=True)
def _no_settings_of_the_developer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Each test has its own home and reads neither `.env` nor `nightjar.toml` of the project."""
    for name in list(os.environ):
        if name.upper().startswith("NIGHTJAR_") or name in ("HF_TOKEN", "HF_ENDPOINT"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NIGHTJAR_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("nightjar.config.settings.settings_files", lambda: (None, None))
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with this test's own home."""
    return Settings(home=tmp_path / "home")


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceUrls]:
    """The URLs of an embedded mongod and redis-server that live as long as the test session."""
    settings = Settings(home=tmp_path_factory.mktemp("services") / "home", mongo_cache_gb=0.25)
    try:
        yield embedded.service_urls(settings)
    finally:
        embedded.down(settings)


@pytest.fixture
async def database(services: ServiceUrls) -> AsyncIterator[Database]:
    """A fresh database, connected; dropped afterwards."""
    from nightjar.jobs.database import connect

    name = f"test_{uuid.uuid4().hex[:12]}"
    async with await connect(services.mongo, name) as connected:
        yield connected
        await connected.client.drop_database(name)
