"""Loads the model files named on standard input, one after the other, and has each generate a little.

Run as a process of its own, which native code may end: `python -m tests.fuzz.loader`. For each file one line of JSON:
how it ended and what was said.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
from pathlib import Path

from nightjar.config.logging import configure
from nightjar.config.settings import Settings

MEMORY_BYTES = 6 * 2**30


async def load(path: Path) -> dict[str, str]:
    from nightjar.config.errors import NightjarError
    from nightjar.config.load_settings import LoadSettings
    from nightjar.jobs.parameters import Parameters
    from nightjar.workers.engine.loading import load as load_engine
    from nightjar.workers.engine.request import Request
    from nightjar.workers.library.digests import DigestCache
    from nightjar.workers.library.inspect import read_facts

    try:
        facts = read_facts(path, "hostile", digests=DigestCache(path.parent / "digests.json"))
        settings = LoadSettings(threads=1, slots=2, context=256)
        engine = await load_engine(path, settings=settings, facts=facts, gpu="none")
        try:
            ids = tuple(engine.tokenizer.tokenize("Tell me a story.", parse_special=False))
            values = Parameters(max_tokens=8)
            await engine.generate(Request(id="r", prompt=ids, max_tokens=8, parameters=values, seed=1))
        finally:
            await engine.close()
    except NightjarError as error:
        return {"end": "refused", "said": str(error)}
    except Exception as error:
        return {"end": "escaped", "said": f"{type(error).__name__}: {error}"}
    return {"end": "loaded", "said": ""}


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    configure(Settings(log_level="error"))
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # native code writes what it likes to standard output
    print("ready", file=answers)
    for line in sys.stdin:
        print(json.dumps(asyncio.run(load(Path(line.rstrip("\n"))))), file=answers)


if __name__ == "__main__":
    main()
