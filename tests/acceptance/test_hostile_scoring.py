"""A suite and a reply that make scoring run for ever, against a running dispatcher."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from nightjar.config.embedded import service_urls
from nightjar.config.settings import Settings
from nightjar.jobs.database import connect
from nightjar.jobs.documents import SequenceDocument
from nightjar.jobs.mongo import Database
from nightjar.jobs.sequences import Sequence
from nightjar.jobs.states import JobStatus, RunStatus
from tests.documents import a_turn
from tests.shell import LIMIT_S, Shell
from tests.workbench import make_run, until

SCORER = """
import re
from nightjar.scorers import Direction, FunctionScorer, Scale, Score


def tone(context):
    return Score(value=float(bool(re.match("(a+)+$", context.reply))))


tone = FunctionScorer(name="tone", scale=Scale(worst=None, best=None, direction=Direction.NONE), function=tone)
"""
DOUBLING: dict[str, Any] = {
    "$ref": "#/$defs/d24",
    "$defs": {"d0": {"type": "integer"}}
    | {f"d{n + 1}": {"allOf": [{"$ref": f"#/$defs/d{n}"}, {"$ref": f"#/$defs/d{n}"}]} for n in range(24)},
}
"""2 KB that cost 2^24 checks of one number. The importer refuses it now; an earlier version stored it."""


async def finished(run_id: str, reply: str, database: Database, *, schema: dict[str, Any] | None = None) -> None:
    """A run of six conversations whose jobs are DONE with that reply."""
    run = await make_run(run_id, sequences=6, turns=1)
    if schema is not None:
        for number in range(6):
            expect = [{"check": "json_schema", "value": schema}]
            turn = {"prompt": f"sequence {number}, turn 0", "expect": expect}
            sequence = Sequence.model_validate({"id": f"s{number}", "turns": [turn]})
            stored = await SequenceDocument.find_one({"sequence.id": f"s{number}"})
            assert stored is not None
            document = f"{run_id}-{number}"
            await SequenceDocument(id=document, sequence=sequence).insert()
            await database.raw["suites"].update_one(
                {"_id": run.suite}, {"$set": {f"sequences.{number}.document": document}}
            )
    turn = a_turn(reply=reply).model_dump(mode="json") | {"committed_at": run.created_at}
    done = {"status": JobStatus.DONE, "turns": [turn], "turns_committed": 1}
    await database.jobs.update_many({"run": run_id}, {"$set": done})


def test_the_dispatcher_closes_the_others_and_ends_when_it_is_told_to(
    shell: Shell, acceptance_home: Path, tmp_path: Path
) -> None:
    """The hostile ones are put aside or have failed scores, with the reason; nothing hangs."""
    (tmp_path / "catastrophic.py").write_text(SCORER)
    path = f"{shell.environ()['PYTHONPATH']}:{tmp_path}"
    environment = {
        "NIGHTJAR_SCORERS": "catastrophic:tone",
        "NIGHTJAR_SCORING_TIMEOUT_S": "2",
        "PYTHONPATH": path,
    }

    async def dispatch(database: Database) -> None:
        await finished("regex", "a" * 60 + "b", database)
        await finished("schema", "7", database, schema=DOUBLING)
        dispatcher = subprocess.Popen(  # noqa: ASYNC220
            [sys.executable, "-P", "-m", "nightjar", "dispatcher"], cwd=shell.folder, env=shell.environ(environment)
        )
        try:

            async def status(run: str) -> str:
                row = await database.runs.find_one({"_id": run})
                assert row is not None
                return str(row["status"])

            async def both_are_judged() -> bool:
                return {await status("regex"), await status("schema")}.isdisjoint({"ACTIVE"})

            await until(both_are_judged, within_s=LIMIT_S)
            await finished("good", "aaa", database)

            async def good_is_done() -> bool:
                return await status("good") == RunStatus.DONE

            async def bad_have_ended() -> bool:
                return {await status("regex"), await status("schema")} <= {RunStatus.STOPPED, RunStatus.DONE}

            await until(good_is_done, within_s=LIMIT_S)
            await until(bad_have_ended, within_s=LIMIT_S)
            assert await status("regex") == RunStatus.STOPPED
        finally:
            dispatcher.send_signal(signal.SIGTERM)
            try:
                assert dispatcher.wait(LIMIT_S) == 0
            finally:
                dispatcher.kill()
        reason = (await database.runs.find_one({"_id": "regex"}) or {})["status_reason"]
        assert "longer than 2 s (scoring_timeout_s)" in reason
        assert "its replies cannot be scored" in shell.ok("run", "show", "regex")

    async def connected() -> None:
        urls = service_urls(Settings(home=acceptance_home, mongo_url=None, redis_url=None))
        async with await connect(urls.mongo, shell.environment["NIGHTJAR_MONGO_DATABASE"]) as database:
            await dispatch(database)

    asyncio.run(connected())
