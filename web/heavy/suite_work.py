"""Of the child processes' work: reading an uploaded suite, whatever it holds, within their limits."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from nightjar.jobs.mongo import Database
from nightjar.pipeline.suites.read import read_suite


async def write_suite(_: Database, file: str, skip_unsupported: str) -> str:
    """The suite in the file, as JSON: its content, what was left out, and notes. Raises SuiteError with every line."""
    content = await asyncio.to_thread(lambda: read_suite(Path(file), skip_unsupported=skip_unsupported == "yes"))
    told = {"left_out": content.left_out, "notes": content.notes}
    return json.dumps({"content": content.model_dump(mode="json"), **told})
