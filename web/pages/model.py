"""One model: what its file says, how it fits this machine, and what can be done with it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from nightjar.config.errors import UnknownNameError, UsageError
from nightjar.jobs.live.places import let_go, pin_model, want_model, wanted_models
from nightjar.jobs.status.workers import read_serving
from nightjar.pipeline.report.data.numbers import ABSENT
from nightjar.web.auth.roles import Action
from nightjar.web.heavy.pool import LIMIT_S, HeavyTask
from nightjar.web.pages.declare import Done, Visit, page, post_action
from nightjar.web.pages.words import file_size, moment, path_to, setting_value, whole_number
from nightjar.web.sheet import Button, Link, NamedFact, Said, Section, Sheet, named_facts
from nightjar.web.site import Site
from nightjar.workers.library.editing import add_entry
from nightjar.workers.library.inventory import Held, ModelState, inventory
from nightjar.workers.library.removal import remove_model
from nightjar.workers.library.sources import portable_path

SLOWEST_DISK = 20_000_000
"""Bytes a second."""
LOAD_S = 900.0
"""A model that was loaded by hand keeps its place so long; pinned it stays."""
COMPUTING = "The file is being read; the page shows it as soon as that is done."
OLLAMA = "ollama "


async def find_held(name: str, site: Site) -> Held:
    """A model of this machine by its name. Raises UnknownNameError: no path leads to one."""
    held = await asyncio.to_thread(inventory, site.settings, await read_serving(site.database))
    found = {model.name: model for model in held}
    if name not in found:
        raise UnknownNameError("model", name, found)
    return found[name]


def is_readable(held: Held) -> bool:
    """Whether its file is here, and says what it is."""
    return held.path is not None and held.state is not ModelState.FAILED and held.path.exists()


def folders_of(site: Site) -> str:
    """The folders that a child process has to know."""
    settings = site.settings
    names = ("home", "models_dir", "models_file")
    return json.dumps({name: str(getattr(settings, name)) for name in names})


async def model_task(held: Held, site: Site, load: str = "") -> HeavyTask:
    """What a model's file says; again when the file or the registry has changed."""
    stamps = [path.stat().st_mtime_ns for path in (held.path, site.settings.models_file) if path and path.exists()]
    limit_s = LIMIT_S + (held.file_bytes or 0) // SLOWEST_DISK  # the first time the file is hashed for it
    return HeavyTask(kind="model", arguments=(folders_of(site), held.name, load), version=str(stamps), limit_s=limit_s)


async def look_json(task: HeavyTask, site: Site) -> Any | None:
    """What a child worked out; None while it is at it. Raises NightjarError."""
    ready = await site.heavy.look(task)
    return None if ready is None else json.loads(await asyncio.to_thread(ready.read_text, "utf-8"))


async def build_model(visit: Visit) -> Sheet:
    """Its facts, its memory and fit, its settings, and what hashing it has found."""
    site = visit.site
    held = await find_held(visit.path["name"], site)
    readable = is_readable(held)
    detail = await look_json(await model_task(held, site), site) if readable else None
    said = () if detail is not None or not readable else (Said(text=COMPUTING),)
    wanted = (await wanted_models(site.database)).get(held.name)
    sections = [Section(id="facts", heading="The model", facts=_facts(held, detail))]
    if detail is not None:
        sections += [
            Section(id="memory", heading="On this machine", facts=fit_facts(detail)),
            Section(id="load", heading="Settings", facts=_settings(detail)),
        ]
    return Sheet(
        title=held.name,
        live=True,
        said=(*said, *_verdict(held, site)),
        buttons=_buttons(held, visit, pinned=wanted is not None and wanted.pinned),
        links=_links(held, visit),
        sections=tuple(sections),
    )


