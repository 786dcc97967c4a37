"""What `nightjar status` shows, as plain data. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from nightjar.jobs.states import RunStatus


@dataclass(frozen=True, kw_only=True)
class ServiceState:
    ok: bool
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class QueueView:
    """Jobs of one model that wait, and why. `reason` is None where nothing is wrong: they are about to start."""

    model: str
    waiting: int
    reason: str | None
    stalled: bool = False


@dataclass(frozen=True, kw_only=True)
class WorkerView:
    id: str
    host: str
    device: str
    model: str
    state: str
    """loading, ready, draining, stalled, dead, failed."""
    reason: str | None
    slots_used: int
    slots: int
    waiting: int
    tokens_per_s: float
    turns_per_s: float
    wasted_tokens: int
    beat_age_s: float

    @property
    def live(self) -> bool:
        return self.state in ("loading", "ready", "draining")


@dataclass(frozen=True, kw_only=True)
class RunView:
    id: str
    name: str
    suite: str
    status: RunStatus
    reason: str | None
    priority: int
    jobs_total: int
    jobs: dict[str, int]
    """By status; every status is there."""
    turns: dict[str, int]
    """committed, empty."""
    retries: int
    """Tries, lapses and crashes of its jobs."""
    eta_s: float | None
    wait: str | None = None
    """Why the run itself goes no further, whatever its jobs wait for; None where nothing is wrong."""


@dataclass(frozen=True, kw_only=True)
class DeadView:
    """DEAD jobs of one run and model with one kind of reason; `example` is one of the reasons, whole."""

    run: str
    model: str
    kind: str
    count: int
    example: str


@dataclass(frozen=True, kw_only=True)
class Overview:
    services: dict[str, ServiceState]
    queues: list[QueueView] = field(default_factory=list)
    workers: list[WorkerView] = field(default_factory=list)
    runs: list[RunView] = field(default_factory=list)
    dead: list[DeadView] = field(default_factory=list)
    nights: list[str] = field(default_factory=list)
    """What went wrong with nights, in sentences."""

    @property
    def stalled(self) -> bool:
        """Work waits that nothing here will ever start, or a service is missing."""
        waits = any(queue.stalled for queue in self.queues) or any(run.wait is not None for run in self.runs)
        return waits or any(not service.ok for service in self.services.values())
