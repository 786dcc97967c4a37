"""Two runs compared, worked out by the pool: their numbers, and their turns beside each other with what changed."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any

from nightjar.config.counting import are
from nightjar.jobs.documents import Run
from nightjar.jobs.lookup import find_run
from nightjar.jobs.status.run import newest_run_names
from nightjar.pipeline.report.data.numbers import whole
from nightjar.pipeline.report.page.grid import Cell
from nightjar.web.heavy.pool import HeavyTask
from nightjar.web.pages.computed import CHOICES, COMPUTING, report_task
from nightjar.web.pages.declare import Visit, page
from nightjar.web.pages.transcripts import page_number
from nightjar.web.pages.words import made_table, path_to
from nightjar.web.sheet import Choice, Field, Form, Link, Said, Section, Sheet

ALL = "all"
EACH = 20
"""Turns on a page."""
FRESH_S = 10
"""How old what is shown of a run at work may be."""


@dataclass(frozen=True, kw_only=True)
class PieceShown:
    """A part of a reply; `changed`: the other reply has something else there."""

    text: str
    changed: bool


@dataclass(frozen=True, kw_only=True)
class SideShown:
    """A reply in pieces; none where there is no reply, and `facts` say why."""

    name: str
    facts: str
    pieces: tuple[PieceShown, ...]


@dataclass(frozen=True, kw_only=True)
class BesideShown:
    """The same turn of both runs. `prompts`: one, or both where they differ."""

    title: str
    prompts: tuple[str, ...]
    before: SideShown
    after: SideShown


@dataclass(frozen=True, kw_only=True)
class ComparePage(Sheet):
    """The sheet, and below it turns beside each other. `turns_said`: which; empty where nothing is compared yet."""

    turns_said: str = ""
    turns: tuple[BesideShown, ...] = ()
    turn_pages: tuple[Link, ...] = ()


async def build_compare(visit: Visit) -> ComparePage:
    """`base`, `other`, `turns` and `page` are in the address; without the first two they are asked for.

    Two `run` stand for them, of which the older is the base.
    """
    base, other, said = await _chosen(visit)
    which = visit.one("turns")
    runs = await newest_run_names(CHOICES, visit.site.database)
    shown = (
        Choice(value="", text="only changed turns"),
        Choice(value=ALL, text="all turns", chosen=which == ALL),
    )
    fields = (
        _choice("base", "Base", runs, base),
        _choice("other", "Other", runs, other),
        Field(name="turns", label="Replies", choices=shown),
    )
    form = Form(path="/compare", submit="Compare", fields=fields)
    asked_for = Section(id="which", heading="Which runs", form=form, empty="" if runs else "No run yet.")
    if not base or not other:
        return ComparePage(title="Compare", said=said, sections=(asked_for,))
    before, after = [await find_run(name, visit.site.database) for name in (base, other)]
    at = page_number(visit.one("page"))
    numbers, turns = await _look(visit, before, after, (ALL if which == ALL else "changed", str(at)))
    if numbers is None or turns is None:
        return ComparePage(title="Compare", live=True, said=(Said(text=COMPUTING),), sections=(asked_for,))
    said = tuple(Said(text=f"Not compared, in one run only: {name}") for name in numbers["unpaired"])
    compared = (_comparison(number, each) for number, each in enumerate(numbers["compared"], start=1))
    count = turns["total"] if which == ALL else turns["changed"]
    address = {"base": before.name, "other": after.name, "turns": ALL if which == ALL else None}
    return ComparePage(
        title="Compare",
        said=said,
        sections=(asked_for, *compared),
        turns_said=_turns_said(turns, (at - 1) * EACH, count),
        turns=tuple(map(_beside, turns["turns"])),
        turn_pages=tuple(
            Link(text=text, href=path_to("compare", **address, page=number))
            for text, number, there in (("Before", at - 1, at > 1), ("After", at + 1, at * EACH < count))
            if there
        ),
    )


async def _chosen(visit: Visit) -> tuple[str, str, tuple[Said, ...]]:
    """The base and the other, each empty where it is not chosen, and what is wrong with the choice."""
    chosen = [await find_run(name, visit.site.database) for name in visit.many("run")]
    if len(chosen) == 2:
        base, other = sorted(chosen, key=lambda run: run.created_at)
        return base.name, other.name, ()
    wrong = f"Two runs are compared; {len(chosen)} {are(len(chosen))} chosen."
    return visit.one("base"), visit.one("other"), (Said(text=wrong, level="warning"),) if chosen else ()


async def _look(visit: Visit, before: Run, after: Run, asked: tuple[str, str]) -> list[dict[str, Any] | None]:
    """The comparison and the page of turns; None for what is still being worked out."""
    numbers = await compare_task(before, after)
    turns = replace(numbers, kind="turns-beside", arguments=(*numbers.arguments, *asked, str(EACH)))
    files = await asyncio.gather(*(visit.site.heavy.look(task) for task in (numbers, turns)))
    return [None if file is None else json.loads(await asyncio.to_thread(file.read_text, "utf-8")) for file in files]


async def compare_task(before: Run, after: Run) -> HeavyTask:
    """Its version changes when one of their reports does, and every few seconds while one is at work."""
    versions = [(await report_task(run)).version for run in (before, after)]
    fresh = "" if None not in (before.outcome.finished_at, after.outcome.finished_at) else str(monotonic() // FRESH_S)
    return HeavyTask(kind="compare", arguments=(before.id, after.id), version=" ".join([*versions, fresh]))


def _turns_said(turns: dict[str, Any], skipped: int, count: int) -> str:
    changed, total = turns["changed"], turns["total"]
    if not total:
        return "Neither run has a reply to a sequence that both have."
    shown = len(turns["turns"])
    which = f"Shown: {whole(skipped + 1)} to {whole(skipped + shown)} of {whole(count)}." if shown else "None is shown."
    return f"{whole(changed)} of {whole(total)} turns changed. {which}"


def _beside(turn: dict[str, Any]) -> BesideShown:
    before, after = (
        SideShown(name=side["name"], facts=side["facts"], pieces=tuple(PieceShown(**piece) for piece in side["pieces"]))
        for side in turn["sides"]
    )
    return BesideShown(title=turn["title"], prompts=tuple(turn["prompts"]), before=before, after=after)


def _choice(name: str, label: str, runs: list[str], chosen: str) -> Field:
    return Field(
        name=name,
        label=label,
        choices=tuple(Choice(value=run, text=run, chosen=run == chosen) for run in runs),
    )


def _comparison(number: int, found: dict[str, Any]) -> Section:
    over = f"Over {found['shared']} shared sequences, {found['incomplete']} of them incomplete."
    rows = ([Cell(text=str(cell)) for cell in row] for row in found["rows"])
    return Section(
        id=f"comparison-{number}",
        heading=f"{found['other']} against {found['base']}",
        hint=" ".join([over, *found["notices"]]),
        table=made_table(f"compared-{number}", found["columns"], rows),
        empty="They have no metric in common.",
    )


ROUTES = (page("/compare", "compare_page.html", ComparePage, build_compare),)
