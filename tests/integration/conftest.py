"""A small run in MongoDB, for tests that show runs or wait for them."""

from __future__ import annotations

import pytest

from nightjar.jobs.documents import Run
from nightjar.jobs.mongo import Database
from nightjar.jobs.sequences import Sequence
from nightjar.pipeline.runs.producer import enqueue
from nightjar.pipeline.runs.request import make_request
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.importer import import_suite


@pytest.fixture
async def run(database: Database) -> Run:
    """Two sequences on one model, ACTIVE, nothing done."""
    sequences = tuple(Sequence.model_validate({"id": i, "turns": [{"prompt": "x"}]}) for i in "ab")
    await import_suite(SuiteContent(name="tales", sequences=sequences), database)
    request = make_request(
        suite="tales", models=("m",), known_models=("m",), name="nightly", set_parameters={"top_k": 5}
    )
    return (await enqueue(request, database)).run
