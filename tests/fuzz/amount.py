"""How many cases are tried: a few with every test run, more with `make chaos`, which sets FUZZ."""

from __future__ import annotations

import os

FACTOR = int(os.environ.get("FUZZ", "1"))


def examples(few: int) -> int:
    return few * FACTOR


def seeds(few: int) -> range:
    """The same seeds in every test run; other seeds, which are printed, if more are asked for."""
    if FACTOR == 1:
        return range(few)
    first = int.from_bytes(os.urandom(4))
    print(f"seeds {first} to {first + few * FACTOR - 1}")
    return range(first, first + few * FACTOR)
