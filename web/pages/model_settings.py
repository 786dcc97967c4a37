"""A model's settings: what is changed, how the model would fit then, and only then the button that saves it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from pydantic import ValidationError

from nightjar.config.errors import NightjarError, UsageError
from nightjar.config.load_settings import LoadSettings
from nightjar.jobs.parameters import check
from nightjar.pipeline.report.data.numbers import ABSENT
from nightjar.web.auth.roles import Action
from nightjar.web.pages.declare import Done, Visit, page, post_action
from nightjar.web.pages.model import find_held, fit_facts, look_json, model_task
from nightjar.web.pages.words import made_table, path_to, setting_value
from nightjar.web.sheet import Choice, Field, Form, Link, Said, Section, Sheet
from nightjar.web.site import Site
from nightjar.workers.library.editing import update_entry
from nightjar.workers.library.registry import RegistryEntry, read_registry

LOAD = {
    "context": "Context (tokens)",
    "slots": "Conversations at once",
    "gpu_layers": "Layers on the GPU (-1: all)",
    "cache_type_k": "Type of the K cache",
    "cache_type_v": "Type of the V cache",
    "threads": "Threads",
    "memory_share": "Share of the memory, at most",
    "flash_attention": "Flash attention",
    "reproducible": "Same bits every time",
}
DRAWN = {
    "temperature": "Temperature",
    "top_k": "Top k",
    "top_p": "Top p",
    "min_p": "Min p",
    "repeat_penalty": "Repeat penalty",
    "max_tokens": "Most tokens of a reply",
}
"""What can be set here; the rest is the registry's file alone."""
CHOICES = {
    "cache_type_k": ("f16", "q8_0", "q4_0"),
    "cache_type_v": ("f16", "q8_0", "q4_0"),
    "flash_attention": ("yes", "no"),
    "reproducible": ("yes", "no"),
}
DEFAULT = "the default"


async def build_settings_of(visit: Visit) -> Sheet:
    """The form; what is in the address is compared with what is stored."""
    entry = await _entry(visit.path["name"], visit.site)
    name, sent = visit.path["name"], visit.one("check") == "yes"
    values = {key: visit.one(key) if sent else _text(_stored(entry, key)) for key in (*LOAD, *DRAWN)}
    form = Form(path=path_to("models", name, "settings"), submit="Check it", fields=_fields(values))
    sections = [Section(id="asked", heading="Settings", hint="What is left empty is the default.", form=form)]
    said: tuple[Said, ...] = ()
    if sent:
        try:
            sections += await _preview(entry, values, visit)
        except NightjarError as error:
            said = (Said(text=str(error), level="warning"),)
    live = sent and sections[-1].id == "computing"
    back = (Link(text=f"Back to {name}", href=path_to("models", name)),)
    return Sheet(title=f"Settings of {name}", live=bool(live), said=said, links=back, sections=tuple(sections))


async def _entry(name: str, site: Site) -> RegistryEntry:
    """Raises UnknownNameError, UsageError where the registry has no such model."""
    await find_held(name, site)
    entry = read_registry(site.settings.models_file).models.get(name)
    if entry is None:
        raise UsageError(f"{name} is not on the list yet: make it known by that name first.")
    return entry


def _stored(entry: RegistryEntry, key: str) -> Any:
    return (entry.load if key in LOAD else entry.parameters).get(key)


def _text(value: object) -> str:
    return "" if value is None else setting_value(value)


def _fields(values: dict[str, str]) -> tuple[Field, ...]:
    def field(key: str, label: str) -> Field:
        if key not in CHOICES:
            return Field(name=key, label=label, value=values[key])
        offered: tuple[Choice, ...] = (Choice(value="", text=DEFAULT, chosen=not values[key]),)
        offered += tuple(Choice(value=each, text=each, chosen=values[key] == each) for each in CHOICES[key])
        return Field(name=key, label=label, choices=offered)

    sent = Field(
        name="check", label="", value="yes", kind="hidden"
    )  # fields that were left empty are not in the address
    return (sent, *(field(key, label) for key, label in (*LOAD.items(), *DRAWN.items())))


def changed_settings(entry: RegistryEntry, values: dict[str, str]) -> dict[str, dict[str, Any]]:
    """What differs from the registry: table -> key -> value, None where the default is to count again.

    Raises UsageError for what cannot be used.
    """
    wanted = {"load": LOAD, "parameters": DRAWN}
    read = {table: {key: _value(values[key]) for key in keys} for table, keys in wanted.items()}
    changes = {
        table: {key: value for key, value in keys.items() if value != _stored(entry, key)}
        for table, keys in read.items()
    }
    try:
        LoadSettings.model_validate(
            {key: value for key, value in {**entry.load, **changes["load"]}.items() if value is not None}
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{LOAD.get(str(first['loc'][0]), first['loc'][0])}: {first['msg']}.") from None
    check(_given(read["parameters"]), "the form")
    return {table: keys for table, keys in changes.items() if keys}


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _value(text: str) -> Any:
    if not text:
        return None
    if text in ("yes", "no"):
        return text == "yes"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


async def _preview(entry: RegistryEntry, values: dict[str, str], visit: Visit) -> list[Section]:
    name, site = visit.path["name"], visit.site
    changes = changed_settings(entry, values)
    rows = [
        ({**LOAD, **DRAWN}[key], _text(_stored(entry, key)) or ABSENT, _text(value) or DEFAULT)
        for keys in changes.values()
        for key, value in keys.items()
    ]
    table = made_table("difference", ("setting", "now", "then"), rows)
    difference = Section(id="changes", heading="What would change", table=table, empty="Nothing differs.")
    if not rows:
        return [difference]
    held = await find_held(name, site)
    if held.path is None:
        return [difference, _save(name, values)]
    load = json.dumps(changes["load"]) if "load" in changes else ""
    detail = await look_json(await model_task(held, site, load), site)
    if detail is None:
        return [difference, Section(id="computing", heading="On this machine", empty="It is being worked out.")]
    return [difference, Section(id="fit", heading="On this machine then", facts=fit_facts(detail)), _save(name, values)]


def _save(name: str, values: dict[str, str]) -> Section:
    fields = tuple(Field(name=key, label="", value=value, kind="hidden") for key, value in values.items())
    form = Form(path=path_to("models", name, "save"), submit="Save it", fields=fields, posts=True)
    return Section(id="save", heading="Save", hint="Workers load it so from their next start on.", form=form)


async def _save_settings(visit: Visit) -> Done:
    entry = await _entry(visit.path["name"], visit.site)
    changes = changed_settings(entry, {key: visit.one(key) for key in (*LOAD, *DRAWN)})
    name = visit.path["name"]
    await asyncio.to_thread(update_entry, visit.site.settings.models_file, name, changes)
    keys = ", ".join(key for table in changes.values() for key in table)
    return Done(said=f"Saved: {keys or 'nothing differed'}.", to=path_to("models", name), details={"changed": changes})


ROUTES = (
    page("/models/{name}/settings", "sheet.html", Sheet, build_settings_of, action=Action.MANAGE),
    post_action("/models/{name}/save", Action.MANAGE, _save_settings),
)
