"""`--gpu`: which cards a command uses, and what is said of those that it cannot use."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nightjar.workers.process.gpus import Pin


def chosen_pins(wanted: str | None) -> list[Pin]:
    """One pin for each worker process. Says first of all which cards lie idle because of this build of llama.cpp.

    Raises UsageError, with the list of cards, for one that is not there.
    """
    from nightjar.scripts.views.output import plain
    from nightjar.workers.process.gpus import choose_pins, list_cards
    from nightjar.workers.process.unused_cards import unused_cards

    pins = choose_pins(wanted, list_cards())
    said = unused_cards([pin.card for pin in pins if pin.card is not None])
    if said is not None:
        print(plain(f"nightjar: {said}"), file=sys.stderr, flush=True)
    return pins
