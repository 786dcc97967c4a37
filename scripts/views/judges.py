"""What is shown of judges at the command line."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from nightjar.scripts.views.output import plain

if TYPE_CHECKING:
    from nightjar.jobs.database import Database
    from nightjar.jobs.documents import Run
    from nightjar.pipeline.judging.checkup import Checkup

CONTROL_COLUMNS = (
    "judge",
    "spoilt by",
    "sequences>",
    "real>",
    "spoilt>",
    "difference>",
    "95 %>",
    "no verdict>",
    "verdict",
)


async def say_who_is_missing(judges: Iterable[str], database: Database) -> list[str]:
    """Names the judges that no worker holds, on standard error with what to do; also where no dispatcher runs."""
    from nightjar.jobs.backlog import live_slots
    from nightjar.jobs.dispatchers import dispatcher_is_live

    served = await live_slots(database)
    missing = [judge for judge in judges if judge not in served]
    for judge in missing:
        _say(f"No worker holds the judge {judge!r}; nothing is judged until one does: nightjar worker --model {judge}")
    if not await dispatcher_is_live(database):
        _say("No dispatcher runs; nothing is planned until one does: nightjar dispatcher")
    return missing


async def found_in_check(run: Run, database: Database) -> tuple[Checkup, ...]:
    """What the run's newest check found of its judges; one without any control is missing."""
    from nightjar.pipeline.judging.plan import prompt_digest
    from nightjar.pipeline.judging.read_results import read_checkups
    from nightjar.pipeline.judging.rubric import read_rubric

    if run.check is None:
        return ()
    digest = prompt_digest(read_rubric(run.check.rubric))
    found = await read_checkups(run, database)
    return tuple(one for one in found if one.rubric == digest and one.judge in run.check.judges)


def control_rows(found: Sequence[Checkup]) -> list[list[Any]]:
    """One row a judge and kind of control, under CONTROL_COLUMNS."""
    return [
        [
            checkup.judge,
            one.control.value.replace("_", "-"),
            one.paired.n,
            _number(one.real),
            _number(one.spoilt),
            None if one.paired.difference is None else f"{one.paired.difference:+.3g}",
            None
            if one.paired.interval is None
            else f"{one.paired.interval.low:+.3g} to {one.paired.interval.high:+.3g}",
            one.missing,
            one.ability.value,
        ]
        for checkup in found
        for one in checkup.controls
    ]


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.3g}"


def _say(text: str) -> None:
    print(plain(text), file=sys.stderr, flush=True)
