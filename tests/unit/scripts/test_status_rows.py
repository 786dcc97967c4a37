"""What `nightjar status` says of a worker in its row."""

from __future__ import annotations

from typing import Any

import pytest

from nightjar.jobs.states import WorkerStatus
from nightjar.jobs.status.views import WorkerView
from nightjar.scripts.commands.status import _worker_row


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "ready"),
        ({"doing": "reading the prompt, 35 % of 6,144 tokens"}, "ready: reading the prompt, 35 % of 6,144 tokens"),
        ({"state": WorkerStatus.LOADING, "doing": "loading the model, 40 %"}, "loading: loading the model, 40 %"),
        ({"state": WorkerStatus.FAILED, "reason": "no such file", "doing": "waiting"}, "failed: no such file"),
        ({"others_cores": 1.04}, "ready; the machine is busy, others take 1.0 cores"),
        ({"others_cores": 0.3}, "ready"),
    ],
)
def test_the_state_says_what_is_done_and_that_the_machine_is_busy(changes: dict[str, Any], state: str) -> None:
    known: dict[str, Any] = {
        "id": "h:1:1",
        "host": "h",
        "device": "CPU",
        "model": "m",
        "state": WorkerStatus.READY,
        "reason": None,
        "slots_used": 0,
        "slots": 8,
        "waiting": 0,
        "tokens_per_s": 0.0,
        "turns_per_s": 0.0,
        "wasted_tokens": 0,
        "beat_age_s": 1.0,
    }
    assert _worker_row(WorkerView(**(known | changes)))[3] == state
