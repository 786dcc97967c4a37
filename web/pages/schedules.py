"""Schedules: when each makes its next run, what became of the last; add, pause, resume, run now, change, remove."""

from __future__ import annotations

from datetime import datetime

from nightjar.jobs.nights.documents import Missed, Overlap, Schedule
from nightjar.jobs.reading import read_each
from nightjar.pipeline.nights.ticks import next_tick
from nightjar.pipeline.report.data.numbers import ABSENT
from nightjar.pipeline.report.page.grid import Cell
from nightjar.web.auth.roles import Action
from nightjar.web.pages.declare import Done, Visit, page, post_action
from nightjar.web.pages.run_form import choices_of, how_fields, read_offered, run_options, what_fields
from nightjar.web.pages.words import linked, made_table, moment, path_to, read_number, run_address
from nightjar.web.sheet import Button, Field, Form, Link, Section, Sheet, named_facts
from nightjar.workers.embedder.client import embedder_opener
from nightjar.workers.library.registry import read_registry

NEW = "/new/schedule"
COLUMNS = ("schedule", "suite", "models", "next run", "last run", "what went wrong")


async def build_schedules(visit: Visit) -> Sheet:
    """Every schedule, by name."""
    database = visit.site.database
    now = await database.now()
    schedules = sorted(await read_each(Schedule, {}, database), key=lambda schedule: schedule.id)
    section = Section(
        id="schedules-section",
        heading="Nightly runs",
        table=made_table("schedules", COLUMNS, (_row(schedule, now) for schedule in schedules)),
        empty="None. `nightjar schedule add` makes runs by the clock.",
    )
    links = (Link(text="New schedule", href=NEW),) if visit.visitor.can(Action.RUN) else ()
    return Sheet(title="Schedules", live=True, links=links, sections=(section,))


def _row(schedule: Schedule, now: datetime) -> tuple[Cell | str, ...]:
    trouble = schedule.last_error or schedule.last_passed
    return (
        linked(schedule.id, path_to("schedules", schedule.id), f"{schedule.cron}, {schedule.timezone}"),
        str(schedule.enqueue.get("suite", ABSENT)),
        ", ".join(schedule.enqueue.get("models", ())),
        _next(schedule, now),
        ABSENT if schedule.last_run is None else linked(schedule.last_run, run_address(schedule.last_run)),
        Cell(text=trouble or ABSENT, alert=schedule.last_error is not None),
    )


def _next(schedule: Schedule, now: datetime) -> str:
    return moment(next_tick(schedule.cron, schedule.timezone, now)) if schedule.enabled else "paused"


async def build_schedule(visit: Visit) -> Sheet:
    """One schedule, with what can be done about it."""
    from nightjar.pipeline.nights.change_schedule import find_schedule  # brings in what enqueues

    schedule = await find_schedule(visit.path["name"])
    facts = {
        "Clock": f"{schedule.cron}, {schedule.timezone}",
        "Next run": _next(schedule, await visit.site.database.now()),
        "Last run": schedule.last_run or ABSENT,
        "Waits for": schedule.waiting_for or ABSENT,
        "Passed over": schedule.last_passed or ABSENT,
        "Last error": schedule.last_error or ABSENT,
        "While a run before works": str(schedule.overlap),
        "Missed runs": str(schedule.missed),
    }
    may_change = visit.visitor.can(Action.RUN)
    options = [(name, str(value)) for name, value in sorted(schedule.enqueue.items()) if name != "on_finish"]
    return Sheet(
        title=schedule.id,
        buttons=_buttons(schedule, visit),
        sections=(
            Section(id="facts", heading="The schedule", facts=named_facts(facts)),
            Section(
                id="options",
                heading="Its runs",
                table=made_table("run-options", ("option", "value"), options),
                hint="`nightjar schedule edit` changes all of them.",
            ),
            *((_change_section(schedule),) if may_change else ()),
        ),
    )


def _change_section(schedule: Schedule) -> Section:
    limit = str(schedule.enqueue.get("limit", ""))
    fields = (
        Field(name="cron", label="Clock (five fields)", value=schedule.cron),
        Field(name="timezone", label="Time zone", value=schedule.timezone),
        Field(name="repeats", label="Repeats", value=str(schedule.enqueue.get("repeats", 1)), kind="number"),
        Field(name="limit", label="At most so many sequences", value=limit, kind="number"),
    )
    form = Form(path=path_to("schedules", schedule.id, "edit"), submit="Change it", fields=fields, posts=True)
    return Section(id="change", heading="Change it", hint="Runs that are there stay as they are.", form=form)


def _buttons(schedule: Schedule, visit: Visit) -> tuple[Button, ...]:
    """For those who may press them."""
    switch = ("Pause", "pause") if schedule.enabled else ("Resume", "resume")
    question = f"Remove the schedule {schedule.id}? Its runs stay."
    buttons = (
        Button(text=switch[0], path=path_to("schedules", schedule.id, switch[1])),
        Button(text="Run now", path=path_to("schedules", schedule.id, "run")),
    )
    remove = Button(text="Remove", path=path_to("schedules", schedule.id, "remove"), confirm=question)
    return (
        *(buttons if visit.visitor.can(Action.RUN) else ()),
        *((remove,) if visit.visitor.can(Action.REMOVE) else ()),
    )


