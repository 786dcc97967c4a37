"""One job: its attempts with their reasons, and what its model was asked and wrote, as it was."""

from __future__ import annotations

from dataclasses import dataclass

from nightjar.config.errors import NightjarError, UnknownNameError
from nightjar.jobs.documents import Job, Run
from nightjar.jobs.lookup import find_run
from nightjar.jobs.states import JobKind, JobStatus
from nightjar.jobs.status.attempts import TroubledJob
from nightjar.jobs.status.job import AttemptView, JobDetail, describe_job
from nightjar.pipeline.report.data.numbers import ABSENT
from nightjar.pipeline.report.page.grid import Cell, Table
from nightjar.web.heavy.pool import PATIENCE_S
from nightjar.web.pages.declare import Visit, page
from nightjar.web.pages.words import duration, linked, made_table, run_address, whole_number
from nightjar.web.prompts import PromptQuestion, RenderedPrompts
from nightjar.web.sheet import Link, NamedFact, Said, Section, Sheet, named_facts

RENDERING = "The prompts are being rendered; the page shows them as soon as they are there."
ELSEWHERE = "Prompts as the model read them: `nightjar show {run} --prompt {sequence} --rendered`."
UNKNOWN = "(What the model read is not known here; this is the message alone.)\n\n"


@dataclass(frozen=True, kw_only=True)
class RawTurn:
    """A turn as it went to the model and came back. `reply` None: it is being written."""

    number: int
    request: str
    reply: str | None
    facts: str


@dataclass(frozen=True, kw_only=True)
class JobPage(Sheet):
    """The sheet, and below it the turns."""

    turns: tuple[RawTurn, ...]


async def build_job(visit: Visit) -> JobPage:
    """What `nightjar run show --job` and `show --rendered` say."""
    database = visit.site.database
    run = await find_run(visit.path["name"], database)
    job = await Job.find_one({"_id": visit.path["job"], "run": run.id})
    if job is None:
        raise UnknownNameError("job", visit.path["job"], (), f"Run {run.name!r} has none of that id.")
    detail = await describe_job(job, database)
    prompts, said = await _prompts(run, job, visit)
    links = [Link(text="The run", href=run_address(run.name))]
    if job.kind is JobKind.REPLY:
        links.append(Link(text="Transcripts", href=run_address(run.name, "transcripts", sequence=job.sequence)))
    if job.kind is JobKind.REPLY and job.status is JobStatus.RUNNING:
        links.append(Link(text="Watch its text", href=run_address(run.name, watch=job.id)))
    return JobPage(
        title=job_title(job.sequence, job.contestant, job.repeat, job.kind),
        live=job.status in (JobStatus.PENDING, JobStatus.RUNNING) or any(each.text == RENDERING for each in said),
        run=run.name,
        said=said,
        links=tuple(links),
        sections=(
            Section(id="facts", heading="The job", facts=_facts(job, detail)),
            Section(id="attempts", heading="Attempts", table=_attempts(detail), empty="Nobody has begun it yet."),
            Section(id="crashes", heading="Crashes of its workers", table=_crashes(detail), empty="None."),
        ),
        turns=_turns(job, prompts),
    )


def job_title(sequence: str, contestant: str, repeat: int, kind: JobKind) -> str:
    """Whose conversation about what it is; of helpers' jobs, what they do."""
    again = f", repeat {repeat + 1}" if repeat else ""
    what = "" if kind is JobKind.REPLY else f", {kind}"
    return f"{sequence} – {contestant}{again}{what}"


async def _prompts(run: Run, job: Job, visit: Visit) -> tuple[RenderedPrompts | None, tuple[Said, ...]]:
    if job.kind is not JobKind.REPLY or not (job.turns or job.status is JobStatus.RUNNING):
        return None, ()
    if visit.site.prompts is None:
        return None, (Said(text=ELSEWHERE.format(run=run.name, sequence=job.sequence)),)
    asked = PromptQuestion(
        run=run.id,
        sequence=job.sequence,
        contestant=job.contestant,
        job=job.id,
        fence=job.fence,
        turns=len(job.turns),
    )
    try:
        prompts = await visit.site.prompts.look(asked, PATIENCE_S)
    except NightjarError as error:
        return None, (Said(text=str(error), level="warning"),)
    if prompts is None:
        return None, (Said(text=RENDERING),)
    return prompts, tuple(Said(text=note, level="warning") for note in prompts.notes)


