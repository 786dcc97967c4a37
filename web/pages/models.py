"""Models: those of this machine's registry and folder, chat and embedding apart, with their state."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from nightjar.jobs.models import ModelKind
from nightjar.jobs.status.workers import read_serving
from nightjar.pipeline.report.data.numbers import ABSENT
from nightjar.pipeline.report.page.grid import Cell
from nightjar.web.heavy.pool import HeavyTask
from nightjar.web.pages.declare import Visit, page
from nightjar.web.pages.model import folders_of, is_readable, look_json
from nightjar.web.pages.words import file_size, linked, made_table, moment, path_to
from nightjar.web.sheet import Link, Section, Sheet
from nightjar.web.site import Site
from nightjar.workers.library.inventory import Held, ModelState, inventory

COLUMNS = ("model", "state", "fit here", "quantisation", "file>", "last used", "loaded on", "from")


async def build_models(visit: Visit) -> Sheet:
    """What `nightjar model list` says."""
    serving = await read_serving(visit.site.database)
    held = await asyncio.to_thread(inventory, visit.site.settings, serving)
    fits = await _fits(held, visit.site)

    def row(model: Held) -> tuple[Cell | str, ...]:
        return _row(model, fits)

    embedding = [model for model in held if model.kind == ModelKind.EMBEDDING]
    others = [model for model in held if model.kind != ModelKind.EMBEDDING]
    return Sheet(
        title="Models",
        live=True,
        links=(Link(text="Get models", href="/models/get"), Link(text="Playground", href="/play")),
        sections=(
            Section(
                id="chat",
                heading="For chat",
                table=made_table("chat-models", COLUMNS, map(row, others)),
                empty="None. `nightjar model recommend` says what suits this machine, `model pull` fetches it.",
            ),
            Section(
                id="embedding",
                heading="For embedding",
                table=made_table("embedding-models", COLUMNS, map(row, embedding)),
                empty="None: similarities of replies cannot be measured.",
            ),
        ),
    )


async def _fits(held: Sequence[Held], site: Site) -> Mapping[str, Any] | None:
    """How those fit whose file is here, by name; None while their files are being read."""
    readable = [model for model in held if is_readable(model)]
    stamps = [
        path.stat().st_mtime_ns
        for path in (*(model.path for model in readable), site.settings.models_file)
        if path is not None and path.exists()
    ]
    names = json.dumps([model.name for model in readable])
    found: Mapping[str, Any] | None = await look_json(
        HeavyTask(kind="fits", arguments=(folders_of(site), names), version=str(stamps)), site
    )
    return found


def _fit_cell(model: Held, fits: Mapping[str, Any] | None) -> Cell:
    if not is_readable(model):
        return Cell(text=ABSENT)
    if fits is None:
        return Cell(text="being read")
    fit = fits[model.name]
    if not fit["fits"]:
        return Cell(text="does not fit", note=fit["reason"], alert=True)
    speed = f"{fit['tokens_per_s']:g} tokens/s to be expected" if model.kind != ModelKind.EMBEDDING else ""
    return Cell(text=f"{file_size(fit['memory_bytes'])}, {fit['slots']} at once", note=speed)


def _row(model: Held, fits: Mapping[str, Any] | None) -> tuple[Cell | str, ...]:
    tags = ", ".join(model.tags)
    return (
        linked(model.name, path_to("models", model.name), tags),
        Cell(text=model.state, note=model.reason or "", alert=model.state is ModelState.FAILED),
        _fit_cell(model, fits),
        model.quantisation or ABSENT,
        file_size(model.file_bytes),
        moment(model.last_used),
        ", ".join(model.loaded_on) or ABSENT,
        model.source,
    )


ROUTES = (page("/models", "sheet.html", Sheet, build_models),)
