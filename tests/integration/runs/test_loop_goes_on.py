"""While a schema is tried, which may take a second, whoever else is served by the same process is served."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import pytest

from nightjar.config.errors import ParameterError
from nightjar.jobs.documents import SequenceDocument, SequenceRef
from nightjar.jobs.mongo import Database
from nightjar.jobs.sequences import Sequence
from nightjar.pipeline.runs.preflight import check_held_to
from tests.documents import a_run

TRIAL_S = 0.6


def slow(asked: Mapping[str, Any]) -> None:
    """As `held_to` does where the schema was not tried before: it blocks its thread."""
    time.sleep(TRIAL_S)
    if asked["json_schema"].get("type") == "none":
        raise ParameterError("no such type")


async def longest_gap(stop: asyncio.Event) -> float:
    longest, before = 0.0, time.monotonic()
    while not stop.is_set():
        await asyncio.sleep(0.005)
        now = time.monotonic()
        longest, before = max(longest, now - before), now
    return longest


@pytest.mark.parametrize(("kind", "refused"), [("object", False), ("none", True)])
async def test_the_loop_goes_on_while_a_schema_is_tried(database: Database, kind: str, *, refused: bool) -> None:
    turn = {"prompt": "Who?", "parameters": {"json_schema": {"type": kind}}}
    content = Sequence.model_validate({"id": "s", "turns": [turn]})
    await SequenceDocument(id=content.digest, sequence=content).save()
    ref = SequenceRef(id="s", digest=content.digest, document=content.digest, turns=1, mode=content.mode)
    stop = asyncio.Event()
    watching = asyncio.create_task(longest_gap(stop))
    checking = check_held_to(a_run("r"), [ref], database, slow)
    if refused:
        with pytest.raises(ParameterError, match="Sequence 's', turn 1: no such type"):
            await checking
    else:
        await checking
    stop.set()
    assert await watching < TRIAL_S / 2
