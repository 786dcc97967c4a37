"""Commands of `nightjar` in a process of their own, for a server whose process must not do what they do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from nightjar.config.ended_child import end_child
from nightjar.config.errors import NightjarError
from nightjar.config.interpreter import NIGHTJAR

CLEANUP_S, PROMPTS_S = 600.0, 120.0


async def cleanup_apart(options: Sequence[str]) -> dict[str, Any]:
    """What `nightjar cleanup --json` says with these options: it reads folders and collects old nights, which takes a
    while. Raises NightjarError where it says nothing.
    """
    return await _said_apart(("cleanup", "--json", *options), CLEANUP_S)


async def prompts_apart(run: str, sequence: str, contestant: str) -> dict[str, Any]:
    """What `nightjar show --rendered --json` says of a conversation: it loads a model's vocabulary and runs its
    template. Raises NightjarError where it says nothing.
    """
    asked = ("show", run, f"--prompt={sequence}", f"--model={contestant}", "--rendered", "--json")
    return await _said_apart(asked, PROMPTS_S)


async def _said_apart(words: Sequence[str], limit_s: float) -> dict[str, Any]:
    """The JSON that a command prints, however it exits."""
    pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    child = await asyncio.create_subprocess_exec(*NIGHTJAR, *words, stdin=nothing, stdout=pipe, stderr=pipe)
    try:
        async with asyncio.timeout(limit_s):
            said, complained = await child.communicate()
        told: dict[str, Any] = json.loads(said)
    except TimeoutError:
        raise NightjarError(f"`nightjar {words[0]}` took longer than {limit_s:.0f} s and was ended.") from None
    except ValueError:
        raise NightjarError(f"`nightjar {words[0]}` failed: {complained.decode('utf-8', 'replace').strip()}") from None
    finally:
        await end_child(child)
    return told
