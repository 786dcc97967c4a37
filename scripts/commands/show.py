"""`nightjar show`: what was asked and answered, all models beside each other."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

import typer

from nightjar.scripts.views.output import Json, emit_json

if TYPE_CHECKING:
    from nightjar.jobs.documents import Job, Run
    from nightjar.jobs.status.transcript import ShownTranscript
    from nightjar.jobs.variants import Contestant
    from nightjar.pipeline.report.data.run_report import RunReport
    from nightjar.pipeline.report.data.sequence_costs import SequenceCost
    from nightjar.scripts.session import Session
    from nightjar.scripts.views.show import ReplyMark

app = typer.Typer(add_completion=False)


@app.command(
    help="What was asked and answered in a run: one prompt, all models beside each other.\n\n"
    "Without --prompt it is the one on which the models differ most. The best and the worst reply are marked.\n\n"
    "Example: nightjar show nightly-2026-11-20 --prompt lighthouse"
)
def show(
    run: Annotated[str, typer.Argument(help="Name or id of the run; a running one is fine.")],
    prompt: Annotated[
        str | None, typer.Option("--prompt", "-p", help="A sequence of the suite by its id, or its number from 1.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="MODEL[+VARIANT]", help="Only its replies; with one variant or all."),
    ] = None,
    rendered: Annotated[
        bool, typer.Option("--rendered", help="Also each prompt as the model's own template wrote it.")
    ] = False,
    as_json: Json = False,
) -> None:
    from nightjar.scripts.session import run_async

    run_async(_show(run, prompt, model, rendered=rendered, as_json=as_json))


async def _show(name: str, prompt: str | None, model: str | None, *, rendered: bool, as_json: bool) -> None:
    from nightjar.jobs.lookup import find_run
    from nightjar.jobs.status.transcript import conversations, read_transcripts
    from nightjar.scripts.session import open_session
    from nightjar.scripts.views.show import print_transcripts

    async with open_session(reading=True) as session:
        run = await find_run(name, session.database)
        of = None if model is None else _named(run, model)
        report = await _compared(run, session)
        sequence, order = _chosen(run, prompt, report)
        marks = [] if report is None else _marks(report, sequence)
        jobs = await conversations(run, sequence, session.database, of=of)
        jobs.sort(key=lambda job: (job.repeat, order.index(job.contestant) if job.contestant in order else len(order)))
        transcripts = await read_transcripts(run, jobs, session.database)
        costs = await _costs(run, sequence, jobs, session)
        notes: list[str] = []
        if rendered:
            transcripts, notes = await _rendered(run, jobs, transcripts, session)
    if as_json:
        about = {"run": {"id": run.id, "name": run.name}, "prompt": sequence}
        rows = [asdict(each) | {"routed": each.routed and each.routed.model_dump(mode="json")} for each in transcripts]
        paid = [asdict(cost) for cost in costs]
        told = [asdict(mark) for mark in marks]
        emit_json({**about, "conversations": rows, "notes": notes, "marks": told, "costs": paid})
    else:
        print_transcripts(run, sequence, transcripts, notes, marks, costs)


async def _costs(run: Run, sequence: str, jobs: list[Job], session: Session) -> tuple[SequenceCost, ...]:
    """What these conversations cost at endpoints, and the verdicts on them."""
    from nightjar.jobs.money.job_spending import job_spending
    from nightjar.pipeline.report.data.sequence_costs import sequence_costs

    replies = {job.id: (sequence, job.contestant) for job in jobs}
    return sequence_costs(await job_spending(run.id, session.database, about=replies), replies, [sequence])


def _named(run: Run, name: str) -> list[Contestant]:
    """The contestant of that name, or the model's with all variants. Raises UnknownNameError."""
    from nightjar.config.errors import UnknownNameError

    contestants = run.contestants
    named = [contestant for contestant in contestants if name in (contestant.name, contestant.model)]
    if not named:
        models = [entry.name for entry in run.models]
        known = dict.fromkeys([*models, *(contestant.name for contestant in contestants)])
        raise UnknownNameError(f"model in run {run.name!r}", name, known)
    return named


async def _compared(run: Run, session: Session) -> RunReport | None:
    """What says which reply is better; None where there is only one contestant."""
    from nightjar.pipeline.collect.collector import collect

    return await collect(run.id, session.database) if len(run.contestants) > 1 else None


def _marks(report: RunReport, sequence: str) -> list[ReplyMark]:
    """The best and the worst reply of each turn, by the metric that the report leads with."""
    from nightjar.pipeline.report.data import numbers
    from nightjar.pipeline.report.data.side_by_side import turns_compared
    from nightjar.scripts.views.show import ReplyMark

    metric, scale = report.headline_of_parts, report.headline_scale
    if metric is None or scale is None:
        return []
    return [
        ReplyMark(
            contestant=reply.job.contestant,
            turn=compared.turn + 1,
            mark=mark,
            metric=metric,
            value=reply.value,
            shown=numbers.metric_value(reply.value, scale),
        )
        for compared in turns_compared(report, sequence)
        for reply in compared.replies
        if (mark := compared.mark(reply)) and reply.value is not None
    ]


def _chosen(run: Run, prompt: str | None, report: RunReport | None) -> tuple[str, list[str]]:
    """The sequence to show, and the contestants in the order to show them. Raises UnknownNameError."""
    from nightjar.config.errors import UnknownNameError
    from nightjar.pipeline.report.data.side_by_side import side_by_side

    names = [contestant.name for contestant in run.contestants]
    if prompt is None:
        found = None if report is None else side_by_side(report)
        if found is None:
            return run.asked[0], names
        return found.sequence, [reply.job.contestant for reply in found.replies]
    if prompt in run.asked:
        return prompt, names
    if prompt.isdecimal() and 1 <= int(prompt) <= len(run.asked):
        return run.asked[int(prompt) - 1], names
    there = f"The run has {len(run.asked)}; a number from 1 to {len(run.asked)} names one, too."
    raise UnknownNameError(f"prompt in run {run.name!r}", prompt, run.asked, there)


async def _rendered(
    run: Run, jobs: list[Job], transcripts: list[ShownTranscript], session: Session
) -> tuple[list[ShownTranscript], list[str]]:
    """With the prompts as the models read them, and why some cannot be known here."""
    import asyncio

    from nightjar.config.errors import NightjarError
    from nightjar.jobs.documents import SequenceDocument
    from nightjar.jobs.variants import varied
    from nightjar.jobs.withheld import WHY_WITHHELD
    from nightjar.scripts.rendering import render_prompts

    shown, notes = [], []
    for job, transcript in zip(jobs, transcripts, strict=True):
        document = await SequenceDocument.get(job.sequence_document)
        assert document is not None
        if document.sequence.withheld:
            notes.append(WHY_WITHHELD)
            shown.append(transcript)
            continue
        texts: list[str | None] = []
        try:
            sequence = varied(document.sequence, run.variant(job.variant))
            texts = await asyncio.to_thread(render_prompts, run, job, sequence, session.settings)
        except NightjarError as error:
            notes.append(f"{job.model}: its prompts can't be rendered here: {error}")
        if None in texts:
            notes.append(f"{job.model}: turn {texts.index(None) + 1} was written by another template or version.")
        turns = [replace(turn, rendered=text) for turn, text in zip(transcript.turns, texts, strict=False)]
        shown.append(replace(transcript, turns=(*turns, *transcript.turns[len(turns) :])))
    return shown, list(dict.fromkeys(notes))
