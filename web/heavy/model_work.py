"""Of the child processes' work, what concerns models: reading a file, hashing it, asking the hub."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, replace

from nightjar.config.errors import NightjarError
from nightjar.config.load_settings import LoadSettings
from nightjar.jobs.mongo import Database
from nightjar.web.heavy.folders import settings_in
from nightjar.workers.library.describe import describe, fitting
from nightjar.workers.library.find import find_model
from nightjar.workers.library.fit.curated import curated_list
from nightjar.workers.library.fit.hardware import room_of, this_machine
from nightjar.workers.library.fit.recommend import Recommendation, recommend, recommended_entry
from nightjar.workers.library.hub import Hub

FOUND = 20


async def write_model(_: Database, places: str, name: str, load: str) -> str:
    """What `nightjar model info` says of a model, as JSON. `load`: other load settings, as JSON; empty: its own."""
    settings = settings_in(places)

    def described() -> dict[str, object]:
        entry = find_model(name, settings)
        if load:
            wanted = {**entry.load.model_dump(exclude_unset=True), **json.loads(load)}
            changed = LoadSettings.model_validate({key: value for key, value in wanted.items() if value is not None})
            entry = replace(entry, load=changed)
        detail = asdict(describe(entry))
        return {**detail, "load": entry.load.model_dump(), "path": entry.path.name}

    return json.dumps(await asyncio.to_thread(described), default=str)


async def write_fits(_: Database, places: str, names: str) -> str:
    """How each of these models (names as JSON) fits this machine: name -> `Fitting` or `NotFitting`. As JSON."""
    settings = settings_in(places)

    def fits(name: str) -> dict[str, object]:
        try:
            return asdict(fitting(find_model(name, settings)))
        except NightjarError as error:  # of one file: the others are told all the same
            return {"fits": False, "reason": str(error)}

    return json.dumps({name: await asyncio.to_thread(fits, name) for name in json.loads(names)})


async def write_recommendations(_: Database) -> str:
    """What fits this machine, best first, as JSON."""
    listed = curated_list()
    rows = await asyncio.to_thread(lambda: recommend(listed.models, room_of(this_machine())))
    return json.dumps({"as_of": str(listed.as_of), "models": [_recommended(row) for row in rows]})


def _recommended(row: Recommendation) -> dict[str, object]:
    model, fit = row.model, row.fit
    return {
        "name": model.name,
        "repo": model.repo,
        "quantisation": model.quantisation,
        "file_bytes": model.shape.weights_bytes,
        "memory_bytes": fit.memory.total,
        "context": fit.load.context,
        "slots": fit.load.slots,
        "offloaded_layers": fit.offloaded_layers,
        "tokens_per_s": None if model.embedding_dimensions is not None else round(fit.tokens_per_s, 1),
        "speed": None if model.embedding_dimensions is not None else str(fit.speed),
        "licence": model.licence,
        "best_for": list(model.best_for),
        "note": model.note,
        "entry": recommended_entry(row),
    }


async def write_hub_search(_: Database, places: str, text: str) -> str:
    """Repositories of the hub whose name has the text, as JSON. Raises HubError where no hub answers."""
    settings = settings_in(places)
    return json.dumps(await asyncio.to_thread(lambda: Hub(settings).search(text, FOUND)))