def _facts(job: Job, detail: JobDetail) -> tuple[NamedFact, ...]:
    facts = {
        "Status": f"{job.status}{f': {job.reason}' if job.reason else ''}",
        "Turns": f"{job.turns_committed} of {job.turns_total}",
        "Failed tries": whole_number(job.tries),
        "Lost leases": whole_number(job.lapses),
        "Crashes": whole_number(job.crashes),
        "Worker": job.owner or ABSENT,
    }
    if job.status is JobStatus.PENDING:
        facts["Not before"] = _when(detail.due_at)
    return named_facts(facts)


def _when(text: str) -> str:
    return f"{text[:19].replace('T', ' ')} UTC"


def _attempts(detail: JobDetail) -> Table | None:
    columns = ("attempt", "worker", "began", "waited>", "lasted>", "turns>", "ended", "why")
    return made_table("job-attempts", columns, map(_attempt, detail.attempts))


def _attempt(attempt: AttemptView) -> tuple[Cell | str, ...]:
    return (
        str(attempt.fence),
        Cell(text=attempt.worker, note=attempt.host),
        _when(attempt.started_at),
        duration(attempt.waited_s),
        duration(attempt.lasted_s),
        whole_number(attempt.turns_committed),
        attempt.end or "under way",
        Cell(text=attempt.error or ABSENT, alert=attempt.error is not None),
    )


def _crashes(detail: JobDetail) -> Table | None:
    rows = ((crash.worker, _when(crash.at), crash.reason, whole_number(crash.jobs_in_hand)) for crash in detail.crashes)
    return made_table("job-crashes", ("worker", "at", "why", "jobs in hand>"), rows)


def _turns(job: Job, prompts: RenderedPrompts | None) -> tuple[RawTurn, ...]:
    texts = () if prompts is None else prompts.texts
    turns = [
        RawTurn(
            number=turn.index + 1,
            request=(texts[turn.index] if turn.index < len(texts) else None) or f"{UNKNOWN}{turn.prompt}",
            reply=turn.draw.raw_text,
            facts=f"{turn.prompt_tokens} tokens in, {turn.draw.reply_tokens} out, {turn.draw.finish_reason}",
        )
        for turn in job.turns
    ]
    if prompts is not None and prompts.under_way is not None:
        facts = "it is being replied to"
        turns.append(RawTurn(number=len(turns) + 1, request=prompts.under_way, reply=None, facts=facts))
    return tuple(turns)


def troubled_rows(run: str, jobs: list[TroubledJob]) -> Table | None:
    """A line a job that failed or was tried again, which leads to its page; None where there is none."""
    columns = ("conversation", "status", "attempts>", "how they ended", "why")
    return made_table("troubled-jobs", columns, (_troubled_row(run, job) for job in jobs))


def _troubled_row(run: str, job: TroubledJob) -> tuple[Cell | str, ...]:
    ends = ", ".join(str(attempt.end or "under way") for attempt in job.attempts)
    errors = [attempt.error for attempt in job.attempts if attempt.error]
    why = job.reason or (errors[-1] if errors else ABSENT)
    title = job_title(job.sequence, job.contestant, job.repeat, job.kind)
    failed = job.status is JobStatus.DEAD
    return (
        linked(title, run_address(run, "jobs", job.id)),
        Cell(text=job.status, alert=failed),
        whole_number(len(job.attempts)),
        ends or ABSENT,
        why,
    )


ROUTES = (page("/runs/{name}/jobs/{job}", "job_page.html", JobPage, build_job),)
