"""What the stored documents of earlier versions become, one migration after another. Pure.

A database's schema version is the number of migrations that it has been through; one that has no version document is
of version 0: Nightjar before it kept one. A new migration is appended to MIGRATIONS and never changed afterwards:
what it says must not depend on documents' classes, which go on changing.

A migration converts documents one by one. A document that has the new form already comes back equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

OldDocument = dict[str, Any]
Convert = Callable[[OldDocument], OldDocument]


@dataclass(frozen=True, kw_only=True)
class Migration:
    """One step: what becomes of the documents of some collections."""

    name: str
    """For people: "nest a run's judging and outcome"."""
    converts: Mapping[str, Convert]
    """Collection -> what a document of it becomes. Another `_id` may come out of it."""
    dropped_indexes: tuple[tuple[str, str], ...] = ()
    """(collection, index) that nobody uses any more."""


_JUDGING: OldDocument = {
    "judges": [],
    "rubric": None,
    "self_judging": False,
    "against": None,
    "check": None,
    "planned": False,
}
_OUTCOME: OldDocument = {
    "verdict": None,
    "answer": None,
    "files": [],
    "deadline_met": False,
    "stalled_at": None,
    "untold": False,
    "finished_at": None,
}
_OF_FILES = frozenset(
    "file_name file_bytes architecture parameters quantisation vocabulary context_train layers licence adapters".split()
)
"""What of a model's facts only a file has."""
_DEAD_SPEED = "all_slots_prefill_tokens_per_s"


def nest_judging_and_outcome(run: OldDocument) -> OldDocument:
    """Fields about a run's judges and about its end go into `judging` and `outcome`."""
    nested = {"judging": _JUDGING, "outcome": _OUTCOME}
    flat = {name for fields in nested.values() for name in fields}
    kept = {name: value for name, value in run.items() if name not in flat}
    for place, fields in nested.items():
        moved = {name: run.get(name, default) for name, default in fields.items()}
        kept[place] = moved | run.get(place, {})
    return kept


def rename_score(score: OldDocument) -> OldDocument:
    """Judges' scores were named by a digest, all others by job, turn and scorer."""
    return score | {"_id": f"{score['job']}.{score['turn']}.{score['scorer']}"}


def drop_dead_speed_of_run(run: OldDocument) -> OldDocument:
    """The speed probe's field that nothing ever wrote a number to, of each load of a run's models and helpers."""
    changed = {
        place: [model | {"loads": [_without_dead_speed(load) for load in model.get("loads", ())]} for model in models]
        for place in ("models", "helpers")
        if (models := run.get(place)) is not None
    }
    return run | changed


def drop_dead_speed_of_worker(worker: OldDocument) -> OldDocument:
    """The same of a worker's load."""
    return worker | {"load": _without_dead_speed(worker["load"])} if worker.get("load") else worker


def nest_file_facts_of_model(model: OldDocument) -> OldDocument:
    """A published model's facts say where the model comes from, and what only a file has is nested."""
    return model | {"facts": _nested_facts(model["facts"])}


def nest_file_facts_of_run(run: OldDocument) -> OldDocument:
    """The same of a run's models and helpers, as far as their facts are known."""
    changed = {
        place: [model | {"facts": _nested_facts(facts)} if (facts := model.get("facts")) else model for model in models]
        for place in ("models", "helpers")
        if (models := run.get(place)) is not None
    }
    return run | changed


def _nested_facts(facts: OldDocument) -> OldDocument:
    if "source" in facts:
        return facts
    other = {name: value for name, value in facts.items() if name not in _OF_FILES}
    return other | {"source": "file", "file": {name: facts[name] for name in facts if name in _OF_FILES}}


def _without_dead_speed(load: OldDocument) -> OldDocument:
    if not load.get("probe"):
        return load
    return load | {"probe": {name: value for name, value in load["probe"].items() if name != _DEAD_SPEED}}


def may_be_closed_by_dispatchers(row: OldDocument) -> OldDocument:
    """A run, schedule or call of before standby dispatchers: none of them may close it."""
    return {"closers": None} | row


