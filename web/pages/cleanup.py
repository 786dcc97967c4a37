"""Cleanup: what `nightjar cleanup` would clear, shown before the button that clears it."""

from __future__ import annotations

from nightjar.config.counting import how_many
from nightjar.config.errors import UsageError
from nightjar.pipeline.report.page.grid import Table
from nightjar.web.auth.roles import Action
from nightjar.web.cleaning import CleanupAsked, CleanupFound
from nightjar.web.pages.declare import Done, Visit, page, post_action
from nightjar.web.pages.words import file_size, made_table, read_number
from nightjar.web.sheet import Field, Form, Link, Said, Section, Sheet

PATIENCE_S = 0.15
LOOKING = "It is being looked at what would go; the page shows it as soon as that is known."
CANNOT = "This server cannot clean up its machine; `nightjar cleanup` does."
ABOUT = (
    "Unfinished downloads, files that belong to no model, old logs, transcripts of nights beyond those that are kept, "
    "and old records. Aggregates stay, and baselines are left alone."
)
NUMBERS = {
    "unused": "Pulled models not used for so many days (empty: none)",
    "keep_nights": "Nights whose transcripts are kept (empty: the setting)",
    "logs": "Logs older than so many days",
}


async def build_cleanup(visit: Visit) -> Sheet:
    """The options are in the address."""
    asked = _asked(visit)
    fields = tuple(
        Field(name=name, label=label, value=visit.one(name, "14" if name == "logs" else ""), kind="number")
        for name, label in NUMBERS.items()
    )
    form = Form(path="/doctor/cleanup", submit="Look again", fields=fields)
    options = Section(id="options", heading="What may go", hint=ABOUT, form=form)
    back = (Link(text="Back to Doctor", href="/doctor"),)
    if visit.site.cleaning is None:
        return Sheet(title="Cleanup", said=(Said(text=CANNOT, level="warning"),), links=back)
    found = await visit.site.cleaning.look(asked, PATIENCE_S)
    if found is None:
        return Sheet(title="Cleanup", live=True, said=(Said(text=LOOKING),), links=back, sections=(options,))
    return Sheet(title="Cleanup", said=_said(found), links=back, sections=(options, _preview(found, visit)))


def _preview(found: CleanupFound, visit: Visit) -> Section:
    may = visit.visitor.can(Action.REMOVE) and not found.nothing
    fields = tuple(Field(name=name, label="", value=visit.one(name), kind="hidden") for name in NUMBERS)
    form = Form(path="/doctor/cleanup/clear", submit="Clear it for good", fields=fields, posts=True)
    return Section(
        id="preview",
        heading="What would go",
        hint=f"{file_size(found.bytes)} in {how_many(len(found.places), 'place')}." if found.places else "",
        table=_table(found),
        empty="No file, and no transcript.",
        form=form if may else None,
    )


def _table(found: CleanupFound) -> Table | None:
    rows = ((place.what, file_size(place.bytes), place.why) for place in found.places)
    return made_table("places", ("what", "size>", "why"), rows)


def _said(found: CleanupFound) -> tuple[Said, ...]:
    texts = [f"The removal of run {name}, which was interrupted, would be finished." for name in found.removed]
    if found.records:
        texts.append(f"{how_many(found.records, 'old record')} of crashes, calls, workers and leases would be dropped.")
    said = [Said(text=text) for text in texts]
    if found.unseen is not None:
        said.append(Said(text=f"Nights were not looked at: {found.unseen}", level="warning"))
    return tuple(said)


def _asked(visit: Visit) -> CleanupAsked:
    """Raises UsageError for what is no number, and for 0 days that a model was not used."""
    given = {name: read_number(name, text) for name in NUMBERS if (text := visit.one(name))}
    for name in ("unused", "keep_nights"):
        if given.get(name) == 0:
            raise UsageError(f"{name} is 0: give a number from 1, or leave it empty.")
    return CleanupAsked(
        unused_days=given.get("unused"), keep_nights=given.get("keep_nights"), log_days=given.get("logs", 14)
    )


async def _clear(visit: Visit) -> Done:
    asked = _asked(visit)
    if visit.site.cleaning is None:
        raise UsageError(CANNOT)
    gone = await visit.site.cleaning.clear(asked)
    said = f"Cleared: {file_size(gone.bytes)} in {how_many(len(gone.places), 'place')}"
    said += f", {how_many(gone.records, 'old record')}." if gone.records else "."
    if gone.kept:
        said += f" Kept, since they are at work again or too large: {', '.join(gone.kept)}."
    details = {"bytes": gone.bytes, "places": [place.what for place in gone.places][:100], "records": gone.records}
    return Done(said=said, about=" ".join(asked.words), details=details)


ROUTES = (
    page("/doctor/cleanup", "sheet.html", Sheet, build_cleanup, action=Action.RUN),
    post_action("/doctor/cleanup/clear", Action.REMOVE, _clear),
)
