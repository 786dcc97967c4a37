"""`nightjar cleanup` in a process of its own: it reads folders and collects old nights, which takes a while."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from nightjar.config.errors import NightjarError
from nightjar.config.interpreter import NIGHTJAR

LIMIT_S = 600.0


async def cleanup_apart(options: Sequence[str]) -> dict[str, Any]:
    """What `nightjar cleanup --json` says with these options. Raises NightjarError where it says nothing."""
    pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    child = await asyncio.create_subprocess_exec(
        *NIGHTJAR, "cleanup", "--json", *options, stdin=nothing, stdout=pipe, stderr=pipe
    )
    try:
        async with asyncio.timeout(LIMIT_S):
            said, complained = await child.communicate()
        told: dict[str, Any] = json.loads(said)
    except TimeoutError:
        raise NightjarError(f"`nightjar cleanup` took longer than {LIMIT_S:.0f} s and was ended.") from None
    except ValueError:
        raise NightjarError(f"`nightjar cleanup` failed: {complained.decode('utf-8', 'replace').strip()}") from None
    finally:
        if child.returncode is None:
            child.kill()
    return told
