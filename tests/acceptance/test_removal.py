"""A removal that is killed half-way, at the command line: what is left is no run, and anybody finishes it."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from nightjar.config.embedded import service_urls
from nightjar.config.settings import Settings
from nightjar.jobs.database import connect
from nightjar.jobs.mongo import Database
from tests import factories
from tests.shell import Shell

T = TypeVar("T")
RUN = "nightly-2026-11-20"


@pytest.fixture
def in_database(shell: Shell, acceptance_home: Path) -> Callable[[Callable[[Database], Awaitable[T]]], T]:
    """Runs something on the shell's database."""

    async def connected(work: Callable[[Database], Awaitable[T]]) -> T:
        urls = service_urls(Settings(home=acceptance_home, mongo_url=None, redis_url=None))
        async with await connect(urls.mongo, shell.environment["NIGHTJAR_MONGO_DATABASE"]) as database:
            return await work(database)

    return lambda work: asyncio.run(connected(work))


@pytest.fixture
def half_removed(shell: Shell, in_database: Callable[[Callable[[Database], Awaitable[object]]], object]) -> Shell:
    """A run that was DONE, of which a killed `run rm` has left nothing but its own document."""
    in_database(factories.store)
    killed = subprocess.run(
        [sys.executable, "-m", "tests.dying_removal", RUN], cwd=shell.folder, env=shell.environ(), check=False
    )
    assert killed.returncode == -signal.SIGKILL
    return shell


def test_what_is_left_of_a_run_is_no_run(half_removed: Shell) -> None:
    """It is shown for what it is; not reported, compared, waited for, exported or taken as a baseline."""
    shell = half_removed
    assert shell.json("run", "show", RUN)["run"]["status"] == "REMOVING"
    assert [run["status"] for run in shell.json("status")["runs"]] == ["REMOVING"]
    for words in (
        ("report", RUN),
        ("compare", RUN),
        ("run", "wait", RUN),
        ("run", "export", RUN),
        ("baseline", "set", RUN),
        ("run", "retry", RUN),
    ):
        refusal = shell.refused(*words)
        assert "is being removed" in refusal, words
        assert f"nightjar run rm {RUN}" in refusal, words


@pytest.mark.parametrize("command", [("run", "rm", RUN), ("cleanup",)])
def test_the_next_command_finishes_it(
    command: tuple[str, ...],
    half_removed: Shell,
    in_database: Callable[[Callable[[Database], Awaitable[list[int]]]], list[int]],
) -> None:
    """Without being asked again whether it is to go."""

    async def left(database: Database) -> list[int]:
        names = ("runs", "jobs", "scores", "deliveries", "nights", "aggregates")
        return [await database.raw[name].count_documents({}) for name in names]

    if command[0] == "cleanup":
        assert f"removal of run {RUN}" in " ".join(half_removed.ok("cleanup", "--dry-run").split())
        assert half_removed.json("run", "show", RUN)["run"]["status"] == "REMOVING"
    assert RUN in half_removed.ok(*command)
    assert in_database(left) == [0] * 6
