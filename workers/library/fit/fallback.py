"""Smaller load settings for a second attempt after a load ran out of memory. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from nightjar.config.load_settings import LoadSettings
from nightjar.workers.library.fit.fit import CPU_UBATCH, context_of

LEAST_CONTEXT = 1024


@dataclass(frozen=True, kw_only=True)
class Smaller:
    """Settings that take less, and what was given up for them."""

    settings: LoadSettings
    given_up: str


def smaller(settings: LoadSettings, context_train: int) -> Smaller | None:
    """What to try once, after a load failed for lack of memory; None if nothing is left to give up.

    Slots go first, and a quantised cache: replies stay the same in length. The context shrinks only where one slot was
    asked for, or where `auto` found no room for one.
    """
    changes: dict[str, object] = {}
    given_up: list[str] = []
    context = context_of(settings.context, context_train)
    if settings.slots != "auto" and settings.slots > 1:
        changes["slots"] = max(1, settings.slots // 4)
        given_up.append(f"{changes['slots']} instead of {settings.slots} slots")
    elif context > LEAST_CONTEXT:
        changes["context"] = max(LEAST_CONTEXT, context // 2)
        given_up.append(f"a context of {changes['context']:,} instead of {context:,} tokens")
    if settings.cache_type_k == "f16" and settings.flash_attention and not settings.reproducible:
        changes |= {"cache_type_k": "q8_0", "cache_type_v": "q8_0"}
        given_up.append("a q8_0 cache instead of f16")
    if not changes:
        return None
    changes |= {"n_ubatch": CPU_UBATCH, "n_batch": 256}
    return Smaller(settings=settings.model_copy(update=changes), given_up=", ".join(given_up))
