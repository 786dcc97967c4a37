"""What `nightjar run` shows: the list, and one run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nightjar.jobs.states import JobStatus
from nightjar.scripts.views.ending import describe_ending, print_ending
from nightjar.scripts.views.output import console, plain, table
from nightjar.scripts.views.wait import count_jobs

if TYPE_CHECKING:
    from datetime import datetime

    from nightjar.jobs.database import Database
    from nightjar.jobs.documents import Run

REASONS_SHOWN = 10
ENDING = frozenset({"ending", "verdict", "progress", "untold", "transcripts_dropped_at"})
"""Fields shown by `scripts.views.ending`, or none of a reader's business."""


async def list_runs(limit: int, database: Database) -> list[dict[str, Any]]:
    """The newest runs, newest first."""
    from nightjar.jobs.documents import Run as RunDocument

    rows = []
    for run in await RunDocument.find_all().sort("-created_at").limit(limit).to_list():
        counts = await count_jobs(run.id, database)
        rows.append(
            {
                "id": run.id,
                "run": run.name,
                "status": run.status,
                "suite": f"{run.suite_name}@{run.suite_version}",
                "models": ", ".join(model.name for model in run.models),
                "done": counts[JobStatus.DONE],
                "dead": counts[JobStatus.DEAD],
                "jobs": run.jobs_total,
                "created": _minute(run.created_at),
            }
        )
    return rows


async def describe_run(run: Run, database: Database) -> dict[str, Any]:
    """A run with its jobs by status and by model, and why jobs are dead."""
    groups: list[dict[str, Any]] = [
        {"$match": {"run": run.id}},
        {
            "$group": {
                "_id": {"model": "$model", "status": "$status"},
                "jobs": {"$sum": 1},
                "committed": {"$sum": "$turns_committed"},
                "empty": {"$sum": "$turns_empty"},
            }
        },
    ]
    by_model: dict[str, dict[str, int]] = {}
    async for row in await database.jobs.aggregate(groups, hint="status"):
        counts = by_model.setdefault(row["_id"]["model"], dict.fromkeys([*map(str, JobStatus), "turns", "empty"], 0))
        counts[row["_id"]["status"]] += row["jobs"]
        counts["turns"] += row["committed"]
        counts["empty"] += row["empty"]
    data: dict[str, Any] = run.model_dump(mode="json", exclude={"models", "sequences", "rubric", *ENDING})
    models = [
        {"name": m.name, "digest": m.digest, "path": m.path, "jobs": by_model.get(m.name), "loads": len(m.loads)}
        for m in run.models
    ]
    return data | {
        "sequences": run.sequences,
        "models": models,
        "jobs": await count_jobs(run.id, database),
        "dead_reasons": await _dead_reasons(run, database),
        **await describe_ending(run, database),
    }


async def _dead_reasons(run: Run, database: Database) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = [
        {"$match": {"run": run.id, "status": JobStatus.DEAD}},
        {"$group": {"_id": "$reason", "jobs": {"$sum": 1}, "example": {"$first": "$_id"}}},
        {"$sort": {"jobs": -1}},
        {"$limit": REASONS_SHOWN},
    ]
    rows = await database.jobs.aggregate(groups)
    return [{"reason": row["_id"], "jobs": row["jobs"], "example": row["example"]} async for row in rows]


def print_run(data: dict[str, Any]) -> None:
    reason = f" ({data['status_reason']})" if data["status_reason"] else ""
    lines = [
        f"Run {data['name']}  {data['status']}{reason}  id {data['id']}",
        f"suite {data['suite_name']}@{data['suite_version']} ({data['suite'][:12]}), "
        f"{len(data['sequences'])} sequences, "
        f"{data['repeats']} repeats, seed {data['seed']}, priority {data['priority']}",
        f"parameters set: {_sets(data)}",
        f"created {data['created_at']}, finished {data['finished_at'] or 'not yet'}, "
        f"Nightjar {data['nightjar_version']}",
    ]
    print(plain("\n".join(lines)))
    print_ending(data)
    columns = ("model", "file digest", *(f"{status.lower()}>" for status in JobStatus), "turns>", "empty>")
    rows = [_model_row(model) for model in data["models"]]
    console().print(table(None, columns, rows))
    if data["dead_reasons"]:
        rows = [[row["jobs"], row["reason"], row["example"][:12]] for row in data["dead_reasons"]]
        console().print(table("Dead jobs", ("jobs>", "reason", "for example"), rows))


def _model_row(model: dict[str, Any]) -> list[Any]:
    digest = model["digest"][:12] if model["digest"] else "not loaded yet"
    counts = model["jobs"] or {}
    return [model["name"], digest, *(counts.get(key) for key in [*map(str, JobStatus), "turns", "empty"])]


def _sets(data: dict[str, Any]) -> str:
    sets = [f"{key}={value}" for key, value in data["set_parameters"].items()]
    for model, layer in data["set_model_parameters"].items():
        sets += [f"{model}:{key}={value}" for key, value in layer.items()]
    return ", ".join(sets) or "none"


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"
