"""Every kind of document that MongoDB holds for us: what a connection makes usable, with its indexes."""

from __future__ import annotations

from nightjar.jobs.accounts.documents import ApiToken, AuditEntry, OneTimeKey, User, WebSession
from nightjar.jobs.accounts.token_days import TokenDay
from nightjar.jobs.accounts.token_ledger import ApiRequest
from nightjar.jobs.documents import Job, PublishedModel, Run, ScoreDocument, SequenceDocument, SuiteVersion
from nightjar.jobs.live.cached_replies import CachedReply
from nightjar.jobs.machines.machine_documents import MachineReading
from nightjar.jobs.machines.worker_documents import CrashDocument, WorkerState
from nightjar.jobs.memory import MemoryFact
from nightjar.jobs.money.energy import RunEnergy
from nightjar.jobs.money.spending import EndpointPause, Expense
from nightjar.jobs.nights.documents import Aggregates, Baseline, Delivery, NightDocument, Schedule
from nightjar.jobs.routing.evidence import RoutingEvidence
from nightjar.jobs.routing.policies import RoutingPolicy
from nightjar.jobs.runs.summaries import RunSummary
from nightjar.jobs.search.photo_homes import PhotoHome
from nightjar.jobs.search.vectors import IndexedRun, TextVector
from nightjar.jobs.stored import StoredDocument
from nightjar.jobs.troubles import ChoreFailure, PutAside

ALL: tuple[type[StoredDocument], ...] = (
    SequenceDocument,
    SuiteVersion,
    Run,
    Job,
    PublishedModel,
    WorkerState,
    CrashDocument,
    ScoreDocument,
    Schedule,
    Baseline,
    Delivery,
    Aggregates,
    NightDocument,
    ChoreFailure,
    MachineReading,
    PutAside,
    User,
    OneTimeKey,
    WebSession,
    ApiToken,
    AuditEntry,
    TextVector,
    IndexedRun,
    MemoryFact,
    PhotoHome,
    Expense,
    EndpointPause,
    RoutingPolicy,
    RoutingEvidence,
    CachedReply,
    ApiRequest,
    TokenDay,
    RunEnergy,
    RunSummary,
)
