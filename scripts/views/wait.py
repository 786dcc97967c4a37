"""Waiting for a run's end, with progress on a terminal."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from nightjar.config.counting import how_many
from nightjar.config.errors import UsageError
from nightjar.jobs.states import TERMINAL_JOBS, TERMINAL_RUNS, JobStatus, RunStatus
from nightjar.scripts.views.gates import result_row, show_results
from nightjar.scripts.views.output import plain

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from nightjar.config.settings import Settings
    from nightjar.jobs.documents import Run
    from nightjar.jobs.ending import Ending, GateResult, GateVerdict
    from nightjar.jobs.mongo import Database

POLL_S = 0.5
TELL_EVERY_S = 30.0
LONG_WORK = 20_000
"""Documents; writing or deleting fewer takes no time to speak of."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a run stands when the waiting is over: at its end, or because a limit was reached."""

    run: Run
    jobs: dict[str, int]
    asked: GateVerdict | None = None
    """The verdict of gates that are not the run's own."""

    @property
    def failed(self) -> bool:
        """Not at its end, stopped, cancelled, with a job that failed or a gate that did."""
        gates = any(verdict is not None and verdict.failed for verdict in (self.run.outcome.verdict, self.asked))
        return gates or self.run.status is not RunStatus.DONE or self.jobs[JobStatus.DEAD] > 0

    @property
    def results(self) -> list[GateResult]:
        """Of the run's own gates, then of those asked for."""
        verdicts = (self.run.outcome.verdict, self.asked)
        return [result for verdict in verdicts if verdict is not None for result in verdict.results]

    def json(self) -> dict[str, Any]:
        """What --json says beside the run's name and status."""
        gates = [result_row(result) for result in self.results]
        waves = {} if self.run.waves is None else {"waves": self.run.waves.model_dump(mode="json")}
        return {"status_reason": self.run.status_reason, "jobs": self.jobs, "gates": gates, **waves}

    def show(self) -> None:
        """Prints how the run stands and what its gates said."""
        print(plain(self.sentence()))
        show_results(self.results)

    def sentence(self) -> str:
        """How the run stands, for a person."""
        counts = ", ".join(f"{count} {status}" for status, count in self.jobs.items() if count)
        reason = f" ({self.run.status_reason})" if self.run.status_reason else ""
        more = f" `nightjar report {self.run.name}` shows the results." if self.run.status is RunStatus.DONE else ""
        waves = f" It is {self.run.waves.sentence()}." if self.run.waves is not None else ""
        return f"Run {self.run.name!r} is {self.run.status}{reason}: {counts or 'no jobs'}.{waves}{more}"


async def judged_by(ended: Ended, asked: Ending, database: Database) -> Ended:
    """The same, with the verdict of the gates that are asked for now; only a run at its end gets one."""
    from nightjar.pipeline.collect.collector import collect
    from nightjar.pipeline.compare.verdict import reach_verdict

    if not asked.gates or ended.run.status not in (RunStatus.DONE, RunStatus.STOPPED):
        return ended
    report = await collect(ended.run.id, database)
    return replace(ended, asked=await reach_verdict(report, ended.run, asked, database))


async def check_asked(run: Run, asked: Ending, database: Database) -> None:
    """Before waiting: raises UsageError for gates that the run cannot have."""
    from nightjar.jobs.documents import SuiteVersion
    from nightjar.pipeline.compare.verdict import check_ending

    suite = await SuiteVersion.get(run.suite) if asked.gates else None
    if suite is not None:
        taken = [sequence for sequence in suite.sequences if sequence.id in set(run.sequences)]
        await check_ending(run.model_copy(update={"ending": asked}), taken, database)


async def wait_for_run(run: Run, database: Database, *, timeout_s: float | None = None) -> Ended:
    """Waits until the run is DONE, STOPPED, CANCELLED or PAUSED, or the time is up. Ctrl-C says how to go on.

    Without a terminal, lines on standard error say what is waited for.

    A MongoDB that is away for a moment is waited for; ServiceError when it stays away.
    """
    from nightjar.jobs.patience import patiently

    loop = asyncio.get_running_loop()
    deadline = None if timeout_s is None else loop.time() + timeout_s
    with _bar(run) as bar:
        told = _Told(run, terminal=not bar.disable)
        while True:
            now, why = await patiently(partial(_look, run, database))
            ended = sum(now.jobs[status] for status in TERMINAL_JOBS)
            bar.update(bar.task_ids[0], completed=ended, total=now.run.jobs_total, hint=why)
            halted = now.run.status in TERMINAL_RUNS or now.run.status is RunStatus.PAUSED
            if halted or (deadline is not None and loop.time() >= deadline):
                return now
            told.tell(now, why)
            await asyncio.sleep(POLL_S)