def _facts(held: Held, detail: dict[str, Any] | None) -> tuple[NamedFact, ...]:
    facts = {
        "State": f"{held.state}{f': {held.reason}' if held.reason else ''}",
        "From": held.source,
        "File": file_size(held.file_bytes),
        "Quantisation": held.quantisation or ABSENT,
        "Last used": moment(held.last_used),
        "Loaded on": ", ".join(held.loaded_on) or ABSENT,
    }
    if detail is not None:
        facts |= {
            "Kind": str(detail["kind"]),
            "Architecture": str(detail["architecture"]),
            "Parameters": whole_number(detail["parameters"]),
            "Trained for": f"{detail['context_train']:,} tokens",
            "Vocabulary": whole_number(detail["vocabulary"]),
            "Chat template": detail["template_source"] or "none",
            "Licence": detail["licence"] or "not given",
            "SHA-256": str(detail["digest"])[:16],
        }
    return named_facts(facts)


def fit_facts(detail: dict[str, Any]) -> tuple[NamedFact, ...]:
    """Whether and how it fits, by what `nightjar model info` says."""
    fit, memory = detail["fit"], detail["memory"]
    if not fit["fits"]:
        return named_facts({"It does not fit": fit["reason"]})
    facts = {
        "Memory": file_size(fit["memory_bytes"]),
        "Of that weights": file_size(memory["weights_bytes"]),
        "A conversation's cache": file_size(memory["kv_bytes_per_slot"]),
        "Context": f"{detail['context']:,} tokens",
        "Conversations at once": str(fit["slots"]),
        "Layers on a GPU": whole_number(fit["offloaded_layers"]),
        "Speed to be expected": f"{fit['tokens_per_s']:g} tokens/s ({fit['speed']})",
    }
    return named_facts(facts | ({"Compromises": "; ".join(fit["compromises"])} if fit["compromises"] else {}))


def _settings(detail: dict[str, Any]) -> tuple[NamedFact, ...]:
    drawn = {f"{name} (drawn)": value for name, value in detail["registry_parameters"].items()}
    return named_facts({name: _word(value) for name, value in {**detail["load"], **drawn}.items()})


def _word(value: object) -> str:
    return "the file's" if value is None else setting_value(value)


def _links(held: Held, visit: Visit) -> tuple[Link, ...]:
    links = [Link(text="All models", href="/models")]
    if held.registered and visit.visitor.can(Action.MANAGE):
        links.append(Link(text="Change its settings", href=path_to("models", held.name, "settings")))
    return tuple(links)


def _buttons(held: Held, visit: Visit, *, pinned: bool) -> tuple[Button, ...]:
    def here(name: str) -> str:
        return path_to("models", held.name, name)

    buttons = []
    if visit.visitor.can(Action.RUN):
        if held.state in (ModelState.READY, ModelState.LOADED):
            buttons += [
                Button(text="Load", path=here("load")),
                Button(text="Unload", path=here("unload")),
                Button(
                    text="Unpin" if pinned else "Pin",
                    path=here("unpin" if pinned else "pin"),
                ),
                Button(text="Verify", path=here("verify")),
            ]
        if not held.registered:
            buttons.append(Button(text="Make it known by this name", path=here("add")))
    if visit.visitor.can(Action.REMOVE):
        if held.registered:
            question = f"Take {held.name} off the list? Its file stays."
            buttons.append(Button(text="Forget", path=here("forget"), confirm=question))
        if held.disk_bytes:
            question = f"Delete {held.name} and its file for good ({file_size(held.disk_bytes)})?"
            buttons.append(Button(text="Delete the file", path=here("delete"), confirm=question))
    return tuple(buttons)


def _stamp(held: Held) -> str:
    return f"{held.path} {held.path.stat().st_mtime_ns}" if held.path is not None and held.path.exists() else ""


def _verdict(held: Held, site: Site) -> tuple[Said, ...]:
    found = site.verifications.of(held.name, _stamp(held))
    if found is None:
        return ()
    if found.error is not None:
        return (Said(text=f"Its files could not be hashed: {found.error}", level="warning"),)
    if found.checks is not None:
        return tuple(_checked(check) for check in found.checks)
    if not found.total_bytes:
        return (Said(text="Its files are about to be hashed."),)
    share = f"{100 * found.done_bytes / found.total_bytes:.0f} %"
    return (Said(text=f"Its files are being hashed: {share} of {file_size(found.total_bytes)}."),)


