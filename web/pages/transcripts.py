"""Transcripts: what was asked and answered, a page at a time, all models of a sequence beside each other."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from nightjar.config.errors import UsageError
from nightjar.jobs.documents import Job, Run
from nightjar.jobs.labels import label_job
from nightjar.jobs.lookup import find_run
from nightjar.jobs.routing.routed import JobRoute
from nightjar.jobs.states import JobStatus
from nightjar.jobs.status.replies import job_ids, jobs_by_id
from nightjar.jobs.status.transcript import ShownScore, ShownTranscript, ShownTurn, read_transcripts, scorers_of
from nightjar.web.auth.roles import Action
from nightjar.web.pages.declare import Done, Visit, page, post_action
from nightjar.web.pages.talk_filter import TalkFilter, filter_form
from nightjar.web.pages.words import run_address
from nightjar.web.sheet import Content, Form, Link

EACH = 20
"""Conversations on a page."""
LABEL = re.compile(r"[\w][\w .-]{0,39}")


@dataclass(frozen=True, kw_only=True)
class ScoreLine:
    """`reason`: what the scorer or judge said; "" where it said nothing."""

    name: str
    shown: str
    reason: str
    bad: bool


@dataclass(frozen=True, kw_only=True)
class ParameterLine:
    """The parameters of one layer, such as suite, in words."""

    source: str
    values: str


@dataclass(frozen=True, kw_only=True)
class TurnShown:
    number: int
    prompt: str
    reasoning: str
    reply: str
    failure: str | None
    facts: str
    """How it finished and how long it is, in words."""
    scores: tuple[ScoreLine, ...]
    parameters_said: str
    """What stands over the parameters."""
    parameters: tuple[ParameterLine, ...]
    """The strongest layer first."""


@dataclass(frozen=True, kw_only=True)
class Talk:
    """One conversation."""

    id: str
    title: str
    state: str | None
    """What is wrong with it, or that it is not done; None where it is."""
    system: str | None
    turns: tuple[TurnShown, ...]
    labels: tuple[str, ...]
    label_path: str
    raw_path: str
    """Its page with what was sent to the model, as it was."""


@dataclass(frozen=True, kw_only=True)
class TalksPage(Content):
    """A page of conversations, in the order of sequences, models, repeats.

    `groups`: those of two models that were chosen stand side by side.
    """

    about: str
    form: Form
    groups: tuple[tuple[Talk, ...], ...]
    empty: str
    pages: tuple[Link, ...]
    may_label: bool = False


async def build_talks(visit: Visit) -> TalksPage:
    """Filters are in the address (`TalkFilter`); `page` counts from 1."""
    database = visit.site.database
    run = await find_run(visit.path["name"], database)
    wanted = TalkFilter.of(visit)
    at = page_number(visit.one("page"))
    order = ("sequence", "repeat", "routed.asked_as", "model", "_id") if wanted.beside else ("order", "_id")
    ids = await job_ids(await wanted.query(run, database), order, database)
    total, shown = len(ids), ids[(at - 1) * EACH : at * EACH]
    by_id = await jobs_by_id(shown)
    jobs = [by_id[id_] for id_ in shown if id_ in by_id]
    labels = {job.id: tuple(job.labels) for job in jobs}
    talks = [_talk(talk, run, labels[talk.job]) for talk in await read_transcripts(run, jobs, database)]
    first = (at - 1) * EACH + 1
    scorers = await scorers_of(run, database)
    return TalksPage(
        title=f"Transcripts of {run.name}",
        about=f"{first} to {first + len(talks) - 1} of {total}" if talks else f"None of {total}",
        form=filter_form(run, wanted, scorers),
        groups=_beside(jobs, talks) if wanted.beside else tuple((talk,) for talk in talks),
        empty="No conversation is like that." if wanted.given else "The run has no conversation yet.",
        pages=tuple(
            Link(text=text, href=run_address(run.name, "transcripts", page=number, **wanted.address()))
            for text, number, there in (("Before", at - 1, at > 1), ("After", at + 1, at * EACH < total))
            if there
        ),
        may_label=visit.visitor.can(Action.RUN),
    )


def page_number(text: str) -> int:
    """From 1; what is no number, or none that a page can have, is the first."""
    return max(1, int(text)) if re.fullmatch("[0-9]{1,9}", text) else 1


def _beside(jobs: list[Job], talks: list[Talk]) -> tuple[tuple[Talk, ...], ...]:
    """Conversations about the same sequence and repeat together."""
    groups: dict[tuple[str, int], list[Talk]] = {}
    for job, talk in zip(jobs, talks, strict=True):
        groups.setdefault((job.sequence, job.repeat), []).append(talk)
    return tuple(map(tuple, groups.values()))


async def _label(visit: Visit) -> Done:
    """Puts a label on a conversation, or takes it off."""
    run = await find_run(visit.path["name"], visit.site.database)
    text = visit.one("label")
    if not LABEL.fullmatch(text):
        raise UsageError("A label has at most 40 letters, digits, spaces, '.', '_' and '-'.")
    job = visit.path["job"]
    put = await label_job(run.id, job, text, visit.site.database)
    return Done(said=f"Labelled {text}." if put else f"The label {text} is off.", about=run.name, details={"job": job})


def _talk(talk: ShownTranscript, run: Run, labels: tuple[str, ...]) -> Talk:
    repeat = f", repeat {talk.repeat}" if talk.repeat > 1 else ""
    state = (
        None if talk.status is JobStatus.DONE else f"{talk.status}: {talk.reason}" if talk.reason else str(talk.status)
    )
    return Talk(
        id=talk.job,
        title=f"{talk.sequence} – {talk.contestant}{repeat}",
        state=state,
        system=talk.system,
        turns=tuple(_turn(turn, talk.routed) for turn in talk.turns),
        labels=labels,
        label_path=run_address(run.name, "jobs", talk.job, "label"),
        raw_path=run_address(run.name, "jobs", talk.job),
    )


def _turn(turn: ShownTurn, routed: JobRoute | None) -> TurnShown:
    facts = "natural logarithms" if turn.given_texts else f"{turn.reply_tokens} tokens, {turn.finish_reason}"
    if routed is not None:
        facts += f"; answered by {routed.who(turn.number - 1)}: {routed.words}"
    return TurnShown(
        number=turn.number,
        prompt=turn.prompt,
        reasoning=turn.reasoning,
        reply="\n".join(given.words for given in turn.given_texts) or turn.reply,
        failure=turn.failure,
        facts=facts,
        scores=tuple(_score(name, score, name in turn.checks) for name, score in sorted(turn.scores.items())),
        parameters_said="Parameters" if turn.given_texts or turn.seed is None else f"Parameters, seed {turn.seed}",
        parameters=_parameters(turn),
    )


def _parameters(turn: ShownTurn) -> tuple[ParameterLine, ...]:
    lines: dict[str, list[str]] = {}
    for each in turn.parameters:
        lines.setdefault(each.source, []).append(f"{each.name} {json.dumps(each.value, ensure_ascii=False)}")
    return tuple(ParameterLine(source=source, values=", ".join(values)) for source, values in lines.items())


def _score(name: str, score: ShownScore, check: bool) -> ScoreLine:
    shown = score.state if score.value is None else f"{score.value:g}"
    return ScoreLine(name=name, shown=shown, reason=score.reason or "", bad=check and score.value == 0)


ROUTES = (
    page("/runs/{name}/transcripts", "transcripts_page.html", TalksPage, build_talks),
    post_action("/runs/{name}/jobs/{job}/label", Action.RUN, _label),
)
