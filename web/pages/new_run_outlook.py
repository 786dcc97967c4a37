"""What a new run would take: whether its models fit this machine, and how long it lasts where speeds are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nightjar.config.errors import NightjarError
from nightjar.jobs.machines.speeds import newest_speed
from nightjar.jobs.models import ModelFacts
from nightjar.jobs.mongo import Database
from nightjar.jobs.published import published
from nightjar.jobs.runs.model_files import replying_models
from nightjar.jobs.status.forecast import UsualTurn, seconds_for, usual_turn
from nightjar.pipeline.report.page.grid import Table
from nightjar.web.pages.model import find_held, look_json, model_task
from nightjar.web.pages.words import duration, file_size, made_table
from nightjar.web.site import Site

if TYPE_CHECKING:
    from nightjar.pipeline.runs.producer import PlannedRun

UNKNOWN = "not known yet"
READING = "its file is being read"


async def outlook_rows(planned: PlannedRun, site: Site) -> tuple[Table | None, bool]:
    """A row a model: how it fits, and how long its turns take. True where some of it is still being worked out."""
    names = replying_models(planned.run)
    fits = {name: await _fit(name, site) for name in names}
    rows = [(name, *fits[name], await expected_words(planned, name, site.database)) for name in names]
    table = made_table("outlook", ("model", "on this machine", "memory>", "expected time>"), rows)
    return table, any(fit[0] == READING for fit in fits.values())


async def _fit(name: str, site: Site) -> tuple[str, str]:
    try:
        held = await find_held(name, site)
        if held.path is None:
            return f"its file is not here ({held.state})", UNKNOWN
        detail = await look_json(await model_task(held, site), site)
    except NightjarError as error:
        return str(error), UNKNOWN
    if detail is None:
        return READING, UNKNOWN
    fit = detail["fit"]
    if not fit["fits"]:
        return f"does not fit: {fit['reason']}", UNKNOWN
    return f"fits, {fit['slots']} conversations at once", file_size(fit["memory_bytes"])


async def expected_words(planned: PlannedRun, model: str, database: Database) -> str:
    """By the speed that was measured last of the model's file, and replies that it gave before, else the longest.

    Models are served one after the other, or beside each other: this is one of them alone.
    """
    run = planned.run
    known = (await published([model], database)).get(model)
    speed = None if known is None else await newest_speed(known.facts.digest, database)
    if known is None or speed is None:
        return UNKNOWN
    usual = await usual_turn(run, model, database)
    turn = usual or await _longest(planned, model, known.facts, database)
    if turn is None:
        return UNKNOWN
    factor = run.repeats * max(1, len(run.variants))
    seconds = seconds_for(planned.turns * factor, turn, speed, at_once=len(planned.sequences) * factor)
    return f"{'about' if usual is not None else 'at most about'} {duration(seconds)}"


async def _longest(planned: PlannedRun, model: str, facts: ModelFacts, database: Database) -> UsualTurn | None:
    from nightjar.pipeline.runs.longest_turns import longest_turn
    from nightjar.pipeline.runs.preflight import layers_above, read_planned

    sequences = await read_planned(planned.sequences, database)
    return longest_turn(sequences, layers_above(planned.run, model), facts.registry_parameters)
