"""How the workers of a program are started: its arguments as a command line's, and checked before anything begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nightjar.scripts.evaluation import WorkerFlags


def checked_flags(
    gpu: str | None, slots: int | None, threads: int | None, *, reproducible: bool = False
) -> WorkerFlags:
    """Raises UsageError for a card that is not there, or a number that cannot be."""
    from nightjar.scripts.evaluation import WorkerFlags
    from nightjar.scripts.options.load import LoadOptions
    from nightjar.workers.process.gpus import choose_pins, list_cards

    load = LoadOptions(
        slots=None if slots is None else str(slots),
        threads=None if threads is None else str(threads),
        reproducible=reproducible,
    )
    load.changes()
    choose_pins(gpu, list_cards())
    return WorkerFlags(gpu=gpu, load=load)
