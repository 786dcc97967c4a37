"""Building very many small objects at once, without Python looking through all of them again and again."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_depth = 0


@contextmanager
def gc_paused() -> Iterator[None]:
    """Puts the search for reference cycles off until the block is done; several blocks may overlap.

    Rows and scores hold no cycles, and a search through a million of them finds nothing each time.
    """
    global _depth
    _depth += 1
    gc.disable()
    try:
        yield
    finally:
        _depth -= 1
        if _depth == 0:
            gc.enable()
