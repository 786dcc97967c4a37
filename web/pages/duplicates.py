"""Duplicates: which replies of a run are nearly the same, worked out by the pool."""

from __future__ import annotations

import asyncio
import json
import math
from time import monotonic
from typing import Any

from nightjar.config.counting import how_many
from nightjar.config.errors import NightjarError, UsageError
from nightjar.jobs.lookup import find_run
from nightjar.jobs.status.run import newest_run_names
from nightjar.pipeline.report.page.grid import Cell
from nightjar.web.heavy.pool import HeavyTask
from nightjar.web.pages.computed import CHOICES, COMPUTING, report_task
from nightjar.web.pages.declare import Visit, page
from nightjar.web.pages.search import FRESH_S, turn_address
from nightjar.web.pages.words import linked, made_table
from nightjar.web.sheet import Choice, Field, Form, Link, Said, Section, Sheet
from nightjar.workers.embedder.spec import read_embedder_spec

LEAST = "0.95"
"""How near is nearly the same, where nothing else is asked."""
SHOWN = 100
PLACES = 3
"""Of a group, shown."""
TITLE = "Duplicates"
_SEARCH = (Link(text="Search", href="/search"),)


async def build_duplicates(visit: Visit) -> Sheet:
    """`run` and `least` are in the address; without a run it is asked for."""
    name, least = visit.one("run"), visit.one("least") or LEAST
    runs = await newest_run_names(CHOICES, visit.site.database)
    asked = Section(id="which", heading="Which run", form=_form(name, least, runs), empty="" if runs else "No run yet.")
    if not name:
        return Sheet(title=TITLE, links=_SEARCH, sections=(asked,))
    run, nearness = await find_run(name, visit.site.database), read_nearness(least)
    try:
        spec = await asyncio.to_thread(read_embedder_spec, visit.site.settings, "A search for duplicates")
        arguments = (run.id, str(nearness), spec.model_dump_json(), str(visit.site.settings.home))
        version = f"{spec.facts.digest} {(await report_task(run)).version}"
        version += f" {int(monotonic() / FRESH_S)}" if run.outcome.finished_at is None else ""
        ready = await visit.site.heavy.look(HeavyTask(kind="duplicates", arguments=arguments, version=version))
    except NightjarError as error:
        return Sheet(title=TITLE, links=_SEARCH, said=(Said(text=str(error), level="warning"),), sections=(asked,))
    if ready is None:
        return Sheet(title=TITLE, live=True, links=_SEARCH, said=(Said(text=COMPUTING),), sections=(asked,))
    groups = json.loads(await asyncio.to_thread(ready.read_text, "utf-8"))
    return Sheet(title=TITLE, links=_SEARCH, sections=(asked, _found(groups, run.name)))


def read_nearness(text: str) -> float:
    """A cosine that somebody typed. Raises UsageError."""
    try:
        least = float(text)
    except ValueError:
        least = math.nan
    if not 0 <= least <= 1:
        raise UsageError(f"{text!r} is no nearness: give a number from 0 to 1, such as {LEAST}.")
    return least


def _form(run: str, least: str, runs: list[str]) -> Form:
    choices = tuple(Choice(value=name, text=name, chosen=name == run) for name in runs)
    fields = (
        Field(name="run", label="Run", choices=choices),
        Field(name="least", label="How near is nearly the same (0 to 1)", value=least),
    )
    return Form(path="/duplicates", submit="Compare all replies", fields=fields)


def _found(groups: list[dict[str, Any]], run: str) -> Section:
    more = f" The {SHOWN} largest are shown." if len(groups) > SHOWN else ""
    return Section(
        id="found",
        heading="Nearly the same",
        hint=f"{how_many(len(groups), 'group')} among the replies of {run}.{more}",
        table=made_table("groups", ("Text", "Replies>", "Nearness>", "Where"), map(_row, groups[:SHOWN])),
        empty="No two replies are that near.",
    )


def _row(group: dict[str, Any]) -> tuple[Cell | str, ...]:
    places = group["places"]
    first = places[0]
    models = list(dict.fromkeys(place["model"] for place in places))
    more = f"; {', '.join(models[:PLACES])}{' and more' if len(models) > PLACES else ''}"
    where = f"turn {first['turn']}, {first['sequence']}"
    return (
        group["sentence"],
        str(len(places)),
        f"{group['least']:.2f}",
        linked(where, turn_address(first), more.removeprefix("; ")),
    )


ROUTES = (page("/duplicates", "sheet.html", Sheet, build_duplicates),)
