"""How many verdicts each judge has given, and how many it was asked for: counted from judge jobs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nightjar.jobs.documents import Run
from nightjar.jobs.judgings import Judging
from nightjar.jobs.mongo import Database
from nightjar.jobs.states import JobKind, JobStatus
from nightjar.pipeline.judging.plan import prompt_digest
from nightjar.pipeline.judging.results import VerdictCounts
from nightjar.pipeline.judging.rubric import read_rubric


async def count_verdicts(run: Run, judging: Judging, database: Database) -> VerdictCounts:
    """How far a judging is, or came."""
    if judging.rubric is None:
        return VerdictCounts(given=0, asked=0)
    counts = await _by_judge(run, judging.rubric, judging.judges, database)
    given = sum(by_status.get(JobStatus.DONE, 0) for by_status in counts.values())
    return VerdictCounts(given=given, asked=sum(sum(by_status.values()) for by_status in counts.values()))


async def silent_judges(run: Run, rubric: Mapping[str, Any], judges: Iterable[str], database: Database) -> list[str]:
    """The judges that were asked by this rubric, and none of whose jobs was done."""
    counts = await _by_judge(run, rubric, judges, database)
    return [judge for judge, by_status in counts.items() if not by_status.get(JobStatus.DONE)]


async def _by_judge(
    run: Run, rubric: Mapping[str, Any], judges: Iterable[str], database: Database
) -> dict[str, dict[str, int]]:
    asked: dict[str, Any] = {"run": run.id, "kind": JobKind.JUDGE, "payload.rubric": prompt_digest(read_rubric(rubric))}
    asked |= {"model": {"$in": list(judges)}, "payload.control": {"$exists": False}}
    group = {"_id": {"judge": "$model", "status": "$status"}, "jobs": {"$sum": 1}}
    counts: dict[str, dict[str, int]] = {}
    async for row in await database.jobs.aggregate([{"$match": asked}, {"$group": group}]):
        counts.setdefault(row["_id"]["judge"], {})[row["_id"]["status"]] = row["jobs"]
    return counts
