"""What is shown of judges at the command line."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nightjar.scripts.views.output import plain

if TYPE_CHECKING:
    from nightjar.jobs.documents import Run
    from nightjar.jobs.mongo import Database
    from nightjar.pipeline.judging.checkup import Checkup, Discernment
    from nightjar.pipeline.judging.resistance import InjectionResult

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


ATTEMPT_COLUMNS = ("judge", "asks for more by", "replies>", "fooled>", "95 %>", "no value>", "verdict")


async def say_who_is_missing(judges: Iterable[str], files: Mapping[str, str], database: Database) -> list[str]:
    """Names the judges that no worker holds, on standard error with what to do. `files`: of those given by path."""
    from shlex import quote

    from nightjar.jobs.backlog import live_slots

    served = await live_slots(database)
    missing = [judge for judge in judges if judge not in served]
    for judge in missing:
        model = f"{quote(files[judge])} --name {judge}" if judge in files else judge
        _say(f"No worker serves the judge {judge!r}; nothing is judged until one does: nightjar worker --model {model}")
    return missing


async def found_in_check(run: Run, database: Database) -> tuple[Checkup, ...]:
    """What the run's newest check found of its judges; one without any control is missing."""
    from nightjar.pipeline.judging.plan import prompt_digest
    from nightjar.pipeline.judging.read_results import read_checkups
    from nightjar.pipeline.judging.rubric import read_rubric

    check = run.judging.check
    if check is None:
        return ()
    digest = prompt_digest(read_rubric(check.rubric))
    checkups = await read_checkups(run, database)
    return tuple(checkup for checkup in checkups if checkup.rubric == digest and checkup.judge in check.judges)


def control_rows(checkups: Sequence[Checkup]) -> list[list[Any]]:
    """A row for each judge and kind of control, under CONTROL_COLUMNS."""
    return [_control_row(checkup.judge, control) for checkup in checkups for control in checkup.controls]


def _control_row(judge: str, control: Discernment) -> list[Any]:
    difference, interval = control.paired.difference, control.paired.interval
    return [
        judge,
        control.control.value.replace("_", "-"),
        control.paired.n,
        _number(control.real),
        _number(control.spoilt),
        None if difference is None else f"{difference:+.3g}",
        None if interval is None else f"{interval.low:+.3g} to {interval.high:+.3g}",
        control.missing,
        control.ability.value,
    ]


def attempt_rows(checkups: Sequence[Checkup]) -> list[list[Any]]:
    """A row for each judge and kind of attempt, under ATTEMPT_COLUMNS."""
    return [_attempt_row(checkup.judge, attempt) for checkup in checkups for attempt in checkup.attempts]


def _attempt_row(judge: str, attempt: InjectionResult) -> list[Any]:
    interval = attempt.interval
    return [
        judge,
        attempt.injection.value.replace("_", " "),
        attempt.n,
        None if attempt.share is None else f"{attempt.share:.0%}",
        None if interval is None else f"{interval.low:.0%} to {interval.high:.0%}",
        attempt.missing,
        attempt.resistance.value,
    ]


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.3g}"


def _say(text: str) -> None:
    print(plain(text), file=sys.stderr, flush=True)
