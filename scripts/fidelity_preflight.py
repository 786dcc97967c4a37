"""Whether models of this machine can be held against a reference, before anything is generated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nightjar.config.errors import NightjarError

if TYPE_CHECKING:
    from nightjar.config.settings import Settings
    from nightjar.workers.fidelity.loads import FidelityLoad
    from nightjar.workers.library.find import ModelEntry


def check_reference(reference: ModelEntry, models: Sequence[ModelEntry]) -> list[str]:
    """Notes on models that do not fit the memory together with the reference: they are measured the estimated way.

    Only vocabularies are loaded. Raises UsageError for another vocabulary, ModelFileError. Models at endpoints are left
    to the check of the run.
    """
    from nightjar.workers.fidelity.comparison import vocabularies
    from nightjar.workers.library.inspect import entry_facts

    others = {entry.name: entry for entry in models if entry.name != reference.name}
    entries = [reference, *others.values()]
    if any(entry.remote is not None for entry in entries):
        return []
    from nightjar.workers.fidelity.loads import FidelityLoad

    loads = [FidelityLoad(label=entry.name, entry=entry, facts=entry_facts(entry)) for entry in entries]
    with vocabularies(loads):
        pass
    return _estimated(loads)


def check_here(reference: str | None, models: Sequence[str], settings: Settings) -> list[str]:
    """The same of a run that is to be enqueued, as far as its models are files of this machine."""
    from nightjar.workers.library.find import find_model

    if reference is None:
        return []
    found = []
    for name in (reference, *models):
        try:
            found.append(find_model(name, settings))
        except NightjarError:
            continue
    if not found or found[0].name != reference:
        return []
    return check_reference(found[0], found[1:])


def _estimated(loads: Sequence[FidelityLoad]) -> list[str]:
    from nightjar.workers.engine.device import Device
    from nightjar.workers.fidelity.loads import fit_together, longest_context
    from nightjar.workers.library.fit.hardware import this_machine

    machine, context = this_machine(), longest_context(loads)
    card = machine.best_gpu
    device = Device(
        name=card.name if card is not None else "this machine",
        is_cpu=card is None,
        free_bytes=card.free if card is not None else machine.available,
    )
    reference, *others = loads
    alone = [load.label for load in others if not fit_together(reference, load, min(context or 4096, 4096), device)]
    if not alone:
        return []
    return [
        f"{', '.join(alone)} and {reference.label} do not fit {device.name} together: their divergences will be "
        "estimates (docs/fidelity.md)."
    ]
