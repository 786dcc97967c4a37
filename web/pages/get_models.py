"""Get models: what suits this machine, what the hub has, and the downloads that are under way."""

from __future__ import annotations

import asyncio
from typing import Any

from nightjar.config.errors import NightjarError, UnknownNameError
from nightjar.pipeline.report.data.numbers import ABSENT
from nightjar.pipeline.report.page.grid import Cell
from nightjar.web.auth.roles import Action
from nightjar.web.heavy.pool import HeavyTask
from nightjar.web.pages.declare import Done, Visit, page, post_action
from nightjar.web.pages.model import folders_of, look_json
from nightjar.web.pages.words import file_size, made_table, moment, path_to
from nightjar.web.pulls import PullState, PullStatus, checked_source
from nightjar.web.sheet import Button, Choice, Field, Form, Link, Said, Section, Sheet
from nightjar.web.site import Site
from nightjar.workers.library.editing import add_entry
from nightjar.workers.library.registry import read_registry
from nightjar.workers.library.sources import read_source

ASKING = "The hub is being asked; the page shows it as soon as it answers."
LOOKING = "This machine is being looked at; the page shows it as soon as that is done."


async def build_get_models(visit: Visit) -> Sheet:
    """`q` searches the hub."""
    site, may = visit.site, visit.visitor.can(Action.RUN)
    said: list[Said] = []
    recommended = await _ask(HeavyTask(kind="recommended", arguments=(), version="here"), visit, said, LOOKING)
    found = None
    if text := visit.one("q"):
        task = HeavyTask(kind="hub", arguments=(folders_of(site), text), version=text)
        found = await _ask(task, visit, said, ASKING)
    states = await asyncio.to_thread(site.pulls.states)
    waits = any(each.text in (ASKING, LOOKING) for each in said)
    return Sheet(
        title="Get models",
        live=waits or any(state.status is PullStatus.RUNNING for state in states),
        said=tuple(said),
        links=(Link(text="All models", href="/models"),),
        sections=(
            *(_pull_section(state, may) for state in states),
            _recommended_section(recommended, may),
            _hub_section(text, found, may),
        ),
    )


async def _ask(task: HeavyTask, visit: Visit, said: list[Said], waiting: str) -> Any | None:
    """What a child worked out; what there is to be said instead is added."""
    try:
        answer = await look_json(task, visit.site)
    except NightjarError as error:
        said.append(Said(text=str(error), level="warning"))
        return None
    if answer is None:
        said.append(Said(text=waiting))
    return answer


def _pull_section(state: PullState, may: bool) -> Section:
    size = f"{file_size(state.done_bytes)} of {file_size(state.total_bytes)}" if state.total_bytes else "asking the hub"
    words = {
        PullStatus.RUNNING: size + (f", {100 * state.share:.0f} %" if state.share is not None else ""),
        PullStatus.DONE: "It is here.",
        PullStatus.FAILED: state.error or "It failed.",
        PullStatus.CANCELLED: "Cancelled; what was fetched is kept to go on from.",
        PullStatus.INTERRUPTED: "It ended with its server; what was fetched is kept to go on from.",
    }
    buttons = []
    if may and state.status is PullStatus.RUNNING:
        buttons.append(Button(text="Cancel", path=path_to("pulls", state.model, "cancel")))
    elif may:
        if state.status is not PullStatus.DONE:
            buttons.append(Button(text="Go on", path=path_to("pulls", state.model, "resume")))
        buttons.append(Button(text="Take it off this list", path=path_to("pulls", state.model, "forget")))
    links = (Link(text=state.model, href=path_to("models", state.model)),) if state.status is PullStatus.DONE else ()
    return Section(
        id=f"pull-{state.model}",
        heading=f"{state.model}: {state.status}",
        hint=f"From {state.source}, begun by {state.by} at {moment(state.begun_at)}.",
        empty=words[state.status],
        share=state.share if state.status is PullStatus.RUNNING else None,
        buttons=tuple(buttons),
        links=links,
    )


