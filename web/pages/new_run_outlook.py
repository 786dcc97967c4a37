"""What a new run would take: whether its models fit this machine, and how long it lasts where speeds are known."""

from __future__ import annotations

from nightjar.config.errors import NightjarError
from nightjar.jobs.documents import Run
from nightjar.jobs.machines.speeds import newest_speed
from nightjar.jobs.mongo import Database
from nightjar.jobs.published import published
from nightjar.jobs.runs.model_files import replying_models
from nightjar.jobs.status.forecast import seconds_for, usual_turn
from nightjar.pipeline.report.page.grid import Table
from nightjar.web.pages.model import find_held, look_json, model_task
from nightjar.web.pages.words import duration, file_size, made_table
from nightjar.web.site import Site

UNKNOWN = "not known yet"
READING = "its file is being read"


async def outlook_rows(run: Run, turns: int, site: Site) -> tuple[Table | None, bool]:
    """A row a model: how it fits, and how long its turns take. True where some of it is still being worked out."""
    names = replying_models(run)
    fits = {name: await _fit(name, site) for name in names}
    rows = [(name, *fits[name], duration_words(await expected_s(run, name, turns, site.database))) for name in names]
    table = made_table("outlook", ("model", "on this machine", "memory>", "expected time>"), rows)
    return table, any(fit[0] == READING for fit in fits.values())


def duration_words(seconds: float | None) -> str:
    return UNKNOWN if seconds is None else f"about {duration(seconds)}"


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


async def expected_s(run: Run, model: str, turns: int, database: Database) -> float | None:
    """By the speed that was measured last of the model's file, and replies that it gave before; None without either.

    `turns`: of one conversation of each sequence. Models are served one after the other, or beside each other.
    """
    known = (await published([model], database)).get(model)
    speed = None if known is None else await newest_speed(known.facts.digest, database)
    usual = await usual_turn(run, model, database)
    if speed is None or usual is None:
        return None
    factor = run.repeats * max(1, len(run.variants))
    conversations = len(run.sequences) * factor
    return seconds_for(turns * factor, usual, speed, at_once=conversations)
