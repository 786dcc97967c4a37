"""Why jobs wait, in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nightjar.jobs.states import RunStatus
from nightjar.jobs.states import WorkerStatus as Status
from nightjar.jobs.status.waiting import ModelWait, explain

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
READY = {"w": (Status.READY, None)}
WELL = ModelWait(
    statuses=frozenset({RunStatus.ACTIVE}),
    earliest_due=NOW,
    now=NOW,
    only_suspects=False,
    worker_states=READY,
    free_slots=2,
    redis_reason=None,
    dispatching=True,
)


@pytest.mark.parametrize(
    ("change", "reason", "stalled"),
    [
        ({}, None, False),
        ({"free_slots": 0}, "all slots are busy", False),
        ({"statuses": frozenset({RunStatus.PAUSED})}, "paused", False),
        ({"statuses": frozenset({RunStatus.EXPANDING})}, "the run is being written", False),
        # a paused run beside a working one does not make the model's jobs paused
        ({"statuses": frozenset({RunStatus.PAUSED, RunStatus.ACTIVE})}, None, False),
        ({"redis_reason": "refused"}, "redis down", True),
        ({"worker_states": {}}, "no worker for model", True),
        ({"worker_states": {"w": (Status.LOADING, None)}}, "worker is loading", False),
        (
            {"worker_states": {"w": (Status.FAILED, "not a GGUF")}},
            "no worker for model; the last one is failed: not a GGUF",
            True,
        ),
        ({"worker_states": {"w": (Status.DEAD, None)}}, "no worker for model; the last one is dead", True),
        (
            {"worker_states": {"w": (Status.DRAINING, None)}},
            "no worker for model; the last one is draining",
            True,
        ),
        # `worker --model auto` will take the model, or says why it can't
        ({"worker_states": {}, "auto": ""}, "worker --model auto takes it next", False),
        ({"worker_states": {"w": (Status.DEAD, None)}, "auto": ""}, "worker --model auto takes it next", False),
        ({"worker_states": {"w": (Status.LOADING, None)}, "auto": ""}, "worker is loading", False),
        (
            {"worker_states": {}, "auto": "it is not on this host"},
            "no worker for model; worker --model auto cannot serve it: it is not on this host",
            True,
        ),
        # one ready worker is enough, whatever the others do
        ({"worker_states": {"a": (Status.DEAD, None), "b": (Status.READY, None)}}, None, False),
        ({"dispatching": False}, "no dispatcher runs", True),
        ({"silent_s": 2.0}, None, False),
        # a dispatcher that reaches MongoDB and not Redis
        ({"silent_s": 31.2}, "nobody rings: no dispatcher has reached Redis for 31 s", True),
        ({"earliest_due": NOW + timedelta(minutes=1)}, "backoff until 03:01:00 UTC", False),
        ({"only_suspects": True}, "suspect: they run one at a time", False),
    ],
)
def test_reason(change: dict[str, Any], reason: str | None, stalled: bool) -> None:
    assert explain(replace(WELL, **change)) == (reason, stalled)
