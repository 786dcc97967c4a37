"""Smaller load settings for a second try when memory was the reason. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from config.load_settings import LoadSettings

LEAST_CONTEXT = 1024


@dataclass(frozen=True, kw_only=True)
class Smaller:
    """Settings that take less, and what was given up for them."""

    settings: LoadSettings
    given_up: str


def smaller(settings: LoadSettings, *, context: int, slots: int) -> Smaller | None:
    """What to try once after a load failed for lack of memory; None where nothing is left to give up.

    `context` and `slots` are what the failed load had resolved to. Slots and micro-batches go first, and a quantised
    cache: replies stay the same in length; the context shrinks only where one slot is left.
    """
    changes: dict[str, object] = {}
    given_up: list[str] = []
    if slots > 1:
        changes["slots"] = max(1, slots // 4)
        given_up.append(f"{changes['slots']} instead of {slots} slots")
    elif context > LEAST_CONTEXT:
        changes["context"] = max(LEAST_CONTEXT, context // 2)
        given_up.append(f"a context of {changes['context']:,} instead of {context:,} tokens")
    if settings.cache_type_k == "f16" and settings.flash_attention and not settings.reproducible:
        changes |= {"cache_type_k": "q8_0", "cache_type_v": "q8_0"}
        given_up.append("a q8_0 cache instead of f16")
    if not changes:
        return None
    changes |= {"n_ubatch": 128, "n_batch": 256}
    return Smaller(settings=settings.model_copy(update=changes), given_up=", ".join(given_up))