async def _look(run: Run, database: Database) -> tuple[Ended, str]:
    from nightjar.jobs.documents import Run as RunDocument
    from nightjar.jobs.status import census

    current = await RunDocument.get(run.id)
    if current is None or current.status is RunStatus.REMOVING:
        raise UsageError(f"Run {run.name!r} was removed.")
    jobs = (await census.count(run.id, database)).by_status()
    return Ended(run=current, jobs=jobs), await hint(current, database)


async def hint(run: Run, database: Database) -> str:
    """Why the run may not be moving; empty where workers are at it."""
    from nightjar.jobs.backlog import has_open_jobs, live_slots, live_workers
    from nightjar.jobs.runs.model_files import replying_models

    if run.status is RunStatus.ACTIVE:
        needed = [name for name in replying_models(run) if await has_open_jobs(run.id, database, model=name)]
    elif run.status is RunStatus.JUDGING:
        needed = run.judging.at_work
    else:
        return run.status.lower()
    ready, alive = await live_slots(database), await live_workers(database)
    missing = [name for name in dict.fromkeys(needed) if name not in alive]
    if missing:
        return f"no worker for {', '.join(missing)}: nightjar worker --model {missing[0]}"
    loading = [name for name in dict.fromkeys(needed) if name not in ready]
    return f"{', '.join(loading)} is being loaded" if loading else ""


async def unserved_notes(run: Run, settings: Settings, database: Database) -> tuple[str, ...]:
    """Says of which models nobody has seen a worker lately, and in which database: another one may have been meant."""
    from nightjar.config.urls import address
    from nightjar.jobs.machines.auto_workers import live_autos
    from nightjar.jobs.machines.workers import LATELY_S, served_lately

    models = _needed(run)
    served = await served_lately(models, database)
    for auto in await live_autos(database):
        served |= {model for model in models if auto.only in (None, model) and model not in auto.cannot}
    missing = [model for model in models if model not in served]
    if not missing:
        return ()
    place = f"the embedded MongoDB of {settings.home}" if settings.mongo_url is None else address(settings.mongo_url)
    starts = " and ".join(f"`nightjar worker --model {model}`" for model in missing)
    return (
        f"no worker of {', '.join(missing)} was seen in the last {LATELY_S / 60:.0f} minutes in {place}: its jobs wait "
        f"until one is started with {starts}.",
    )


def _needed(run: Run) -> list[str]:
    """Models that the run's jobs are for, now or later."""
    from nightjar.jobs.runs.model_files import replying_models

    judges = run.judging.wanted.judges if run.judging.wanted is not None else ()
    helping = [*judges, *([run.embed_model] if run.embed_model else [])]
    return list(dict.fromkeys([*replying_models(run), *helping]))


class _Told:
    """What waiting says where no terminal shows a bar: a line at each turn of events, and now and then one anyhow."""

    def __init__(self, run: Run, *, terminal: bool) -> None:
        self._name = plain(run.name)
        self._terminal = terminal
        self._said: tuple[str, str] | None = None
        self._at = 0.0

    def tell(self, now: Ended, why: str) -> None:
        """Says how the run stands where that is news."""
        state, at = (str(now.run.status), why), monotonic()
        if self._terminal or (state == self._said and at - self._at < TELL_EVERY_S):
            return
        self._said, self._at = state, at
        ended = sum(now.jobs[status] for status in TERMINAL_JOBS)
        jobs = how_many(now.run.jobs_total, "job")
        hindrance = f": {plain(why)}" if why and why != state[0].lower() else ""
        print(f"Waiting for run {self._name}, {state[0]}, {ended} of {jobs}{hindrance}.", file=sys.stderr, flush=True)


@contextmanager
def _bar(run: Run) -> Iterator[Bar]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, markup=False, highlight=False)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    shown_hint = TextColumn("{task.fields[hint]}", markup=False)
    with Progress(*columns, shown_hint, console=console, disable=not console.is_terminal) as bar:
        bar.add_task(plain(run.name), total=run.jobs_total, hint="")
        try:
            yield bar
        except asyncio.CancelledError:
            bar.stop()
            name = plain(run.name)
            console.print(
                f"Not waiting any more; the run goes on. `nightjar run wait {name}` waits again, `nightjar status` "
                f"shows it, `nightjar run cancel {name}` ends it.",
                soft_wrap=True,
            )
            raise


@contextmanager
def expansion_bar() -> Iterator[Callable[[int, int], None]]:
    """A progress callback for the producer; it shows a bar on a terminal, for a run with very many jobs."""
    with _long_work_bar("writing jobs") as show:
        yield show


@contextmanager
def removal_bar() -> Iterator[Callable[[int, int], None]]:
    """The same for a removal, which counts jobs and their scores."""
    with _long_work_bar("removing jobs and scores") as show:
        yield show


@contextmanager
def _long_work_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None, visible=False)

        def show(done: int, total: int) -> None:
            visible = bar.console.is_terminal and total > LONG_WORK
            bar.update(task, completed=done, total=total, visible=visible)

        yield show
