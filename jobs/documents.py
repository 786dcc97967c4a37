"""MongoDB documents. Beanie provides schema, indexes and reads; hot writes go through `jobs.ownership`."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from pydantic import BaseModel, Field
from pymongo import ASCENDING, IndexModel

from nightjar.config.errors import UsageError
from nightjar.jobs.closers import Closers
from nightjar.jobs.ending import Ending
from nightjar.jobs.fidelity import RunFidelity
from nightjar.jobs.judgings import RunJudging
from nightjar.jobs.live_request import LiveRequest
from nightjar.jobs.models import LoadFacts, ModelFacts, ModelSource
from nightjar.jobs.records import Attempt, TurnRecord
from nightjar.jobs.routing.routed import FrozenPolicy, JobRoute
from nightjar.jobs.run_outcome import Progress, RunOutcome
from nightjar.jobs.sequences import Mode, Sequence
from nightjar.jobs.states import JobKind, JobStatus, RunKind, RunStatus
from nightjar.jobs.stored import StoredDocument
from nightjar.jobs.variants import Contestant, Variant, contestant_name
from nightjar.jobs.waves import Waves


class SequenceRef(BaseModel):
    """A sequence inside a suite version, in file order."""

    id: str
    digest: str
    document: str
    """`_id` of its SequenceDocument."""
    turns: int
    mode: Mode
    tags: tuple[str, ...] = ()
    scored: bool = False
    """Nothing is generated: see `Sequence.scored`."""


class SequenceDocument(StoredDocument):
    """An immutable sequence; `_id` digests all of it. `kept_back`: a withheld one as models have it, for workers."""

    id: str  # type: ignore[assignment]  # beanie's default is an ObjectId
    sequence: Sequence
    kept_back: Sequence | None = None

    class Settings:
        name = "sequences"
        use_cache = False


class SuiteVersion(StoredDocument):
    """An immutable, content-addressed version of a suite; `_id` is its digest."""

    id: str  # type: ignore[assignment]
    name: str
    version: int
    """1, 2, ... in import order, unique per name."""
    description: str = ""
    licence: str | None = None
    source: str
    """File name and format it was read from."""
    tags: tuple[str, ...] = ()
    sequences: list[SequenceRef]
    rubric: dict[str, Any] | None = None
    primary_metric: str | None = None
    left_out: tuple[str, ...] = ()
    """What another tool would do with the file and this version does not, in sentences."""
    variants: tuple[Variant, ...] = ()
    imported_at: datetime

    class Settings:
        name = "suites"
        indexes: ClassVar = [IndexModel([("name", ASCENDING), ("version", ASCENDING)], unique=True)]


class RunModel(BaseModel):
    """A model of a run. The first worker that loads it fixes the digest, by compare-and-set."""

    name: str
    digest: str | None = None
    facts: ModelFacts | None = None
    loads: list[LoadFacts] = Field(default_factory=list)
    path: str | None = None
    """A GGUF file given by path (`nightjar eval`); None where a registry knows the name."""
    policy: FrozenPolicy | None = None
    """It is no model: each of its jobs is answered by a candidate of this policy, whose file `helpers` holds."""


class Run(StoredDocument):
    """One launch, frozen: suite x models x repeats x parameters."""

    id: str  # type: ignore[assignment]
    name: str
    kind: RunKind = RunKind.EVALUATION
    user: str | None = None
    """Of a live run: whose requests it holds."""
    status: RunStatus
    status_reason: str | None = None
    suite: str
    suite_name: str
    suite_version: int
    sequences: list[str]
    """Ids of the sequences it takes (after --only and --limit), in suite order."""
    models: list[RunModel]
    variants: list[Variant] = Field(default_factory=list)
    """Every model replies once with each; empty: once, as the suite asks."""
    repeats: int
    seed: int
    budget: float | None = None
    """US dollars that its remote models may cost; None: no limit."""
    budget_reached: str | None = None
    """Why no more of it is sent to endpoints; None while the budget holds."""
    set_parameters: dict[str, Any] = Field(default_factory=dict)
    set_model_parameters: dict[str, dict[str, Any]] = Field(default_factory=dict)
    date: str
    """ISO date (UTC) that templates see as today."""
    waves: Waves | None = None
    """Of a run that stops when it is decided; None: all sequences are asked at once."""
    priority: int = 0
    """Higher first."""
    max_tries: int = 3
    max_lapses: int = 20
    max_crashes: int = 2
    fail_on_error: float | None = None
    """Stop the run at this many failed jobs (>= 1) or at this fraction of them (< 1)."""
    jobs_total: int = 0
    expanded: int = 0
    """Number of jobs known to be written, in the order of expansion."""
    expanded_at: datetime | None = None
    """When `expanded` last moved."""
    judging: RunJudging = Field(default_factory=RunJudging)
    embed_model: str | None = None
    """The model that embeds replies and references, for similarities."""
    fidelity: RunFidelity | None = None
    """What its models are compared with, token by token, on its own conversations."""
    measures: dict[str, Any] = Field(default_factory=dict)
    """Name -> argument: what replies are measured for in addition to what their suite asks for."""
    helpers: list[RunModel] = Field(default_factory=list)
    """Models that judge, embed or answer for its policies. Their files are fixed, too: one yardstick for a run."""
    schedule: str | None = None
    tick: datetime | None = None
    series: str | None = None
    """What its nights have in common: the schedule, or the name with `{date}` in it. Retention counts nights by it."""
    ending: Ending = Field(default_factory=Ending)
    closers: Closers | None = None
    """Who may close it besides dispatchers; None: nobody."""
    outcome: RunOutcome = Field(default_factory=RunOutcome)
    progress: Progress | None = None
    transcripts_dropped_at: datetime | None = None
    """Only its aggregates are left."""
    nightjar_version: str
    content: str
    """Digest of everything that must agree when the name is enqueued again (models and repeats may grow)."""
    created_at: datetime

    @property
    def judged_again(self) -> bool:
        """It is as DONE as it was: another judging, or a check of its judges, is under way, and nothing of the last has
        changed.
        """
        return self.status is RunStatus.JUDGING and self.outcome.finished_at is not None

    @property
    def only_checked(self) -> bool:
        """It was DONE, and since then nothing but its judges was checked: it ends as it had ended."""
        ended, shown = self.outcome.finished_at, self.judging.current
        if not self.judged_again or ended is None or self.judging.under_way is not None:
            return False
        return shown is None or shown.ended_at is None or shown.ended_at <= ended

    @property
    def contestants(self) -> tuple[Contestant, ...]:
        """What its report ranks: its models, or each of them with every variant."""
        names: list[str | None] = [variant.name for variant in self.variants]
        return tuple(Contestant(model=model.name, variant=name) for model in self.models for name in names or [None])

    @property
    def candidates(self) -> tuple[str, ...]:
        """Models that answer for its policies, each once."""
        policies = [model.policy for model in self.models if model.policy is not None]
        return tuple(dict.fromkeys(name for policy in policies for name in policy.candidates))

    @property
    def asked(self) -> list[str]:
        """Ids of the sequences for which it has jobs, or is about to: all but those of waves that are not opened."""
        return self.sequences if self.waves is None else self.waves.taken(self.sequences)

    def variant(self, name: str | None) -> Variant | None:
        """The variant that a job of the run names; None for a job without one."""
        return None if name is None else next(variant for variant in self.variants if variant.name == name)

    @property
    def remote_models(self) -> tuple[str, ...]:
        """Those of its models, judges and embedders of which it is known that they answer at an endpoint."""
        known = [model for model in (*self.models, *self.helpers) if model.facts is not None]
        return tuple(model.name for model in known if model.facts and model.facts.source is ModelSource.REMOTE)

    def check_transcripts(self) -> None:
        """Raises UsageError for a run of which only aggregates are left: it cannot work again."""
        if self.transcripts_dropped_at is not None:
            raise UsageError(
                f"The transcripts of run {self.name!r} were dropped on {self.transcripts_dropped_at:%Y-%m-%d}, as "
                "retention asks for; it cannot work again. Enqueue a new run."
            )

    def check_not_removing(self) -> None:
        """Raises UsageError for a run that is being removed: what is left of it means nothing."""
        if self.status is RunStatus.REMOVING:
            raise UsageError(
                f"Run {self.name!r} is being removed and cannot be used any more. `nightjar run rm {self.name}` "
                "finishes that where it was interrupted; a dispatcher does so, too."
            )

    class Settings:
        name = "runs"
        indexes: ClassVar = [
            IndexModel([("name", ASCENDING)], unique=True),
            IndexModel([("status", ASCENDING), ("priority", ASCENDING)]),
            IndexModel(
                [("outcome.untold", ASCENDING)], name="outcome_untold", partialFilterExpression={"outcome.untold": True}
            ),
        ]


class Job(StoredDocument):
    """A queued unit and its recorded outcome: sequence x contestant x repeat, with its transcript."""

    id: str  # type: ignore[assignment]
    run: str
    kind: JobKind = JobKind.REPLY
    model: str
    variant: str | None = None
    """Name of the run's variant that the model replies with; its queue is the model's all the same."""
    routed: JobRoute | None = None
    """It answers for a policy; None: for its model."""
    sequence: str
    """Sequence id in its suite."""
    sequence_digest: str
    sequence_document: str
    repeat: int
    """0 .. repeats - 1."""
    tags: tuple[str, ...] = ()
    order: int
    """Position in the run's expansion; jobs that share a prompt prefix are neighbours."""
    priority: int = 0
    status: JobStatus = JobStatus.PENDING
    reason: str | None = None
    """Why DEAD or CANCELLED."""
    due_at: datetime
    """Not to be started before this: backoff."""
    fence: int = 0
    owner: str | None = None
    lease_until: datetime | None = None
    suspect: bool = False
    tries: int = 0
    lapses: int = 0
    crashes: int = 0
    turns_total: int
    turns_committed: int = 0
    turns_empty: int = 0
    turns: list[TurnRecord] = Field(default_factory=list)
    attempts: list[Attempt] = Field(default_factory=list)
    created_at: datetime
    finished_at: datetime | None = None
    payload: dict[str, Any] | None = None
    """Judge, embed and fidelity jobs: what is judged or read. None for replies."""
    live: LiveRequest | None = None
    """None for the jobs of an evaluation."""
    labels: list[str] = Field(default_factory=list)
    """What people called it; it changes nothing else."""

    @property
    def contestant(self) -> str:
        """What reports call what replies."""
        return contestant_name(self.model if self.routed is None else self.routed.asked_as, self.variant)

    class Settings:
        name = "jobs"
        indexes: ClassVar = [
            IndexModel(
                [(key, ASCENDING) for key in ("run", "status", "model", "turns_committed", "turns_empty")],
                name="status",
            ),
            IndexModel([(key, ASCENDING) for key in ("model", "status", "run", "due_at", "order")], name="due"),
            IndexModel([("lease_until", ASCENDING)], name="leases", partialFilterExpression={"status": "RUNNING"}),
            IndexModel(
                [("model", ASCENDING), ("run", ASCENDING)], name="suspects", partialFilterExpression={"suspect": True}
            ),
            IndexModel(
                [(key, ASCENDING) for key in ("run", "tries", "lapses", "crashes", "fence")],
                name="retried",
                partialFilterExpression={"fence": {"$gt": 1}},
            ),
            IndexModel(
                [(key, ASCENDING) for key in ("model", "status", "finished_at", "live.user")],
                name="live",
                partialFilterExpression={"live.user": {"$exists": True}},
            ),
        ]


class PublishedModel(StoredDocument):
    """Facts of a model by name, published by `nightjar model add` and by workers on load; `_id` is the name."""

    id: str  # type: ignore[assignment]
    facts: ModelFacts
    origin: dict[str, Any] | None = None
    """Where the publishing host got it from; see `workers.library.origin`."""
    published_by: str
    published_at: datetime

    class Settings:
        name = "models"


class ScoreDocument(StoredDocument):
    """One scorer's result for one turn; `_id` is "JOB.TURN.SCORER": writing it again changes nothing.

    Judges' scores of the second judging and later ones have its number behind that.
    """

    id: str  # type: ignore[assignment]
    run: str
    job: str
    turn: int
    scorer: str
    value: float | None
    """None where unscored or failed; `reason` says why."""
    state: str
    """scored, worst (a model failure), unscored, failed."""
    answer: str | None = None
    reason: str | None = None
    scorer_digest: str
    judging: int | None = None
    """The judging that it comes from; None where it is no judge's."""

    class Settings:
        name = "scores"
        indexes: ClassVar = [IndexModel([("run", ASCENDING), ("scorer_digest", ASCENDING)])]
