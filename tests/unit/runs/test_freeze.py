"""Freezing a run, and comparing a run asked for again with the one that exists."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from nightjar.config.errors import RunConflictError, UnknownNameError, UsageError
from nightjar.jobs.documents import Run, SequenceRef, SuiteVersion
from nightjar.jobs.ending import Gate, GateKind, Hook, HookKind
from nightjar.jobs.identity import default_run_seed
from nightjar.jobs.sequences import Mode
from nightjar.jobs.states import RunStatus
from nightjar.jobs.variants import Variant
from nightjar.pipeline.runs.freeze import adjustments, content_digest, freeze, gate_differences, grown, run_differences
from nightjar.pipeline.runs.request import make_request

NOW = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
REFS = [SequenceRef(id=i, digest=i, document=i, turns=2, mode=Mode.CHAT) for i in "abc"]


def suite(digest: str = "5" * 32, version: int = 1) -> SuiteVersion:
    stored: SuiteVersion = SuiteVersion.model_construct(id=digest, name="stories", version=version, sequences=REFS)
    return stored


def frozen(status: RunStatus = RunStatus.ACTIVE, refs: list[SequenceRef] = REFS, **options: Any) -> Run:
    given = {"suite": "stories", "models": ("m",), "repeats": 2, "name": "nightly", **options}
    version = given.pop("version", "1.0")
    stored = given.pop("stored", suite())
    run = freeze(make_request(**given), stored, refs, identity="0123456789abcdef", now=NOW, version=version)
    run.status = status
    return run


@pytest.fixture(autouse=True)
def _documents_without_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beanie's documents want an initialised database; a frozen one is only a value here."""
    monkeypatch.setattr(Run, "get_pymongo_collection", classmethod(lambda cls: None))


def test_a_run_is_frozen_with_all_that_decides_it() -> None:
    run = frozen(
        seed=None, models=("m", "n", "m"), name="n-{date}", set_parameters={"top_k": 5}, paths={"n": "/x.gguf"}
    )
    assert (run.name, run.status, run.date, run.jobs_total) == ("n-2026-11-21", RunStatus.ACTIVE, "2026-11-21", 12)
    assert [(m.name, m.path, m.digest) for m in run.models] == [("m", None, None), ("n", "/x.gguf", None)]
    assert run.seed == default_run_seed("stories")  # from the suite's name, not from the clock
    assert run.content == content_digest(run)


def test_the_day_of_a_scheduled_run_is_its_ticks() -> None:
    run = frozen(name="n-{date}", tick=datetime(2026, 11, 20, 23, 0, tzinfo=UTC))
    assert (run.name, run.date, run.created_at) == ("n-2026-11-20", "2026-11-20", NOW)


def test_every_model_replies_with_every_variant() -> None:
    tried = suite()
    tried.variants = (Variant(name="terse", system="Be brief."), Variant(name="plain"))
    run = frozen(models=("m", "n"), stored=tried)
    assert ([v.name for v in run.variants], run.jobs_total) == (["terse", "plain"], 24)
    assert frozen(models=("m", "n"), stored=tried, only_variants=("plain",)).jobs_total == 12
    with pytest.raises(UnknownNameError, match=r"terce.*Did you mean 'terse'"):
        frozen(stored=tried, only_variants=("terce",))
    with pytest.raises(UsageError, match=r"variants of its own \(terse, plain\)"):
        frozen(stored=tried, variants=(Variant(name="x", system="Other."),))
    more = grown(run, frozen(models=("m", "n", "o"), stored=tried))
    assert more is not None
    assert more.jobs_total == 36


def test_a_name_that_is_used_again_must_mean_the_same_variants() -> None:
    first = frozen(variants=(Variant(name="a", system="One."),))
    assert run_differences(first, frozen(variants=(Variant(name="a", system="One."),))) == []
    assert run_differences(first, frozen(variants=(Variant(name="a", system="Two."),))) == [
        "variant a is not what it was"
    ]
    assert run_differences(first, frozen()) == ["the variants are none, were a"]


