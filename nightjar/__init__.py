"""Nightjar: evaluate local GGUF language models.

What a program may import; everything else is the product's own and may change. Names are loaded when they are used, so
that `import nightjar` is cheap.
"""

from __future__ import annotations

import importlib
from typing import Any

from nightjar.config.version import NIGHTJAR_VERSION as __version__

_LAZY = dict.fromkeys(
    "Context Direction FunctionScorer Scale Score ScoreState Scorer ScorerFactory passed unscored".split(),
    "nightjar.scorers",
)
"""Name -> the module that has it."""

__all__ = ["__version__", *_LAZY]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'nightjar' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
