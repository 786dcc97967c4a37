"""`nightjar compare` as a person types it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from nightjar.config.embedded import service_urls
from nightjar.config.settings import Settings
from nightjar.jobs.database import connect
from tests import factories
from tests.shell import Shell

RUN = "nightly-2026-11-20"


@pytest.fixture
def stored(shell: Shell, acceptance_home: Path) -> Shell:
    """A shell whose database holds a run of three models."""

    async def write() -> None:
        urls = service_urls(Settings(home=acceptance_home, mongo_url=None, redis_url=None))
        async with await connect(urls.mongo, shell.environment["NIGHTJAR_MONGO_DATABASE"]) as database:
            await factories.store(database)

    asyncio.run(write())
    return shell


def test_models_of_a_run(stored: Shell) -> None:
    """Two models side by side: verdicts in words, speed and memory beside quality."""
    printed = stored.ok("compare", f"{RUN}:amber-1b", f"{RUN}:basalt-3b")
    assert f"{RUN}:basalt-3b against {RUN}:amber-1b, over 6 shared sequences" in printed
    assert "can't tell" in printed
    assert "sampled differently: temperature" in printed
    assert "probe: decode, tokens/s" in printed


def test_json_has_every_number(stored: Shell) -> None:
    """For scripts: verdict, p-values, intervals, both runs' scores, and what the gates measured."""
    gates = ("--fail-below", "checks:0.01")
    said = stored.json("compare", f"{RUN}:amber-1b", f"{RUN}:basalt-3b", *gates)
    (found,), (gate,), (run,) = said["comparisons"], said["gates"], said["runs"]
    assert (gate["outcome"], gate["value"], gate["n"]) == ("passed", 0.01, 6)
    assert gate["low"] <= gate["measured"] <= gate["high"]
    scores = {model["name"]: model["metrics"]["checks"]["mean"] for model in run["models"]}
    assert gate["measured"] == scores["basalt-3b"]
    assert "files" in run
    piped = json.loads(stored.ok("report", RUN, "--format", "json", "--out", "-"))
    assert {model["name"]: model["metrics"]["checks"]["mean"] for model in piped["models"]} == scores
    assert "one --format" in stored.refused("report", RUN, "-f", "json,csv", "--out", "-")
    checks = next(metric for metric in found["metrics"] if metric["metric"] == "checks")
    assert {"base", "other", "difference", "interval", "p_t", "p_flip", "p_adjusted", "verdict", "n"} <= set(checks)


def test_gates_decide_the_exit_code(stored: Shell) -> None:
    """A tripped gate: 1. An undecided one: 0, and 1 when strict."""
    pair = (f"{RUN}:amber-1b", f"{RUN}:cinder-0.5b-instruct")
    assert stored.run("compare", *pair, "--fail-below", "checks:0.99").returncode == 1
    assert stored.run("compare", *pair, "--max-missing", "0.01").returncode == 1
    undecided = ("compare", *pair, "--fail-on-regression", "checks:0.1")
    assert "inconclusive" in stored.ok(*undecided)
    assert stored.run(*undecided, "--strict").returncode == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((RUN,), "two or more"),
        ((RUN, "nightly-2026-11-02"), RUN),  # the nearest run
        ((f"{RUN}:amber-1b", f"{RUN}:basalt"), "basalt-3b"),  # the nearest model
        ((RUN, RUN, "--fail-below", "checks"), "METRIC:NUMBER"),
        ((RUN, RUN, "--fail-below", "chekcs:0.5"), "'checks'"),  # the nearest metric
        ((f"{RUN}:amber-1b", f"{RUN}:basalt-3b", "--fail-below", "checks:90"), "Is 0.9 meant?"),
    ],
)
def test_wrong_usage(stored: Shell, arguments: tuple[str, ...], told: str) -> None:
    """Exit code 2, one paragraph, the remedy."""
    assert told in stored.refused("compare", *arguments, code=2)
