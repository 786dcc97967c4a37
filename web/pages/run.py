"""One run: how it stands and why, each sequence with each model, why jobs failed, what can be done."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from nightjar.jobs.documents import Job, Run
from nightjar.jobs.lookup import find_run
from nightjar.jobs.nights.baselines import baselines_by_suite
from nightjar.jobs.runs.control import pinned_runs
from nightjar.jobs.states import TERMINAL_RUNS, JobKind, JobStatus, RunStatus
from nightjar.jobs.status.grid import SequenceCell, sequence_grid
from nightjar.jobs.status.run import RunDetail, RunModelView, describe_run
from nightjar.jobs.status.views import RunView
from nightjar.pipeline.report.data.numbers import ABSENT
from nightjar.pipeline.report.page.grid import Cell, Table
from nightjar.web.auth.roles import Action
from nightjar.web.overview import site_overview
from nightjar.web.pages.declare import Visit, page
from nightjar.web.pages.rows import queue_rows, troubles
from nightjar.web.pages.words import duration, linked, made_table, run_address, whole_number
from nightjar.web.sheet import Button, Choice, Field, Form, Link, NamedFact, Section, Sheet, named_facts
from nightjar.workers.library.registry import read_registry

GRID_ROWS = 200
"""Sequences shown in the grid; transcripts have all of them."""
WRITING_ROWS = 32
REPORTED = TERMINAL_RUNS | {RunStatus.JUDGING}


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A job whose text is shown as it grows. `address`: of its stream."""

    title: str
    address: str


@dataclass(frozen=True, kw_only=True)
class RunPage(Sheet):
    """The sheet, and above it the text of a job that is watched."""

    watched: Watched | None = None


async def build_run(visit: Visit) -> RunPage:
    """The run as it is; what is done about it are buttons, for whoever may press them. `watch` names a job."""
    database = visit.site.database
    run = await find_run(visit.path["name"], database, removing=True)
    detail = await describe_run(run, database)
    overview = await site_overview(visit.site, run_id=run.id)
    view = overview.runs[0] if overview.runs else None
    pinned = await pinned_runs(database)
    baseline_of = [suite for suite, baseline in (await baselines_by_suite()).items() if baseline.run == run.id]
    links = [Link(text="Transcripts", href=run_address(run.name, "transcripts"))]
    if run.outcome.finished_at is not None:
        links.append(Link(text="Report", href=run_address(run.name, "report")))
    watched = await _watched(run, visit.one("watch"))
    return RunPage(
        title=run.name,
        live=run.status not in TERMINAL_RUNS,
        run=run.name,
        lead=run.outcome.answer or "",
        said=troubles(overview),
        buttons=_buttons(run, visit, failed=detail.jobs["DEAD"], pinned=run.id in pinned, baseline_of=baseline_of),
        links=tuple(links),
        scripts=("watch.js",) if watched is not None else (),
        watched=watched,
        sections=(
            Section(id="facts", heading="The run", facts=_facts(detail, view)),
            Section(id="models", heading="Models", table=_models(detail), empty="No model has a job yet."),
            Section(id="waiting", heading="Waiting", table=queue_rows(overview), empty="No job waits."),
            Section(
                id="writing", heading="Being replied to", table=await _writing(run), empty="No job is, at this moment."
            ),
            await _grid_section(run, visit),
            Section(id="reasons", heading="Failed jobs", table=_reasons(detail), empty="None."),
            Section(id="gates", heading="Gates", table=_gates(detail), empty="The run has none, or has not ended."),
            *_judge_section(run, visit),
        ),
    )


async def _watched(run: Run, job: str) -> Watched | None:
    found = await Job.find_one({"_id": job, "run": run.id, "kind": JobKind.REPLY}) if job else None
    if found is None:
        return None
    return Watched(title=_job_title(found), address=run_address(run.name, "jobs", found.id, "text"))


def _job_title(job: Job) -> str:
    repeat = f", repeat {job.repeat + 1}" if job.repeat else ""
    by = f" ({job.model})" if job.routed is not None else ""
    return f"{job.sequence} – {job.contestant}{by}{repeat}"


async def _writing(run: Run) -> Table | None:
    query = {"run": run.id, "kind": JobKind.REPLY, "status": JobStatus.RUNNING}
    jobs = await Job.find(query).sort("+order").limit(WRITING_ROWS).to_list()
    rows = (
        (
            linked(_job_title(job), run_address(run.name, watch=job.id), "watch its text"),
            f"{job.turns_committed + 1} of {job.turns_total}",
            job.owner or ABSENT,
        )
        for job in jobs
    )
    return made_table("writing-jobs", ("conversation", "turn>", "worker"), rows)


def _facts(detail: RunDetail, view: RunView | None) -> tuple[NamedFact, ...]:
    reason = (view.wait or view.reason) if view is not None else detail.status_reason
    waits = f": {reason}" if reason and reason != detail.status.lower() else ""
    jobs = ", ".join(f"{count} {status.lower()}" for status, count in detail.jobs.items() if count)
    facts = {
        "Status": f"{detail.status}{waits}",
        "Suite": f"{detail.suite_name}@{detail.suite_version}, {len(detail.sequences)} sequences",
        "Jobs": jobs or "none yet",
        "Time left": duration(view.eta_s if view is not None else None),
        "Repeats": str(detail.repeats),
        "Seed": str(detail.seed),
        "Made": _when(detail.created_at),
        "Ended": _when(detail.finished_at),
    }
    return named_facts(facts)


def _when(text: str | None) -> str:
    return ABSENT if text is None else f"{text[:16].replace('T', ' ')} UTC"


