"""What is shown of runs, queues and workers, as plain data. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from nightjar.config.counting import how_many
from nightjar.jobs.machines.doing import BUSY_CORES
from nightjar.jobs.states import JobStatus, RunStatus, WorkerStatus


@dataclass(frozen=True, kw_only=True)
class JobCount:
    """Jobs, and the turns that they have committed."""

    jobs: int = 0
    committed: int = 0
    empty: int = 0

    def __add__(self, other: JobCount) -> JobCount:
        return JobCount(
            jobs=self.jobs + other.jobs,
            committed=self.committed + other.committed,
            empty=self.empty + other.empty,
        )


@dataclass(frozen=True, kw_only=True)
class JobCounts:
    """The jobs of a run, or of some of it, counted by (status, model)."""

    groups: Mapping[tuple[JobStatus, str], JobCount] = field(default_factory=dict)

    def of(self, *statuses: JobStatus, model: str | None = None) -> JobCount:
        """Those of these statuses (of any, where none is named), of one model or of all."""
        chosen = statuses or tuple(JobStatus)
        matching = (
            group for (status, name), group in self.groups.items() if status in chosen and model in (None, name)
        )
        return sum(matching, JobCount())

    def by_status(self, model: str | None = None) -> dict[str, int]:
        """Jobs by status; every status is there."""
        return {str(status): self.of(status, model=model).jobs for status in JobStatus}

    @property
    def models(self) -> frozenset[str]:
        """Those that have jobs among these."""
        return frozenset(model for _, model in self.groups)


@dataclass(frozen=True, kw_only=True)
class ServiceState:
    """Whether a server can be used, and if not, why."""

    ok: bool
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class QueueView:
    """Jobs of one model that wait, and why. `reason` is None where nothing is wrong: they are about to start."""

    model: str
    waiting: int
    reason: str | None
    stalled: bool = False
    """Nothing that runs now will ever start them."""


@dataclass(frozen=True, kw_only=True)
class WorkerView:
    """A worker by its last beat; one that is silent, stalled or has failed shows no work."""

    id: str
    host: str
    device: str
    model: str
    state: WorkerStatus
    reason: str | None
    slots_used: int
    slots: int
    waiting: int
    tokens_per_s: float
    turns_per_s: float
    wasted_tokens: int
    beat_age_s: float
    doing: str | None = None
    """What it does and how far it is, in words; None where it does not say."""
    threads: int | None = None
    """Threads that compute, where their number follows the machine's load."""
    others_cores: float | None = None
    """Cores that other processes keep from it."""

    @property
    def busy(self) -> bool:
        """Whether other processes use its machine."""
        return self.others_cores is not None and self.others_cores > BUSY_CORES


@dataclass(frozen=True, kw_only=True)
class CostView:
    """What one model of a run, or a policy, cost so far at its endpoint, in one role."""

    model: str
    role: str
    """replies, verdicts or embeddings."""
    usd: float | None
    """None where no price is known."""
    cost: str
    """The same in words, with "unknown" and "at least"."""
    usd_each: float | None
    """A conversation, a verdict or a comparison, over those that are done."""
    done: int
    requests: int


@dataclass(frozen=True, kw_only=True)
class RunView:
    """One line of the overview: a run with its counts."""

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
    judging_shown: int | None = None
    """The judging that counts, and the one that is under way, by their numbers."""
    judging_under_way: int | None = None
    waves: str | None = None
    """How far a run is that stops when it is decided, in words."""
    cost_usd: float | None = None
    """What its models at endpoints cost so far; None where it has none, or no price is known."""
    cost: str | None = None
    """The same in words, with "unknown" and "at least"; None where it has none."""
    electricity_usd: float | None = None
    """What the cards of its workers used so far, as far as they tell; None where nothing is known."""
    electricity: str | None = None
    """The same in words, with "at least" where some of it is not known."""
    costs: tuple[CostView, ...] = ()
    """The cost at endpoints by model; empty where it has none."""
    names: tuple[str, ...] = ()
    """What is to be said of the names under which its models at endpoints answered: that they changed, or are other
    than those asked for.
    """

    @property
    def all_costs(self) -> str | None:
        """ "$0.0042", "$0.0012 electricity", "$0.0042 + $0.0012 electricity"."""
        return " + ".join(filter(None, (self.cost, self.electricity))) or None


@dataclass(frozen=True, kw_only=True)
class DeadView:
    """DEAD jobs of one run and model with one kind of reason; `example` is one of the reasons, whole."""

    run: str
    model: str
    kind: str
    count: int
    example: str


@dataclass(frozen=True, kw_only=True)
class ChoreView:
    """A chore of a dispatcher or worker that fails, or that failed a few minutes ago."""

    process: str
    chore: str
    about: str
    """What of its work failed; empty where all of it did."""
    error: str
    failures: int
    since: datetime
    last_at: datetime
    failing: bool
    """False: it has worked since."""

    def sentence(self) -> str:
        """For a person."""
        what = f"`{self.chore}`{f' ({self.about})' if self.about else ''} of {self.process}"
        how = "fails" if self.failing else "works again; it failed"
        times = "once" if self.failures == 1 else how_many(self.failures, "time")
        return f"{what} {how}, {times} since {self.since:%Y-%m-%d %H:%M:%S} UTC: {self.error}"


@dataclass(frozen=True, kw_only=True)
class Overview:
    """Everything that `nightjar status` shows."""

    services: dict[str, ServiceState]
    queues: list[QueueView] = field(default_factory=list)
    workers: list[WorkerView] = field(default_factory=list)
    runs: list[RunView] = field(default_factory=list)
    dead: list[DeadView] = field(default_factory=list)
    nights: list[str] = field(default_factory=list)
    """What went wrong with nights, in sentences."""
    chores: list[ChoreView] = field(default_factory=list)
    """What the processes do again and again, as far as it fails or has failed in the last minutes."""
    unreadable: list[str] = field(default_factory=list)
    """Documents that could not be shown, in sentences."""

    @property
    def stalled(self) -> bool:
        """Work waits that nothing here will ever start, a service is missing, or what should start work fails."""
        waits = any(queue.stalled for queue in self.queues) or any(run.wait is not None for run in self.runs)
        fails = self.unreadable or any(chore.failing for chore in self.chores)
        return bool(waits or fails) or any(not service.ok for service in self.services.values())