def _checked(check: dict[str, Any]) -> Said:
    if check["wrong"]:
        text = f"{check['what']} is wrong: its SHA-256 is {check['found']}, and should be {check['expected']}."
        return Said(text=f"{text} Fetch it again: `nightjar model pull NAME --force`.", level="warning")
    known = "as it should be" if check["expected"] else "readable; nothing says what it should be"
    return Said(text=f"{check['what']} is {known}: SHA-256 {check['found']}.")


async def _verify(visit: Visit) -> Done:
    held = await find_held(visit.path["name"], visit.site)
    visit.site.verifications.start(held.name, _stamp(held), folders_of(visit.site))
    return Done(said="Its files are being hashed.", to=path_to("models", held.name))


async def do_load_model(visit: Visit) -> Done:
    """Says that it is wanted: a worker that takes whatever waits loads it."""
    held = await find_held(visit.path["name"], visit.site)
    await want_model(held.name, visit.site.database, for_s=LOAD_S)
    return Done(said=f"{held.name} is wanted: a worker that takes whatever waits loads it when it is free.")


async def do_unload_model(visit: Visit) -> Done:
    """Says that nobody wants it any more."""
    name = (await find_held(visit.path["name"], visit.site)).name
    await let_go(name, visit.site.database)
    return Done(said=f"Nobody wants {name} now; its place takes another model when one is asked for.")


async def do_pin_model(visit: Visit) -> Done:
    """It gets a place before others, and keeps it."""
    name = (await find_held(visit.path["name"], visit.site)).name
    await pin_model(name, True, visit.site.database)
    return Done(said=f"{name} is pinned: it gets a place before others, and keeps it.")


async def do_unpin_model(visit: Visit) -> Done:
    """It keeps its place no longer than others."""
    name = (await find_held(visit.path["name"], visit.site)).name
    await pin_model(name, False, visit.site.database)
    return Done(said=f"{name} is not pinned any more.")


async def _add(visit: Visit) -> Done:
    """A file of the models' folder, or of Ollama's store, that was found there: nothing that a request names."""
    settings = visit.site.settings
    held = await find_held(visit.path["name"], visit.site)
    if held.registered or held.path is None:
        raise UsageError(f"{held.name} is known by that name already, or has no file.")
    ollama = held.source.removeprefix(OLLAMA) if held.source.startswith(OLLAMA) else None
    table = {"path": portable_path(held.path, settings)} if ollama is None else {"ollama": ollama}
    await asyncio.to_thread(add_entry, settings.models_file, held.name, table)
    return Done(said=f"{held.name} is known by that name now.")


async def _forget(visit: Visit) -> Done:
    return await _take_off(visit, keep_file=True)


async def _delete(visit: Visit) -> Done:
    return await _take_off(visit, keep_file=False)


async def _take_off(visit: Visit, *, keep_file: bool) -> Done:
    held = await find_held(visit.path["name"], visit.site)
    removed = await asyncio.to_thread(remove_model, held.name, held, visit.site.settings, keep_file=keep_file)
    files = ", ".join(file.name for file in removed.deleted)
    said = f"{held.name} is off the list." + (f" Deleted: {files}." if files else " Its file stays.")
    return Done(said=said, to="/models", details={"deleted": len(removed.deleted)})


ROUTES = (
    page("/models/{name}", "sheet.html", Sheet, build_model),
    post_action("/models/{name}/verify", Action.RUN, _verify),
    post_action("/models/{name}/load", Action.RUN, do_load_model),
    post_action("/models/{name}/unload", Action.RUN, do_unload_model),
    post_action("/models/{name}/pin", Action.RUN, do_pin_model),
    post_action("/models/{name}/unpin", Action.RUN, do_unpin_model),
    post_action("/models/{name}/add", Action.RUN, _add),
    post_action("/models/{name}/forget", Action.REMOVE, _forget),
    post_action("/models/{name}/delete", Action.REMOVE, _delete),
)