def judging_is_a_document(run: OldDocument) -> OldDocument:
    """A run's judging becomes the first of its judgings; one of a run that is DONE is complete."""
    judging, outcome = run.get("judging") or {}, run.get("outcome") or {}
    if "passes" in judging:
        return run
    kept = {"check": judging.get("check"), "planned": judging.get("planned", False)}
    if not judging.get("judges") or judging.get("rubric") is None:
        return run | {"judging": {"passes": [], "shown": None, **kept}}
    done = run.get("status") == "DONE"
    first = {name: judging.get(name, _JUDGING[name]) for name in ("judges", "rubric", "self_judging", "against")}
    first |= {"number": 1, "status": "COMPLETE" if done else "OPEN", "reason": None, "begun_at": None}
    first |= {name: outcome.get(name) if done else _OUTCOME[name] for name in ("verdict", "answer", "files")}
    first["ended_at"] = outcome.get("finished_at") if done else None
    return run | {"judging": {"passes": [first], "shown": 1, **kept}}


def judging_of_score(score: OldDocument) -> OldDocument:
    """Judges' scores say which judging they come from: the only one that there was room for."""
    judges = score["scorer"] == "judge" or score["scorer"].startswith("judge.")
    return {"judging": 1} | score if judges else score


def of_an_evaluation(run: OldDocument) -> OldDocument:
    """A run of before live requests: it evaluates."""
    return {"kind": "evaluation"} | run


def without_variants(row: OldDocument) -> OldDocument:
    """A run or suite of before variants: it has none."""
    return {"variants": []} | row


MIGRATIONS: tuple[Migration, ...] = (
    Migration(
        name="nest a run's judging and outcome",
        converts={"runs": nest_judging_and_outcome},
        dropped_indexes=(("runs", "untold"),),
    ),
    Migration(
        name="one form of score ids",
        converts={"scores": rename_score},
    ),
    Migration(
        name="drop an unused speed",
        converts={
            "runs": drop_dead_speed_of_run,
            "workers": drop_dead_speed_of_worker,
            "worker_records": drop_dead_speed_of_worker,
        },
    ),
    Migration(
        name="nest what only a file has in models' facts",
        converts={"models": nest_file_facts_of_model, "runs": nest_file_facts_of_run},
    ),
    Migration(
        # Nothing of what is stored changes; an earlier version cannot read a run of this status.
        name="runs may be REMOVING",
        converts={},
    ),
    Migration(
        # Nothing of what is stored changes; an earlier version cannot read loads and speeds with the new fields.
        name="probes have a kind and a date, loads say what they gave up",
        converts={},
    ),
    Migration(
        name="runs, schedules and calls say who may close them",
        converts=dict.fromkeys(("runs", "schedules", "deliveries"), may_be_closed_by_dispatchers),
    ),
    Migration(
        name="a judging is a document of its own",
        converts={"runs": judging_is_a_document, "scores": judging_of_score},
    ),
    Migration(
        # An earlier version would answer every job of a run with variants alike.
        name="runs and suites have variants",
        converts=dict.fromkeys(("runs", "suites"), without_variants),
    ),
    Migration(
        # What was replied before keeps the scores that it had; an earlier version cannot read the new mark.
        name="a reply that is the one before it again is marked",
        converts={},
    ),
    Migration(
        # An earlier version would list live runs, and close them.
        name="runs have a kind, jobs may be live requests, sequences may have fixed messages",
        converts={"runs": of_an_evaluation},
    ),
    Migration(
        # Nothing of what is stored changes; an earlier version cannot read loads and replies with the new values.
        name="loads say what holds replies to grammars, replies may end at a limit of theirs",
        converts={},
    ),
    Migration(
        # Nothing of what is stored changes; an earlier version cannot read draws and facts of models at endpoints.
        name="models may answer at endpoints, runs may have a budget",
        converts={},
    ),
    Migration(
        # Nothing of what is stored changes; an earlier version would keep no budget of a token.
        name="tokens may have budgets",
        converts={},
    ),
    Migration(
        # Nothing of what is stored changes; an earlier version would not count what is summed up.
        name="settled requests of tokens are summed up by day",
        converts={},
    ),
    # Append here.
)
SCHEMA_VERSION = len(MIGRATIONS)
"""Of the documents that this code reads and writes."""
