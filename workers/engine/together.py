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
    model: LlamaModel, settings: ContextSettings, slots: int, threads: int, limit_s: float, *, alone: bool = False
) -> float | None:
    """Tokens per second of so many conversations, in a small cache of their own that is gone afterwards; None where
    there is no room for one. Takes about `limit_s`, and at least two steps. `alone`: each in a decode by itself."""
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
    backend.limits = replace(backend.limits, alone=alone)
    try:
        return decode_rate(backend, limit_s)
    except EngineError:
        return None
    finally:
        backend.free()


def reproducible_cost(
    model: LlamaModel, settings: ContextSettings, *, flash_attention: bool, alone: bool, limit_s: float
) -> float | None:
    """Share of the decode speed with all slots busy that `reproducible` costs, in about twice `limit_s`.

    `settings`: as it is loaded; `flash_attention`: as it would be otherwise. None where one could not be measured.
    """
    slots, threads = settings.slots, settings.threads
    usual = together_rate(model, replace(settings, flash_attention=flash_attention), slots, threads, limit_s)
    exact = together_rate(model, settings, slots, threads, limit_s, alone=alone)
    return None if usual is None or exact is None else max(0.0, 1 - exact / usual)