def _recommended_section(found: dict[str, Any] | None, may: bool) -> Section:
    if found is None:
        return Section(id="recommended", heading="For this machine", empty="Not known yet.")
    models = found["models"]
    rows = (
        (
            Cell(text=row["name"], note=row["note"] or ""),
            file_size(row["file_bytes"]),
            file_size(row["memory_bytes"]),
            f"{row['slots']} x {row['context']:,}",
            ABSENT if row["tokens_per_s"] is None else f"{row['tokens_per_s']:g} tokens/s, {row['speed']}",
            ", ".join(row["best_for"]),
            row["licence"],
        )
        for row in models
    )
    columns = ("model", "file>", "memory>", "context>", "speed to be expected", "for", "licence")
    choices = tuple(Choice(value=row["name"], text=row["name"]) for row in models)
    fields = (Field(name="recommended", label="Model", choices=choices),)
    return Section(
        id="recommended",
        heading="For this machine",
        hint=f"What fits, of a list as of {found['as_of']}; newer models exist.",
        table=made_table("recommended-models", columns, rows),
        empty="None of the list fits this machine.",
        form=Form(path="/pulls/begin", submit="Fetch it", fields=fields, posts=True) if may and models else None,
    )


def _hub_section(text: str, found: list[str] | None, may: bool) -> Section:
    search = Form(path="/models/get", submit="Search the hub", fields=(Field(name="q", label="Name", value=text),))
    rows = ((name,) for name in found or ())
    fetch = None
    if may:
        choices = tuple(Choice(value=name, text=name) for name in found or ())
        source = Field(name="source", label="Repository (OWNER/NAME)", choices=choices)
        quant = Field(name="quantisation", label="Quantisation (empty: the best that fits)")
        fetch = Form(path="/pulls/begin", submit="Fetch it", fields=(source, quant), posts=True)
    return Section(
        id="hub",
        heading="From the hub",
        form=search,
        table=made_table("found", ("repository",), rows),
        empty="" if not text or found is None else "The hub has none of that name with GGUF files.",
        second=fetch,
    )


async def do_begin_pull(visit: Visit) -> Done:
    """Fetches a model of the list, which is registered with the settings that fit; or a repository of the hub."""
    site = visit.site
    quantisation = visit.one("quantisation") or None
    if chosen := visit.one("recommended"):
        model = source = await _registered(chosen, site)
    else:
        source = checked_source(visit.one("source"))
        model = visit.one("name") or read_source(f"hf://{source}", site.settings).name
    await site.pulls.start(model, source, quantisation, visit.visitor.name)
    return Done(said=f"{model} is being fetched.", about=model, details={"source": source})


async def _registered(chosen: str, site: Site) -> str:
    """A model of the list, in the registry. Raises UnknownNameError."""
    found = await look_json(HeavyTask(kind="recommended", arguments=(), version="here"), site) or {"models": []}
    rows = {row["name"]: row for row in found["models"]}
    if chosen not in rows:
        raise UnknownNameError("recommended model", chosen, rows)
    file = site.settings.models_file
    if chosen not in (await asyncio.to_thread(read_registry, file)).models:
        await asyncio.to_thread(add_entry, file, chosen, rows[chosen]["entry"])
    return chosen


async def do_resume_pull(visit: Visit) -> Done:
    """Goes on with a download that ended before it was whole."""
    model = visit.path["name"]
    states = {state.model: state for state in await asyncio.to_thread(visit.site.pulls.states)}
    if model not in states:
        raise UnknownNameError("download", model, states)
    state = states[model]
    await visit.site.pulls.start(model, state.source, state.quantisation, visit.visitor.name)
    return Done(said=f"{model} is being fetched.", about=model)


async def do_cancel_pull(visit: Visit) -> Done:
    """Ends a download; what was fetched is kept to go on from."""
    await visit.site.pulls.cancel(visit.path["name"])
    return Done(said=f"{visit.path['name']}: cancelled. What was fetched is kept.")


async def _forget(visit: Visit) -> Done:
    await visit.site.pulls.forget(visit.path["name"])
    return Done(said=f"{visit.path['name']} is off this list.")


ROUTES = (
    page("/models/get", "sheet.html", Sheet, build_get_models),
    post_action("/pulls/begin", Action.RUN, do_begin_pull),
    post_action("/pulls/{name}/resume", Action.RUN, do_resume_pull),
    post_action("/pulls/{name}/cancel", Action.RUN, do_cancel_pull),
    post_action("/pulls/{name}/forget", Action.RUN, _forget),
)
