"""Smaller load settings for further attempts after a load ran out of memory. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nightjar.config.load_settings import LoadSettings
from nightjar.workers.library.fit.fit import CPU_UBATCH, context_of

LEAST_CONTEXT = 1024
LEAST_BATCH = 256


@dataclass(frozen=True, kw_only=True)
class Smaller:
    """Settings that take less, and what was given up for them."""

    settings: LoadSettings
    given_up: tuple[str, ...]


def smaller(settings: LoadSettings, context_train: int) -> Iterator[Smaller]:
    """What to try one after the other: one slot, then a quantised cache too, then half the context, and half of that.

    What a person set stays as it is: slots, cache types and context are made smaller only where they are automatic.
    """
    changes: dict[str, object] = {}
    if settings.n_ubatch == "auto":
        changes["n_ubatch"] = CPU_UBATCH
    if settings.n_batch == "auto":
        changes["n_batch"] = LEAST_BATCH
    given_up: dict[str, str] = {}
    for change, words in _steps(settings, context_train):
        changes |= change
        given_up |= dict.fromkeys(change, words)
        sentences = tuple(dict.fromkeys(given_up.values()))
        yield Smaller(settings=settings.model_copy(update=changes), given_up=sentences)


def _steps(settings: LoadSettings, context_train: int) -> Iterator[tuple[dict[str, object], str]]:
    if settings.slots == "auto":
        yield {"slots": 1}, "one conversation at a time"
    free_cache = not {"cache_type_k", "cache_type_v"} & settings.model_fields_set
    if free_cache and settings.flash_attention and not settings.reproducible:
        yield {"cache_type_k": "q8_0", "cache_type_v": "q8_0"}, "a q8_0 cache instead of f16"
    if settings.context is None:
        whole = context = context_of(None, context_train)
        while (context := context // 2) >= LEAST_CONTEXT:
            yield {"context": context}, f"context {context:,} instead of {whole:,} tokens"


def kept_words(settings: LoadSettings) -> str:
    """What of the settings a person chose and is therefore kept, for the error; empty where all is automatic."""
    kept = [] if settings.context is None else [f"context {settings.context:,}"]
    kept += [] if settings.slots == "auto" else [f"slots {settings.slots}"]
    caches = [name for name in ("cache_type_k", "cache_type_v") if name in settings.model_fields_set]
    kept += [f"{name} {getattr(settings, name)}" for name in caches]
    return f" What was set is kept: {', '.join(kept)}." if kept else ""
