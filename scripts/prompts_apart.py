"""`nightjar show --rendered` in a process of its own: it loads a model's vocabulary and runs its template."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from nightjar.config.ended_child import end_child
from nightjar.config.errors import NightjarError
from nightjar.config.interpreter import NIGHTJAR

LIMIT_S = 120.0


async def prompts_apart(run: str, sequence: str, contestant: str) -> dict[str, Any]:
    """What `nightjar show --rendered --json` says of a conversation. Raises NightjarError where it says nothing."""
    pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    asked = ("show", run, f"--prompt={sequence}", f"--model={contestant}", "--rendered", "--json")
    child = await asyncio.create_subprocess_exec(*NIGHTJAR, *asked, stdin=nothing, stdout=pipe, stderr=pipe)
    try:
        async with asyncio.timeout(LIMIT_S):
            said, complained = await child.communicate()
        told: dict[str, Any] = json.loads(said)
    except TimeoutError:
        raise NightjarError(f"`nightjar show` took longer than {LIMIT_S:.0f} s and was ended.") from None
    except ValueError:
        raise NightjarError(f"`nightjar show` failed: {complained.decode('utf-8', 'replace').strip()}") from None
    finally:
        await end_child(child)
    return told
