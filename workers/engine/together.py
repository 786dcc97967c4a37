"""How fast several conversations decode together, measured apart from those that are served."""

from __future__ import annotations

from dataclasses import replace

from nightjar.config.errors import EngineError, ModelFitError
from nightjar.workers.engine.llama.backend import LlamaBackend
from nightjar.workers.engine.llama.context import ContextSettings
from nightjar.workers.engine.llama.model import LlamaModel
from nightjar.workers.engine.reproducible import decode_rate

TOGETHER_CONTEXT = 256
"""Tokens of each conversation's cache: the least that llama.cpp makes."""


def together_rate(
    model: LlamaModel, settings: ContextSettings, slots: int, threads: int, limit_s: float
) -> float | None:
    """Tokens per second of so many conversations, in a small cache of their own that is gone afterwards; None where
    there is no room for one. Takes about `limit_s`, and at least two steps."""
    small = replace(
        settings,
        context=TOGETHER_CONTEXT,
        slots=slots,
        threads=threads,
        n_batch=max(settings.n_ubatch, 2 * slots),
        n_ubatch=max(settings.n_ubatch, slots),
    )
    try:
        backend = LlamaBackend(model, small)
    except ModelFitError:
        return None
    try:
        return decode_rate(backend, limit_s)
    except EngineError:
        return None
    finally:
        backend.free()
