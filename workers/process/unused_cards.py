"""GPUs that this build of llama.cpp can't use: what is said of them, and the command that mends it."""

from __future__ import annotations

from collections.abc import Sequence

from nightjar.config.installation import rebuild_line
from nightjar.workers.process.gpus import Card


def unused_cards(cards: Sequence[Card]) -> str | None:
    """Names the cards where no process of this installation can compute on them; None where all is well, or none is
    there. Touches no card.
    """
    if not cards:
        return None
    from nightjar.workers.engine.llama.devices import gpu_backends

    if gpu_backends():
        return None
    names = " and ".join(dict.fromkeys(card.name for card in cards))
    remedy = f"Build it again with CUDA: {rebuild_line('-DGGML_CUDA=on')}"
    return f"{names} cannot be used: this build of llama.cpp computes on the CPU only. {remedy}"
