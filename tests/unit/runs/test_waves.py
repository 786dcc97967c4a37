"""Drawing the waves of a run, and what a run needs to stop when it is decided."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from nightjar.config.errors import UsageError
from nightjar.jobs.documents import Run, SequenceRef, SuiteVersion
from nightjar.jobs.identity import digest
from nightjar.jobs.sequences import Mode
from nightjar.pipeline.runs.freeze import freeze
from nightjar.pipeline.runs.request import make_request
from nightjar.pipeline.runs.waves import check_waves, wave_numbers
from nightjar.pipeline.scores import SHARE

NOW = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
IDS = [f"s{at}" for at in range(80)]


@pytest.fixture(autouse=True)
def _documents_without_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beanie's documents want an initialised database; a frozen one is only a value here."""
    monkeypatch.setattr(Run, "get_pymongo_collection", classmethod(lambda cls: None))


def frozen(count: int = 80, primary_metric: str | None = "checks", **options: Any) -> Run:
    refs = [SequenceRef(id=name, digest=name, document=name, turns=1, mode=Mode.CHAT) for name in IDS[:count]]
    suite: SuiteVersion = SuiteVersion.model_construct(
        id="5" * 32, name="tales", version=1, sequences=refs, primary_metric=primary_metric
    )
    given = {"suite": "tales", "models": ("m", "n"), "until": "decided", **options}
    return freeze(make_request(**given), suite, refs, identity="0123456789abcdef", now=NOW, version="1.0")


def test_waves_are_random_by_the_seed_alone() -> None:
    numbers = wave_numbers(IDS, 7)
    assert Counter(numbers) == {0: 20, 1: 20, 2: 20, 3: 20}
    assert numbers == wave_numbers(IDS, 7)
    assert numbers != wave_numbers(IDS, 8)
    assert 2 <= sum(wave == 0 for wave in numbers[:20]) <= 12  # not the first ones


def test_a_run_is_frozen_with_its_waves() -> None:
    """Only the first one's jobs are counted; the metric is the suite's, or the one that is named."""
    run = frozen(repeats=2)
    assert run.waves is not None
    assert (run.waves.plan.metric, run.waves.opened, run.jobs_total) == ("checks", 1, 20 * 2 * 2)
    assert len(run.sequences) == 80
    assert run.asked == [name for name, wave in zip(IDS, run.waves.plan.numbers, strict=True) if wave == 0]
    assert check_waves(run, {"checks": SHARE}) == []
    named = frozen(primary_metric=None, primary="judge", margin=0.05)
    assert named.waves is not None
    assert (named.waves.plan.metric, named.waves.plan.margin) == ("judge", 0.05)
    assert named.content != run.content != frozen(until=None).content


def test_a_run_without_waves_is_what_it_was() -> None:
    """Its content digest is that of versions that knew no waves."""
    run = frozen(until=None, count=2, seed=1)
    assert (run.waves, run.asked, run.jobs_total) == (None, ["s0", "s1"], 4)
    assert run.content == digest("run", run.suite, ["s0", "s1"], 1, {}, "1.0")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"models": ("m",)}, "Add a second --model, or try variants"),
        ({"count": 19}, "at least 20 sequences for its first look, and this run has 19"),
        ({"primary_metric": None}, "Name it: --primary METRIC"),
        ({"until": None, "margin": 0.1}, "--margin says how --until decided decides"),
        ({"until": None, "primary": "checks"}, "--primary says how --until decided decides"),
        ({"until": "tired"}, "--until is 'tired': it must be 'decided'"),
        ({"margin": -0.1}, "--margin is -0.1"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_remedy(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        frozen(**options)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"primary": "chekcs"}, "There is no metric to decide by 'chekcs'. Did you mean 'checks'"),
        ({"primary": "judge"}, "Without --judge there are no judges' metrics"),
        ({"margin": 1.0}, "--margin is 1, and checks goes from end to end in 1"),
    ],
)
def test_a_metric_that_the_run_will_not_have_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        check_waves(frozen(**options), {"checks": SHARE, "words": SHARE})


def test_a_single_look_is_pointed_out() -> None:
    assert check_waves(frozen(26), {"checks": SHARE}) == []  # 20 and 6
    (note,) = check_waves(frozen(25), {"checks": SHARE})
    assert note.startswith("with 25 sequences --until decided has a single look, at the end")
    assert "From 26 on it can stop early" in note
