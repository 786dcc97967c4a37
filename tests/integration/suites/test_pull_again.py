"""Every benchmark, pulled again: unchanged while the data is; what a new version changes is told."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nightjar.config.settings import Settings
from nightjar.jobs.documents import SuiteVersion
from nightjar.jobs.mongo import Database
from nightjar.pipeline.suites.benchmarks.catalogue import BENCHMARKS, HowAsked, suite_of
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.importer import asks_the_same_as, import_suite
from nightjar.scripts.views.suite_pull import fetch_suite, hub_for, offer
from nightjar.workers.library.hub import Hub
from tests.benchmark_rows import ROWS, put_benchmark
from tests.hub import COMMIT, NEXT_COMMIT, LocalHub

DIGESTS = """\
from nightjar.pipeline.suites.benchmarks.catalogue import BENCHMARKS, HowAsked, suite_of
from tests.benchmark_rows import ROWS
for name, benchmark in BENCHMARKS.items():
    print(name, suite_of(benchmark, dict.fromkeys(benchmark.files, ROWS[name]), HowAsked(), "mit").digest)
"""


@pytest.fixture
def server() -> Iterator[LocalHub]:
    with LocalHub().running() as server:
        yield server


@pytest.fixture
def hub(server: LocalHub, tmp_path: Path) -> Hub:
    known = {"home": tmp_path / "home", "hf_endpoint": server.endpoint, "hf_token": server.token}
    return hub_for(Settings.model_validate(known))


def pulled(name: str, hub: Hub, asked: HowAsked) -> SuiteContent:
    """As `suite pull` reads it, though nothing is installed that its replies are checked with."""
    return fetch_suite(offer(replace(BENCHMARKS[name], needs=None), asked, hub, None), hub)


@pytest.mark.parametrize("name", BENCHMARKS)
async def test_a_benchmark_that_is_pulled_again_is_unchanged(
    name: str, database: Database, hub: Hub, server: LocalHub
) -> None:
    """Also at a newer commit with the same files, and with its twin or another number of examples in between."""
    repository = put_benchmark(server, name)
    first, created = await import_suite(pulled(name, hub, HowAsked()), database)
    if BENCHMARKS[name].twin:
        await import_suite(pulled(name, hub, HowAsked(written=True)), database)
    repository.branches, repository.commit = {"main": NEXT_COMMIT, "old": COMMIT}, NEXT_COMMIT
    again, created_again = await import_suite(pulled(name, hub, HowAsked()), database)

    assert (created, created_again) == (True, False)
    assert (again.id, again.version) == (first.id, 1)
    assert await SuiteVersion.find({"name": first.name}).count() == 1


def test_a_benchmark_has_one_digest_in_every_process() -> None:
    """The order of sets and hashes, which differs from process to process, makes no new version."""
    here = "".join(
        f"{name} {suite_of(one, dict.fromkeys(one.files, ROWS[name]), HowAsked(), 'mit').digest}\n"
        for name, one in BENCHMARKS.items()
    )
    for seed in ("1", "2"):
        command = [sys.executable, "-P", "-c", DIGESTS]
        path = f"{Path(__file__).parents[3]}"
        told = subprocess.run(
            command, env={"PYTHONHASHSEED": seed, "PYTHONPATH": path}, capture_output=True, text=True, check=True
        )
        assert told.stdout == here


async def test_a_version_that_only_counts_otherwise_says_which_it_asks_the_same_as(
    database: Database, hub: Hub, server: LocalHub
) -> None:
    """mmlu as it was before it had averages over subjects, and as it is: models are asked the same."""
    put_benchmark(server, "mmlu")
    now = pulled("mmlu", hub, HowAsked())
    bare = tuple(one.model_copy(update={"averages": {}}) for one in now.sequences)
    await import_suite(now.model_copy(update={"sequences": bare}), database)
    newer, created = await import_suite(now, database)
    other, _ = await import_suite(now.model_copy(update={"sequences": now.sequences[:5]}), database)

    assert (newer.version, created) == (2, True)
    assert await asks_the_same_as(newer) == 1
    assert await asks_the_same_as(other) is None
