"""A worker's status from its last heartbeat and the time since, and which workers are alive."""

from __future__ import annotations

import pytest

from nightjar.jobs.machines.workers import ALIVE_S, VANISHED_S, status_now
from nightjar.jobs.states import WorkerStatus

LATE = ALIVE_S + 0.1
GONE = VANISHED_S + 0.1


@pytest.mark.parametrize(
    ("said", "silent_s", "status", "alive"),
    [
        (WorkerStatus.LOADING, 0, WorkerStatus.LOADING, True),
        (WorkerStatus.READY, ALIVE_S, WorkerStatus.READY, True),
        (WorkerStatus.DRAINING, 1, WorkerStatus.DRAINING, True),
        # its engine stands still
        (WorkerStatus.STALLED, 0, WorkerStatus.STALLED, False),
        # silent: it may come back, and later nobody expects it to
        (WorkerStatus.READY, LATE, WorkerStatus.STALLED, False),
        (WorkerStatus.LOADING, GONE, WorkerStatus.DEAD, False),
        # what was told of its end stays, however long ago
        (WorkerStatus.FAILED, GONE, WorkerStatus.FAILED, False),
        (WorkerStatus.DEAD, 0, WorkerStatus.DEAD, False),
    ],
)
def test_status(said: WorkerStatus, silent_s: float, status: WorkerStatus, alive: bool) -> None:
    assert status_now(said, silent_s) is status
    assert status_now(said, silent_s).alive is alive


def test_the_stored_values() -> None:
    """They are in databases, and scripts read them."""
    assert [*WorkerStatus] == ["loading", "ready", "draining", "stalled", "failed", "dead"]
