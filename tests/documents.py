"""Documents for tests, each made in one place: a run, a job, a committed turn, with whatever a test changes.

They are validated like any other and need no database, which `Document.__init__` would ask for.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, TypeVar

from pydantic import BaseModel

from nightjar.jobs.documents import Job, Run, RunModel
from nightjar.jobs.judgings import RunJudging, first_judging
from nightjar.jobs.mongo import utc_now
from nightjar.jobs.parameters import Policy
from nightjar.jobs.records import Draw, Timings, TurnRecord
from nightjar.jobs.states import RunStatus

M = TypeVar("M", bound=BaseModel)


def a_run(run_id: str = "run1", **changes: Any) -> Run:
    """An ACTIVE run of model "m" over the sequence "a" of suite "s"; its name is its id."""
    fields: dict[str, Any] = {
        "id": run_id,
        "name": run_id,
        "status": RunStatus.ACTIVE,
        "suite": "s",
        "suite_name": "s",
        "suite_version": 1,
        "sequences": ["a"],
        "models": [RunModel(name="m")],
        "repeats": 1,
        "seed": 1,
        "date": "2026-11-21",
        "nightjar_version": "0",
        "content": "c",
        "created_at": utc_now(),
        "jobs_total": 1,
    }
    return _validated(Run, fields | changes)


def a_job(job_id: str = "job1", **changes: Any) -> Job:
    """The PENDING job of `a_run` with two turns, due for a second."""
    now = utc_now()
    fields: dict[str, Any] = {
        "id": job_id,
        "run": "run1",
        "model": "m",
        "sequence": "a",
        "sequence_digest": "d",
        "sequence_document": "d",
        "repeat": 0,
        "order": 0,
        "due_at": now - timedelta(seconds=1),
        "turns_total": 2,
        "created_at": now,
    }
    return _validated(Job, fields | changes)


def a_turn(index: int = 0, **changes: Any) -> TurnRecord:
    """A committed turn with one draw. `changes`: fields of the turn or of its draw."""
    of_draw = {name: changes.pop(name) for name in Draw.model_fields.keys() & changes.keys()}
    reply = of_draw.get("reply", "A reply.")
    draw: dict[str, Any] = {
        "seed": 1,
        "reply": reply,
        "reply_ids": (1, 2),
        "raw_text": reply,
        "finish_reason": "stop",
        "timings": Timings(queue_s=0, prefill_s=0, decode_s=0),
    }
    fields: dict[str, Any] = {
        "index": index,
        "prompt": "A prompt.",
        "draws": (Draw(**(draw | of_draw)),),
        "prompt_tokens": 3,
        "reused_tokens": 0,
        "prompt_digest": "p",
        "policy": Policy.TRIM,
        "parameters": {},
        "sources": {},
        "chain": f"c{index}",
        "fence": 1,
        "worker": "w",
        "committed_at": utc_now(),
    }
    return TurnRecord(**(fields | changes))


def _validated(kind: type[M], fields: dict[str, Any]) -> M:
    """A document of this kind. Raises ValidationError for a bad value, AssertionError for a field it does not have."""
    assert fields.keys() <= kind.model_fields.keys(), fields.keys() - kind.model_fields.keys()
    document = kind.__new__(kind)
    BaseModel.__init__(document, **fields)
    return document


def take_judging(changes: dict[str, Any]) -> RunJudging:
    """What of the changes concerns a run's first judging and its check, taken out of them."""
    whole: dict[str, Any] = {name: changes.pop(name) for name in ("check", "planned") if name in changes}
    asked = {name: changes.pop(name) for name in ("rubric", "self_judging", "against") if name in changes}
    return first_judging(changes.pop("judges", []), **asked).model_copy(update=whole)
