"""Models: those of this machine's registry and folder, chat and embedding apart, with their state."""

from __future__ import annotations

import asyncio

from nightjar.jobs.models import ModelKind
from nightjar.jobs.status.workers import read_serving
from nightjar.pipeline.report.data.numbers import ABSENT
from nightjar.pipeline.report.page.grid import Cell
from nightjar.web.pages.declare import Visit, page
from nightjar.web.pages.words import file_size, linked, made_table, moment, path_to
from nightjar.web.sheet import Link, Section, Sheet
from nightjar.workers.library.inventory import Held, ModelState, inventory

COLUMNS = ("model", "state", "quantisation", "file>", "last used", "loaded on", "from")


async def build_models(visit: Visit) -> Sheet:
    """What `nightjar model list` says."""
    serving = await read_serving(visit.site.database)
    held = await asyncio.to_thread(inventory, visit.site.settings, serving)
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
                table=made_table("chat-models", COLUMNS, map(_row, others)),
                empty="None. `nightjar model recommend` says what suits this machine, `model pull` fetches it.",
            ),
            Section(
                id="embedding",
                heading="For embedding",
                table=made_table("embedding-models", COLUMNS, map(_row, embedding)),
                empty="None: similarities of replies cannot be measured.",
            ),
        ),
    )


def _row(model: Held) -> tuple[Cell | str, ...]:
    tags = ", ".join(model.tags)
    return (
        linked(model.name, path_to("models", model.name), tags),
        Cell(text=model.state, note=model.reason or "", alert=model.state is ModelState.FAILED),
        model.quantisation or ABSENT,
        file_size(model.file_bytes),
        moment(model.last_used),
        ", ".join(model.loaded_on) or ABSENT,
        model.source,
    )


ROUTES = (page("/models", "sheet.html", Sheet, build_models),)
