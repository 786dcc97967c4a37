"""The checks of `nightjar doctor` from a process of their own: they wait, and open a database of theirs."""

from __future__ import annotations

import asyncio
import json

from nightjar.config.errors import NightjarError
from nightjar.config.interpreter import NIGHTJAR
from nightjar.scripts.doctor.check import Check


async def checks_apart() -> list[Check]:
    """What `nightjar doctor --json` says. Raises NightjarError where it says nothing."""
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(*NIGHTJAR, "doctor", "--json", stdout=pipe, stderr=pipe)
    try:
        said, complained = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
    try:
        return [Check(**row) for row in json.loads(said)["checks"]]
    except ValueError:
        raise NightjarError(f"`nightjar doctor` failed: {complained.decode('utf-8', 'replace').strip()}") from None
