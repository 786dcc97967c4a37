"""Rows that several pages share: runs by their counts, workers by their beats. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nightjar.jobs.status.results import RunResult
from nightjar.jobs.status.views import Overview, RunView, WorkerView
from nightjar.pipeline.report.data.numbers import ABSENT
from nightjar.pipeline.report.page.grid import Cell, Table
from nightjar.web.pages.result_cells import RESULT_COLUMNS, result_cells
from nightjar.web.pages.words import duration, linked, made_table, run_address, whole_number
from nightjar.web.sheet import Said

RUN_COLUMNS = ("run", "status", "done>", "open>", "failed>", "turns>", "ETA>")
ENDED_COLUMNS = ("run", "status", *RESULT_COLUMNS, "done>", "failed>")
WORKER_COLUMNS = ("worker", "model", "state", "slots>", "tokens/s in total>", "last beat>")


def run_rows(runs: Sequence[RunView], name: str = "runs") -> Table | None:
    """A line a run; None where there is none."""
    return made_table(name, RUN_COLUMNS, (_run_row(run) for run in runs))


def _run_row(run: RunView) -> tuple[Cell | str, ...]:
    total, open_ = sum(run.jobs.values()), run.jobs["PENDING"] + run.jobs["RUNNING"]
    reason = run.wait or (run.reason if run.reason != run.status.lower() else None)
    share = f"{100 * (total - open_) / total:.0f} %" if total else ""
    empty = run.turns["empty"]
    return (
        linked(run.name, run_address(run.name), run.suite),
        Cell(text=run.status, note=reason or "", alert=run.wait is not None),
        Cell(text=whole_number(run.jobs["DONE"]), note=share),
        whole_number(open_),
        Cell(text=whole_number(run.jobs["DEAD"]), alert=run.jobs["DEAD"] > 0),
        Cell(text=whole_number(run.turns["committed"]), note=f"{whole_number(empty)} empty" if empty else ""),
        duration(run.eta_s),
    )


def ended_rows(runs: Sequence[RunView], results: Mapping[str, RunResult]) -> Table | None:
    """A line a run that has ended, with what came of it; None where there is none."""
    return made_table("ended-runs", ENDED_COLUMNS, (_ended_row(run, results.get(run.id, RunResult())) for run in runs))


def _ended_row(run: RunView, result: RunResult) -> tuple[Cell | str, ...]:
    name, status, done, _, failed, *_ = _run_row(run)
    return name, status, *result_cells(result, run.all_costs), done, failed


def worker_rows(workers: Sequence[WorkerView]) -> Table | None:
    """A line a worker; None where there is none."""
    return made_table("workers", WORKER_COLUMNS, (_worker_row(worker) for worker in workers))


def _worker_row(worker: WorkerView) -> tuple[Cell | str, ...]:
    busy = f"the machine is busy: others take {worker.others_cores:.1f} cores" if worker.busy else ""
    why = "; ".join(part for part in (worker.reason or worker.doing, busy) if part)
    return (
        Cell(text=worker.id, note=worker.device),
        worker.model,
        Cell(text=worker.state, note=why, alert=worker.reason is not None),
        f"{worker.slots_used} of {worker.slots}",
        Cell(
            text=whole_number(worker.tokens_per_s),
            note=f"{whole_number(worker.wasted_tokens)} wasted" if worker.wasted_tokens else "",
        ),
        f"{worker.beat_age_s:.0f} s ago",
    )


def troubles(overview: Overview) -> tuple[Said, ...]:
    """What is wrong, in sentences: services, queues that wait for nothing, nights, chores, documents."""
    away = [f"{name}: {state.reason}" for name, state in overview.services.items() if not state.ok]
    stuck = [
        f"{whole_number(queue.waiting)} jobs wait for {queue.model}: {queue.reason}"
        for queue in overview.queues
        if queue.stalled
    ]
    chores = [chore.sentence() for chore in overview.chores]
    return tuple(
        Said(text=text, level="warning") for text in (*away, *stuck, *overview.nights, *chores, *overview.unreadable)
    )


def queue_rows(overview: Overview) -> Table | None:
    """Models whose jobs wait, and why."""
    rows = (
        (queue.model, whole_number(queue.waiting), Cell(text=queue.reason or "about to start", alert=queue.stalled))
        for queue in overview.queues
    )
    return made_table("queues", ("model", "jobs>", "why they wait"), rows)


def dead_rows(overview: Overview) -> Table | None:
    """Why jobs failed."""
    rows = (
        (linked(dead.run, run_address(dead.run)), dead.model, whole_number(dead.count), dead.example or ABSENT)
        for dead in overview.dead
    )
    return made_table("failed", ("run", "model", "jobs>", "an example of the reason"), rows)