def _models(detail: RunDetail) -> Table | None:
    rows = (
        (
            Cell(text=model.name, note=_answered(model)),
            whole_number(model.jobs["DONE"]),
            whole_number(model.jobs["PENDING"] + model.jobs["RUNNING"]),
            Cell(text=whole_number(model.jobs["DEAD"]), alert=model.jobs["DEAD"] > 0),
            whole_number(model.jobs["turns"]),
            whole_number(model.jobs["empty"]),
        )
        for model in detail.models
        if model.jobs is not None
    )
    return made_table("by-model", ("model", "done>", "open>", "failed>", "turns>", "empty>"), rows)


def _answered(model: RunModelView) -> str:
    """Of a policy: its version, and how many conversations are each candidate's."""
    if model.policy is None:
        return ""
    return ", ".join([model.policy, *(f"{name} {count}" for name, count in (model.answered or {}).items())])


async def _grid_section(run: Run, visit: Visit) -> Section:
    cells = await sequence_grid(run.id, run.asked[:GRID_ROWS], visit.site.database)
    by_sequence: dict[str, dict[str, SequenceCell]] = defaultdict(dict)
    for cell in cells:
        by_sequence[cell.sequence][cell.contestant] = cell
    contestants = [contestant.name for contestant in run.contestants]
    rows = [
        (
            linked(sequence, run_address(run.name, "transcripts", sequence=sequence)),
            *(_grid_cell(row.get(name)) for name in contestants),
        )
        for sequence, row in ((sequence, by_sequence[sequence]) for sequence in run.asked[:GRID_ROWS])
        if row
    ]
    more = len(run.asked) - GRID_ROWS
    return Section(
        id="sequences",
        heading="Sequences",
        hint=f"The first {GRID_ROWS}; {more} more are in the transcripts." if more > 0 else "",
        table=made_table("by-sequence", ("sequence", *contestants), rows),
        empty="Its jobs are being written.",
    )


def _grid_cell(cell: SequenceCell | None) -> Cell:
    if cell is None:
        return Cell(text=ABSENT)
    notes = [f"{count} {word}" for count, word in ((cell.running, "running"), (cell.dead, "failed")) if count]
    return Cell(text=f"{cell.done} of {cell.jobs}", note=", ".join(notes), alert=cell.dead > 0)


def _reasons(detail: RunDetail) -> Table | None:
    rows = ((reason.reason or "no reason recorded", whole_number(reason.jobs)) for reason in detail.dead_reasons)
    return made_table("dead-reasons", ("reason", "jobs>"), rows)


def _gates(detail: RunDetail) -> Table | None:
    results = detail.gates.results if detail.gates is not None else ()
    rows = ((result.gate, result.about, result.outcome, result.text) for result in results)
    return made_table("gate-results", ("gate", "about", "outcome", "in words"), rows)


def _judge_section(run: Run, visit: Visit) -> tuple[Section, ...]:
    """The form that has a finished run judged again, for whoever may."""
    if run.status is not RunStatus.DONE or run.transcripts_dropped_at is not None or not visit.visitor.can(Action.RUN):
        return ()
    last = run.judging.judges
    names = sorted({*read_registry(visit.site.settings.models_file).models, *last})
    judges = tuple(Choice(value=name, text=name, chosen=name in last) for name in names)
    own = (Choice(value="", text="no"), Choice(value="yes", text="yes"))
    fields = (
        Field(name="judge", label="Judges", choices=judges, several=True),
        Field(name="self_judging", label="A judge may judge its own replies", choices=own),
    )
    form = Form(path=run_address(run.name, "judge"), submit="Judge again", fields=fields, posts=True)
    hint = (
        "By the rubric of its last judging, else its suite's. What was judged before counts until this is complete, "
        "and no reply is generated again."
    )
    nothing = "" if names else "No model is registered that could judge: `nightjar model pull` fetches one."
    heading = "Judge again" if last else "Judge"
    return (Section(id="judge", heading=heading, hint=hint, form=form if names else None, empty=nothing),)


def _buttons(run: Run, visit: Visit, *, failed: int, pinned: bool, baseline_of: list[str]) -> tuple[Button, ...]:
    """What the status allows, for those who may."""

    def here(name: str) -> str:
        return run_address(run.name, name)

    buttons = []
    if visit.visitor.can(Action.RUN):
        if run.status is RunStatus.ACTIVE:
            buttons.append(Button(text="Pause", path=here("pause")))
        if run.status in (RunStatus.PAUSED, RunStatus.STOPPED):
            buttons.append(Button(text="Resume", path=here("resume")))
        if run.status not in TERMINAL_RUNS | {RunStatus.REMOVING}:
            question = f"Cancel {run.name}? What is not done will never be done."
            buttons.append(Button(text="Cancel", path=here("cancel"), confirm=question))
        if failed and run.status not in (RunStatus.CANCELLED, RunStatus.REMOVING, RunStatus.EXPANDING):
            buttons.append(Button(text="Try failed jobs again", path=here("retry")))
        if baseline_of:
            buttons.append(
                Button(text=f"No longer the baseline of {', '.join(baseline_of)}", path=here("clear-baseline"))
            )
        elif run.status is RunStatus.DONE and not pinned:
            buttons.append(Button(text="Make it the baseline", path=here("baseline")))
    if visit.visitor.can(Action.REMOVE) and not pinned and run.status in TERMINAL_RUNS | {RunStatus.REMOVING}:
        question = f"Delete {run.name} with its {run.jobs_total} jobs for good?"
        buttons.append(Button(text="Delete", path=here("remove"), confirm=question))
    return tuple(buttons)


ROUTES = (page("/runs/{name}", "run_page.html", RunPage, build_run),)
