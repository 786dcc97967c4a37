"""A new run: what is asked, a preflight that says what would come of it, and only then the button that makes it.

What is chosen is in the address, so that it can be kept and sent; the preflight checks all that enqueuing checks.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from nightjar.config.counting import how_many
from nightjar.config.errors import NightjarError
from nightjar.pipeline.report.page.grid import Table
from nightjar.web.auth.roles import Action
from nightjar.web.pages.declare import Done, Visit, page, post_action
from nightjar.web.pages.new_run_outlook import outlook_rows
from nightjar.web.pages.run_form import (
    RUN_FIELDS,
    Offered,
    choices_of,
    hidden_fields,
    how_fields,
    read_offered,
    run_options,
    run_words,
    what_fields,
)
from nightjar.web.pages.words import read_amount, run_address, whole_number
from nightjar.web.sheet import Choice, Field, Form, Said, Section, Sheet, named_facts
from nightjar.workers.embedder.client import embedder_opener

if TYPE_CHECKING:
    from nightjar.jobs.waves import Waves
    from nightjar.pipeline.runs.producer import PlannedRun
    from nightjar.pipeline.runs.request import EnqueueRequest

DECIDED = "decided"
OPTIONS = {
    "name": "--name",
    "fidelity_to": "--fidelity-to",
    "until": "--until",
    "primary": "--primary",
    "margin": "--margin",
}
"""Fields that a single run alone has -> options, in the order in which they are typed."""


async def build_new_run(visit: Visit) -> Sheet:
    """The form, and below it what the preflight says of what is chosen."""
    offered = await read_offered(visit)
    form = Form(path="/new", submit="Check it", fields=_fields(visit, offered))
    asked_for = Section(id="asked", heading="What to evaluate", form=form)
    if not visit.one("suite") or not visit.many("model"):
        hint = (
            ""
            if offered.models
            else "No model is registered: `nightjar model pull` fetches one, `model add` adds a file."
        )
        return Sheet(title="New run", lead=hint, sections=(asked_for,))
    from nightjar.pipeline.runs.producer import plan_run  # brings in what a run may ask for

    try:
        request = _request(visit)
        planned = await plan_run(
            request,
            visit.site.database,
            enforceable=visit.site.enforceable,
            embedder=embedder_opener(visit.site.settings),
            usd_per_kwh=visit.site.settings.money.usd_per_kwh,
        )
    except NightjarError as error:
        refused = Said(text=str(error), level="warning")
        return Sheet(title="New run", said=(refused,), sections=(asked_for,))
    said = tuple(Said(text=note, level="warning") for note in planned.notes)
    outlook, waits = await outlook_rows(planned, visit.site)
    return Sheet(title="New run", live=waits, said=said, sections=(asked_for, _preflight(visit, planned, outlook)))


def _fields(visit: Visit, offered: Offered) -> tuple[Field, ...]:
    decided = Choice(value=DECIDED, text="until every pair is decided", chosen=visit.one("until") == DECIDED)
    references = choices_of([*offered.models, *offered.policies], [visit.one("fidelity_to")])
    return (
        *what_fields(visit, offered),
        Field(name="name", label="Name (optional)", value=visit.one("name")),
        Field(name="until", label="Ask", choices=(Choice(value="", text="all sequences"), decided)),
        Field(name="primary", label="Decided by this metric (optional)", value=visit.one("primary")),
        Field(name="margin", label="A smaller difference than this is none (optional)", value=visit.one("margin")),
        Field(
            name="fidelity_to", label="Hold the others against", choices=(Choice(value="", text="none"), *references)
        ),
        *how_fields(visit, offered),
    )


def _request(visit: Visit) -> EnqueueRequest:
    """What is chosen, checked. Raises UsageError, UnknownNameError, ParameterError."""
    from nightjar.pipeline.runs.request import make_request

    return make_request(
        **run_options(visit),
        name=visit.one("name") or None,
        fidelity_to=visit.one("fidelity_to") or None,
        until=visit.one("until") or None,
        primary=visit.one("primary") or None,
        margin=read_amount("margin", visit.one("margin")) if visit.one("margin") else None,
    )


def _preflight(visit: Visit, planned: PlannedRun, outlook: Table | None) -> Section:
    run = planned.run
    contestants = len(run.contestants)
    waves = run.waves
    decided = {} if waves is None else {"Waves": _waves_words(waves, len(run.sequences))}
    facts = {
        "Sequences": whole_number(len(run.sequences)),
        **decided,
        "Conversations": whole_number(len(run.sequences) * contestants * run.repeats),
        "Turns": whole_number(planned.turns * contestants * run.repeats),
        "Models": ", ".join(contestant.name for contestant in run.contestants),
        "Seed": str(run.seed),
        "Judges": ", ".join(run.judging.judges) or "none",
    }
    fields = hidden_fields(visit, (*RUN_FIELDS, *OPTIONS))
    return Section(
        id="preflight",
        heading="What would come of it",
        facts=named_facts(facts),
        table=outlook,
        command=_command(visit),
        form=Form(path="/runs/make", submit="Make the run", fields=fields, posts=True),
    )


def _command(visit: Visit) -> str:
    """`nightjar enqueue` with what is chosen, quoted for a shell."""
    words = ["nightjar", "enqueue", *run_words(visit)]
    for field, option in OPTIONS.items():
        if value := visit.one(field):
            words += [option, value]
    return shlex.join(words)


def _waves_words(waves: Waves, sequences: int) -> str:
    """When a run may stop, and by what."""
    plan = waves.plan
    looks = ", ".join(whole_number(plan.asked(wave + 1)) for wave in range(plan.count))
    within = "" if plan.margin is None else f"; differences within {plan.margin:g} are none"
    return f"{how_many(plan.count, 'look')} by {plan.metric}, after {looks} of {whole_number(sequences)}{within}"


async def _make(visit: Visit) -> Done:
    """Enqueues it; a run of that name and content that exists is left as it is, or grows."""
    from nightjar.pipeline.runs.producer import enqueue
    from nightjar.pipeline.runs.this_home import this_home

    site = visit.site
    made = await enqueue(
        _request(visit),
        site.database,
        closers=this_home(site.settings),
        enforceable=site.enforceable,
        embedder=embedder_opener(site.settings),
    )
    said = f"Run {made.run.name}: {how_many(made.jobs_added, 'new job')}."
    return Done(said=said, about=made.run.name, to=run_address(made.run.name), details={"jobs": made.jobs_added})


ROUTES = (
    page("/new", "sheet.html", Sheet, build_new_run, action=Action.RUN),
    post_action("/runs/make", Action.RUN, _make),
)
