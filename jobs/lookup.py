"""Finding a run, a suite or a job by what a person types: its name, its id, or the beginning of its id."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from pydantic import ValidationError

from nightjar.config.errors import NightjarError, UnknownNameError, UsageError
from nightjar.jobs.documents import Job, Run, SuiteVersion
from nightjar.jobs.mongo import Database
from nightjar.jobs.routing.routed import asked_query, contestant_query
from nightjar.jobs.states import EVALUATIONS, RunKind, RunStatus
from nightjar.jobs.unreadable import flaw_of

PREFIX_CHARS = 6
"""The beginning of an id must be at least this long to be taken for one."""


async def find_run(name: str, database: Database, *, removing: bool = False) -> Run:
    """The run of that name or id. Raises UnknownNameError with the nearest names.

    Raises UsageError for a run that is being removed, except where `removing` asks for those, too.
    """
    try:
        named = await Run.find_one({"name": name, **EVALUATIONS}) or await Run.find_one({"_id": name, **EVALUATIONS})
        run = named or await _by_prefix(Run, name, EVALUATIONS)
    except ValidationError as error:
        raise NightjarError(
            f"Run {name!r} is in the database, but {flaw_of(error)}. Where a newer Nightjar wrote it, upgrade this "
            "installation; else its document is damaged: mend it, or restore it from a backup."
        ) from None
    if run is None:
        raise UnknownNameError("run", name, await _names(database.runs, EVALUATIONS), "See `nightjar run list`.")
    if not removing:
        run.check_not_removing()
    return run


async def get_whole_run(run_id: str) -> Run | None:
    """The run of that id; None where it is gone, or going."""
    run = await Run.get(run_id)
    return None if run is None or run.status is RunStatus.REMOVING else run


async def name_of_run(run_id: str, database: Database) -> str:
    """What a run is called, though it cannot be read; its id where it has no name or is gone."""
    row = await database.runs.find_one({"_id": run_id}, {"name": 1})
    return str((row or {}).get("name") or run_id)


async def find_suite(name: str, database: Database) -> SuiteVersion:
    """The newest version of a suite, or the one given as NAME@VERSION or by its digest. Raises UnknownNameError."""
    base, at, number = name.rpartition("@")
    if at and number.isdecimal():
        version = await SuiteVersion.find_one({"name": base, "version": int(number)})
    else:
        version = await SuiteVersion.find({"name": name}).sort("-version").first_or_none()
    version = version or await SuiteVersion.get(name) or await _by_prefix(SuiteVersion, name)
    if version is None:
        remedy = "See `nightjar suite list`, or import one: `nightjar suite import`."
        raise UnknownNameError("suite", name, await suite_names(database), remedy)
    return version


async def suite_names(database: Database) -> list[str]:
    """The names of all suites that were ever imported."""
    return await _names(database.raw["suites"])


async def find_job(run: Run, name: str, database: Database) -> Job:
    """A job of a run, by its id or as SEQUENCE, SEQUENCE:MODEL or SEQUENCE:MODEL:REPEAT. Raises UnknownNameError.

    MODEL may be MODEL+VARIANT, or a policy of the run.
    """
    job = await Job.find_one({"_id": name, "run": run.id}) or await _by_prefix(Job, name, {"run": run.id})
    if job is not None:
        return job
    sequence, _, rest = name.partition(":")
    model, _, repeat = rest.rpartition(":") if rest.rpartition(":")[2].isdecimal() else (rest, "", "")
    query: dict[str, Any] = {"run": run.id, "sequence": sequence}
    if model:
        named = next((each for each in run.contestants if each.name == model), None)
        query |= asked_query(model) if named is None else contestant_query(named)
    if repeat:
        query["repeat"] = int(repeat)
    job = await Job.find(query).sort("+order").first_or_none()
    if job is None:
        raise UnknownNameError("job", name, run.sequences, within=f"run {run.name!r}")
    return job


async def find_turn(name: str, database: Database, run: Run | None = None) -> tuple[Job, int]:
    """The job and the turn (from 0) of JOB:TURN, where TURN counts from 1; without it the first.

    JOB is an id or its beginning; in a run, what `find_job` takes. Raises UnknownNameError, UsageError.
    """
    head, _, number = name.rpartition(":")
    job_name, turn = (head, int(number)) if head and number.isdecimal() else (name, 1)
    if run is not None:
        job: Job | None = await find_job(run, job_name, database)
    else:
        mine = {"live": None}
        job = await Job.find_one({"_id": job_name, **mine}) or await _by_prefix(Job, job_name, mine)
    if job is None:
        raise UnknownNameError("job", job_name, (), "Give its id, or with --run RUN its SEQUENCE:MODEL.")
    if not 1 <= turn <= len(job.turns):
        raise UsageError(f"Job {job.id} has {len(job.turns)} turns that are done; there is no turn {turn}.")
    return job, turn - 1


async def _names(collection: Any, query: dict[str, Any] | None = None) -> list[str]:
    return [str(name) for name in await collection.distinct("name", query)]


async def _by_prefix(kind: type[Any], prefix: str, query: dict[str, Any] | None = None) -> Any:
    if len(prefix) < PREFIX_CHARS or not re.fullmatch("[0-9a-f]+", prefix):
        return None
    documents = await kind.find({**(query or {}), "_id": {"$regex": f"^{prefix}"}}).limit(2).to_list()
    if len(documents) > 1:
        raise UsageError(f"{prefix!r} begins the ids of several {kind.Settings.name}. Give more of the id.")
    return documents[0] if documents else None


async def evaluation_names(runs: Collection[str], database: Database) -> dict[str, str | None]:
    """The names of runs that exist, by id; None of those that hold live requests: they are their user's alone."""
    rows = database.runs.find({"_id": {"$in": list(runs)}}, {"name": 1, "kind": 1})
    return {row["_id"]: None if row.get("kind") == RunKind.LIVE else row["name"] async for row in rows}
