"""Which conversations lack embeddings by a model, and what of them is to be embedded."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nightjar.jobs.identity import digest
from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.states import TERMINAL_RUNS, WORKING_RUNS, JobKind, JobStatus, RunKind, RunStatus

_RUN_FIELDS = dict.fromkeys("status outcome.finished_at judging transcripts_dropped_at".split(), 1)
_JOB_FIELDS = dict.fromkeys(
    "run kind model routed.asked_as variant live.user payload.job payload.turn sequence_document "
    "turns.index turns.prompt turns.draws.reply".split(),
    1,
)
_KEPT: Row = {"status": {"$ne": RunStatus.REMOVING}, "transcripts_dropped_at": None}
"""Runs whose texts are to be found."""


@dataclass(kw_only=True)
class Unindexed:
    """What lacks embeddings by one model."""

    jobs: dict[str, list[str]] = field(default_factory=dict)
    """Run -> its jobs that do."""
    versions: dict[str, str] = field(default_factory=dict)
    """Ended run -> the version of its data, to be marked when all of its jobs are done."""

    @property
    def count(self) -> int:
        return sum(map(len, self.jobs.values()))

    def __bool__(self) -> bool:
        return bool(self.jobs or self.versions)

    def take(self, most: int) -> Unindexed:
        """Takes out so many conversations. A run is marked with the last of its own."""
        part = Unindexed()
        for run in list(self.jobs):
            if most <= 0:
                break
            part.jobs[run], left = self.jobs[run][:most], self.jobs[run][most:]
            most -= len(part.jobs[run])
            self.jobs[run] = left
            if not left:
                del self.jobs[run]
        part.versions = {run: version for run, version in self.versions.items() if run not in self.jobs}
        self.versions = {run: version for run, version in self.versions.items() if run in self.jobs}
        return part


@dataclass(frozen=True, kw_only=True)
class IndexableJob:
    """A job as it is stored, of what is embedded."""

    row: Mapping[str, Any]
    documents: tuple[str, ...]


async def find_unindexed(model: str, database: Database, *, user: str | None = None) -> Unindexed:
    """What of all evaluations, and of this user's live requests, has no embedding by the model of that digest."""
    found = Unindexed()
    marks = {row["run"]: row async for row in database.raw["indexed_runs"].find({"model": model})}
    mine: Row = {"$or": [{"kind": {"$ne": RunKind.LIVE}}, {"user": user}], "status": {"$ne": RunStatus.REMOVING}}
    async for run in database.runs.find(mine, _RUN_FIELDS):
        version, mark = _version(run), marks.get(run["_id"], {})
        if run.get("transcripts_dropped_at") is not None or (version is not None and mark.get("version") == version):
            continue
        query: Row = {"run": run["_id"], "status": JobStatus.DONE, "kind": {"$in": [JobKind.REPLY, JobKind.JUDGE]}}
        query |= {"turns.0": {"$exists": True}, "live.store": {"$ne": False}, "payload.control": {"$exists": False}}
        jobs = [row["_id"] async for row in database.jobs.find(query, {"_id": 1}).sort("order", 1)]
        there = await _indexed(run["_id"], model, database) - set(mark.get("pending", ()))
        if missing := [job for job in jobs if job not in there]:
            found.jobs[run["_id"]] = missing
        if version is not None:
            found.versions[run["_id"]] = version
    return found


async def is_quiet(database: Database) -> bool:
    """Whether nothing is at work whose speed would be measured, or that somebody waits for."""
    working: Row = {"status": {"$in": [RunStatus.EXPANDING, *WORKING_RUNS]}, "kind": {"$ne": RunKind.LIVE}}
    if await database.runs.find_one(working, {"_id": 1}) is not None:
        return False
    return await database.jobs.find_one({"status": JobStatus.RUNNING}, {"_id": 1}) is None


async def read_indexable(jobs: Sequence[str], database: Database) -> list[IndexableJob]:
    """Of these jobs what is embedded, with the documents of their sequences."""
    rows = await database.jobs.find({"_id": {"$in": list(jobs)}}, _JOB_FIELDS).to_list()
    wanted: Row = {"_id": {"$in": sorted({row["sequence_document"] for row in rows})}}
    wanted["sequence.documents.0"] = {"$exists": True}
    cursor = database.raw["sequences"].find(wanted, {"sequence.documents.text": 1})
    documents = {row["_id"]: [each["text"] for each in row["sequence"]["documents"]] async for row in cursor}
    return [IndexableJob(row=row, documents=tuple(documents.get(row["sequence_document"], ()))) for row in rows]


async def gone_meanwhile(run: str, jobs: Sequence[str], database: Database) -> list[str]:
    """Those of a run's jobs whose texts are not to be found any more: they are removed, or going, or were dropped."""
    if await database.runs.find_one({"_id": run} | _KEPT, {"_id": 1}) is None:
        return list(jobs)
    there = {row["_id"] async for row in database.jobs.find({"_id": {"$in": list(jobs)}}, {"_id": 1})}
    return [job for job in jobs if job not in there]


async def forget_gone_runs(runs: Collection[str], database: Database) -> None:
    """Of these runs, takes away how far they are indexed where there is nothing to index any more."""
    kept = {row["_id"] async for row in database.runs.find({"_id": {"$in": list(runs)}} | _KEPT, {"_id": 1})}
    if gone := [run for run in runs if run not in kept]:
        await database.raw["indexed_runs"].delete_many({"run": {"$in": gone}})


async def _indexed(run: str, model: str, database: Database) -> set[str]:
    """The jobs of a run of whose texts some have embeddings."""
    stages: list[Row] = [
        {"$match": {"refs.run": run, "model": model}},
        {"$unwind": "$refs"},
        {"$match": {"refs.run": run}},
        {"$group": {"_id": "$refs.source"}},
    ]
    return {row["_id"] async for row in await database.raw["vectors"].aggregate(stages)}


def _version(run: Row) -> str | None:
    """Changes whenever an ended run may have got texts; None while it works."""
    if run["status"] not in TERMINAL_RUNS:
        return None
    finished: Any = (run.get("outcome") or {}).get("finished_at")
    return digest(run["status"], str(finished), str(run.get("judging")))
