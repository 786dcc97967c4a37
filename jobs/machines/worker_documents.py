"""MongoDB documents of worker processes: what each says of itself, and how one died."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from pymongo import ASCENDING, IndexModel

from nightjar.jobs.machines.doing import Doing
from nightjar.jobs.models import LoadFacts, SpeedProbe, ThreadUse
from nightjar.jobs.states import WorkerStatus
from nightjar.jobs.stored import StoredDocument


class WorkerState(StoredDocument):
    """A worker's beat; `_id` is the worker's id, "host:pid:start"."""

    id: str  # type: ignore[assignment]
    host: str
    pid: int
    model: str
    state: WorkerStatus
    """As it said itself, or its supervisor; how old that is tells what it is now."""
    reason: str | None = None
    load: LoadFacts | None = None
    device: str = ""
    slots: int = 0
    slots_used: int = 0
    waiting: int = 0
    doing: Doing | None = None
    """What it does and how far it is; None: a worker older than this field."""
    probe: SpeedProbe | None = None
    """The newest measured speed of the model on its machine."""
    decode_tokens: int = 0
    """Generated since it loaded its model."""
    prefill_tokens: int = 0
    threads: ThreadUse | None = None
    """None where their number is fixed."""
    others_cores: float | None = None
    """Cores that other processes keep from it now; None where it is not known."""
    others_cores_mean: float | None = None
    """The same while it had work, since it started."""
    tokens_per_s: float = 0.0
    """Decoded tokens per second over the last beats."""
    turns_per_s: float = 0.0
    """Committed turns per second over the last two minutes."""
    reused_tokens: int = 0
    wasted_tokens: int = 0
    """Generated for turns that were never committed."""
    process_peak_bytes: int | None = None
    gpu_peak_bytes: int | None = None
    gpu_utilisation: float | None = None
    """Mean share of the time since loading that it was busy, 0..1; None without NVML."""
    gpu_energy_j: float | None = None
    schema_version: int | None = None
    """Of the database's form that this worker writes; see `jobs.schema`. None: a worker older than that."""
    nightjar_version: str | None = None
    """None: a worker older than this field."""
    started_at: datetime
    beat_at: datetime

    class Settings:
        name = "workers"
        indexes: ClassVar = [IndexModel([("beat_at", ASCENDING)])]


class CrashDocument(StoredDocument):
    """A worker process that died, as its supervisor saw it."""

    worker: str
    reason: str
    held: list[str]
    """Ids of the jobs that it held."""
    stderr: str = ""
    """The last of what it wrote."""
    at: datetime

    class Settings:
        name = "crashes"