def test_too_many_jobs_are_refused_with_the_number() -> None:
    with pytest.raises(UsageError, match=r"6,000,000 jobs"):
        frozen(repeats=100_000, models=tuple(f"m{n}" for n in range(20)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, []),
        ({"models": ("n", "m"), "repeats": 5}, []),  # models and repeats may grow
        ({"models": ("m", "n"), "set_model_parameters": {"n": {"top_k": 1}}}, []),  # a new model's own parameters
        ({"priority": 5, "max_tries": 9, "fail_on_error": 3}, []),  # nothing that changes a reply
        ({"seed": 8}, ["the seed is 8, was 7"]),
        ({"stored": suite("6" * 32, 2)}, ["the suite is stories@2 (66666666), was stories@1 (55555555)"]),
        ({"refs": REFS[:1]}, ["it takes 1 sequence, was 3 (--only, --limit)"]),
        ({"set_parameters": {}}, ["--set top_k is not set, was 5"]),
        ({"set_parameters": {"top_k": 6}}, ["--set top_k is 6, was 5"]),
        ({"set_parameters": {"top_k": 5, "top_p": 1}}, ["--set top_p is 1, was not set"]),
        ({"set_model_parameters": {"m": {"top_k": 1}}}, ["--set m:top_k is 1, was not set"]),
        ({"embed_model": "e"}, ["the embedding model is e, was none"]),
        ({"measures": {"chrf": True}}, ["the measures are chrf, were none"]),
        ({"version": "1.1"}, ["Nightjar is 1.1, was 1.0"]),
        ({"paths": {"m": "/b.gguf"}}, ["the file of m is /b.gguf, was /a.gguf"]),
        ({"paths": {}}, []),  # by name now: the file's digest tells whether it is the same
    ],
)
def test_what_forbids_taking_one_for_the_other_is_said(change: dict[str, Any], said: list[str]) -> None:
    base: dict[str, Any] = {"seed": 7, "set_parameters": {"top_k": 5}, "paths": {"m": "/a.gguf"}}
    assert run_differences(frozen(**base), frozen(**{**base, **change})) == said


@pytest.mark.parametrize(
    ("change", "jobs_total"),
    [
        ({"repeats": 3}, 9),
        ({"models": ("m", "n")}, 12),
        ({"models": ("n",), "repeats": 3}, 18),  # the old model gets the new repeats, too
        ({"models": ("n",), "repeats": 1}, 12),  # and the new model the old repeats
    ],
)
def test_a_run_grows_by_models_and_repeats(change: dict[str, Any], jobs_total: int) -> None:
    larger = grown(frozen(), frozen(**change))
    assert larger is not None
    assert (larger.status, larger.jobs_total) == (RunStatus.EXPANDING, jobs_total)
    assert larger.models[0].name == "m"


def test_nothing_new_means_nothing_to_do() -> None:
    assert grown(frozen(RunStatus.CANCELLED), frozen()) is None
    assert grown(frozen(), frozen(repeats=1)) is None


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (RunStatus.PAUSED, "nightjar run resume nightly"),
        (RunStatus.JUDGING, "Wait until it is done"),
        (RunStatus.CANCELLED, "another --name"),
    ],
)
def test_a_run_in_no_state_to_grow_says_so(status: RunStatus, said: str) -> None:
    with pytest.raises(RunConflictError, match=said):
        grown(frozen(status), frozen(repeats=5))


GATE = Gate(kind=GateKind.BELOW, metric="checks", value=0.8)
HOOK = Hook(kind=HookKind.COMMAND, target="true")


def test_what_was_asked_for_again_and_changes_no_reply_is_applied() -> None:
    """Priority, tries and notifications may change; what the request does not mention stays."""
    old = frozen(priority=5, max_tries=9)
    new = frozen(priority=7, on_finish=(HOOK,))
    assert adjustments(old, new, {"priority"}) == {"priority": (5, 7)}
    assert adjustments(old, new, {"on_finish"}) == {"ending.on_finish": ((), (HOOK,))}
    assert adjustments(old, new, {"max_tries"}) == {"max_tries": (9, 3)}
    assert adjustments(old, old, {"priority", "max_tries"}) == {}


@pytest.mark.parametrize(
    ("change", "given", "said"),
    [
        ({"gates": (GATE,)}, {"gates"}, ["the gates are --fail-below checks:0.8, were none"]),
        ({}, set(), []),
        ({"strict": True}, {"strict"}, ["--strict is True, was False"]),
        ({"baseline": "n"}, {"baseline"}, ["--baseline is n, was None"]),
    ],
)
def test_gates_are_frozen(change: dict[str, Any], given: set[str], said: list[str]) -> None:
    assert gate_differences(frozen(), frozen(**change), given) == said


def test_a_run_that_says_nothing_keeps_its_gates() -> None:
    assert gate_differences(frozen(gates=(GATE,)), frozen(), set()) == []


def test_an_ending_is_frozen() -> None:
    """A deadline counts from the tick; a run with notifications also reports stalls; nights have a series."""
    tick = datetime(2026, 11, 21, 1, 0, tzinfo=UTC)
    run = frozen(
        name="n-{date}", schedule="nightly", tick=tick, deadline="07:00", timezone="Europe/Berlin", on_finish=(HOOK,)
    )
    assert run.ending.deadline_at == datetime(2026, 11, 21, 6, 0, tzinfo=UTC)
    assert run.ending.stalled_after_s == 1800
    assert (run.series, frozen(name="n-{date}").series, frozen().series) == ("nightly", "n-{date}", None)
    assert (frozen().ending.stalled_after_s, frozen().ending.deadline_at) == (None, None)