async def build_new_schedule(visit: Visit) -> Sheet:
    """The form of a schedule; what is in the address is chosen."""
    offered = await read_offered(visit)
    fields = (
        Field(name="name", label="Name", value=visit.one("name")),
        Field(name="cron", label="Clock (five fields)", value=visit.one("cron", "0 2 * * *")),
        Field(name="timezone", label="Time zone", value=visit.one("timezone", "UTC")),
        *what_fields(visit, offered),
        Field(
            name="deadline", label="Stopped at (07:00, or 8h after its start; optional)", value=visit.one("deadline")
        ),
        Field(
            name="overlap",
            label="While the run before still works",
            choices=choices_of(Overlap, [visit.one("overlap", Overlap.QUEUE)]),
        ),
        Field(
            name="missed",
            label="A tick at which no dispatcher ran",
            choices=choices_of(Missed, [visit.one("missed", Missed.RUN)]),
        ),
        *how_fields(visit, offered),
    )
    form = Form(path="/schedules/add", submit="Add it", fields=fields, posts=True)
    hint = (
        "A dispatcher, or a worker of this home, must be running when the clock says so. Gates and notifications are "
        "given by `nightjar schedule edit`."
    )
    return Sheet(title="New schedule", sections=(Section(id="asked", heading="When, and what", hint=hint, form=form),))


async def do_add_schedule(visit: Visit) -> Done:
    """Adds a schedule. Refused is what enqueuing would refuse now; hooks and gates are the command line's alone."""
    from nightjar.pipeline.nights.schedules import add_schedule
    from nightjar.pipeline.nights.ticks import Rules
    from nightjar.pipeline.runs.this_home import this_home

    site, options = visit.site, run_options(visit)
    if deadline := visit.one("deadline"):
        options["deadline"] = deadline
    made = await add_schedule(
        visit.one("name"),
        visit.one("cron"),
        visit.one("timezone", "UTC"),
        options,
        site.database,
        rules=Rules.read(overlap=visit.one("overlap", "queue"), missed=visit.one("missed", "run"), grace="5m"),
        enforceable=site.enforceable,
        embedder=embedder_opener(site.settings),
        closers=this_home(site.settings),
    )
    kept = {name: made.enqueue.get(name) for name in ("suite", "models")}
    said = f"{made.id} makes its first run at {_next(made, made.created_at)}."
    details = {"cron": made.cron, "timezone": made.timezone, **kept}
    return Done(said=said, about=made.id, to=path_to("schedules", made.id), details=details)


async def _remove(visit: Visit) -> Done:
    from nightjar.pipeline.nights.change_schedule import remove_schedule

    name = visit.path["name"]
    await remove_schedule(name)
    return Done(said=f"{name} is removed; its runs stay.", to="/schedules")


async def do_pause_schedule(visit: Visit) -> Done:
    """It makes no run until it is resumed."""
    from nightjar.pipeline.nights.change_schedule import pause_schedule

    changed = await pause_schedule(visit.path["name"], visit.site.database)
    return Done(said="It makes no run until it is resumed." if changed else "It was paused already.")


async def do_resume_schedule(visit: Visit) -> Done:
    """It makes runs again, from its next tick on."""
    from nightjar.pipeline.nights.change_schedule import resume_schedule

    changed = await resume_schedule(visit.path["name"], visit.site.database)
    return Done(said="It makes runs again." if changed else "It was not paused.")


async def do_run_schedule(visit: Visit) -> Done:
    """Makes its next run now, as one by hand."""
    from nightjar.pipeline.nights.change_schedule import run_schedule
    from nightjar.pipeline.runs.this_home import this_home

    settings = visit.site.settings
    known = tuple(read_registry(settings.models_file).models)
    made = await run_schedule(
        visit.path["name"],
        visit.site.database,
        closers=this_home(settings),
        known_models=known,
        embedder=embedder_opener(settings),
    )
    return Done(said=f"Run {made.run.name} is made.", to=run_address(made.run.name), details={"run": made.run.name})


async def do_edit_schedule(visit: Visit) -> Done:
    """Changes what was given of clock, time zone, repeats and limit; the rest of the schedule stays."""
    from nightjar.pipeline.nights.change_schedule import edit_schedule

    name = visit.path["name"]
    fields = {field: value for field in ("cron", "timezone") if (value := visit.one(field))}
    numbers = {field: read_number(field, value) for field in ("repeats", "limit") if (value := visit.one(field))}
    known = tuple(read_registry(visit.site.settings.models_file).models)
    options = {**numbers, "known_models": known}
    await edit_schedule(
        name,
        fields,
        options,
        visit.site.database,
        enforceable=visit.site.enforceable,
        embedder=embedder_opener(visit.site.settings),
    )
    return Done(said=f"{name} is changed; its next runs are so.", details={**fields, **numbers})


ROUTES = (
    page("/schedules", "sheet.html", Sheet, build_schedules),
    page(NEW, "sheet.html", Sheet, build_new_schedule, action=Action.RUN),
    post_action("/schedules/add", Action.RUN, do_add_schedule),
    page("/schedules/{name}", "sheet.html", Sheet, build_schedule),
    post_action("/schedules/{name}/pause", Action.RUN, do_pause_schedule),
    post_action("/schedules/{name}/resume", Action.RUN, do_resume_schedule),
    post_action("/schedules/{name}/run", Action.RUN, do_run_schedule),
    post_action("/schedules/{name}/edit", Action.RUN, do_edit_schedule),
    post_action("/schedules/{name}/remove", Action.REMOVE, _remove),
)
