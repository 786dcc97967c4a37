"""What the API answers with, for the OpenAPI document. Routes make the same of the same values."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from nightjar.jobs.states import RunStatus
from nightjar.jobs.status.run import ListedRun
from nightjar.jobs.status.views import WorkerView


class RunsAnswer(BaseModel):
    """Runs, newest first. `next`: the cursor of the page that follows; null on the last."""

    runs: list[ListedRun]
    next: str | None


class MadeRun(BaseModel):
    """`jobs_added`: 0 where it was there already."""

    id: str
    run: str
    status: RunStatus
    jobs_added: int


class MadeRunAnswer(BaseModel):
    """The run that was asked for."""

    run: MadeRun


class ChangedRun(BaseModel):
    """`status`: from now on. `jobs`: how many are tried again."""

    model_config = ConfigDict(extra="forbid")

    id: str
    run: str
    status: RunStatus | None = None
    jobs: int | None = None


class ChangedRunAnswer(BaseModel):
    """The run about which something was done."""

    run: ChangedRun


class ListedSuite(BaseModel):
    """The newest version of a suite."""

    name: str
    version: int
    id: str
    description: str
    licence: str | None
    tags: list[str]
    sequences: int
    turns: int
    imported_at: str


class SuitesAnswer(BaseModel):
    """Suites of this database, and the names of those that come with Nightjar."""

    suites: list[ListedSuite]
    bundled: list[str]


class WorkersAnswer(BaseModel):
    """Workers that were heard of in the last hour."""

    workers: list[WorkerView]


class ErrorAnswer(BaseModel):
    """What went wrong: `message` always; in OpenAI's protocol also `type`, `param` and `code`, else `request`."""

    error: dict[str, Any]
