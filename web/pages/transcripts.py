"""Transcripts: what was asked and answered, a page at a time, all models of a sequence beside each other."""

from __future__ import annotations

from dataclasses import dataclass

from nightjar.jobs.documents import Job, Run
from nightjar.jobs.lookup import find_run
from nightjar.jobs.states import JobKind, JobStatus
from nightjar.jobs.status.transcript import ShownScore, ShownTranscript, ShownTurn, read_transcripts
from nightjar.web.pages.declare import Visit, page
from nightjar.web.pages.words import run_address
from nightjar.web.sheet import Choice, Content, Field, Form, Link

EACH = 20
"""Conversations on a page."""


@dataclass(frozen=True, kw_only=True)
class ScoreLine:
    name: str
    shown: str
    bad: bool


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


@dataclass(frozen=True, kw_only=True)
class Talk:
    """One conversation."""

    id: str
    title: str
    state: str | None
    """What is wrong with it, or that it is not done; None where it is."""
    system: str | None
    turns: tuple[TurnShown, ...]


@dataclass(frozen=True, kw_only=True)
class TalksPage(Content):
    """A page of conversations, in the order of sequences, models, repeats."""

    about: str
    form: Form
    talks: tuple[Talk, ...]
    empty: str
    pages: tuple[Link, ...]


async def build_talks(visit: Visit) -> TalksPage:
    """`sequence`, `model` and `status` filter; `page` counts from 1."""
    run = await find_run(visit.path["name"], visit.site.database)
    sequence, model, status = visit.one("sequence"), visit.one("model"), visit.one("status")
    query = {"run": run.id, "kind": JobKind.REPLY} | ({"sequence": sequence} if sequence else {})
    query |= ({"model": model} if model else {}) | ({"status": status} if status in list(JobStatus) else {})
    at = max(1, int(visit.one("page", "1"))) if visit.one("page", "1").isdecimal() else 1
    found = Job.find(query).sort("+order", "+_id")
    total, jobs = await found.count(), await found.skip((at - 1) * EACH).limit(EACH).to_list()
    talks = await read_transcripts(run, jobs, visit.site.database)
    first = (at - 1) * EACH + 1
    return TalksPage(
        title=f"Transcripts of {run.name}",
        about=f"{first} to {first + len(talks) - 1} of {total}" if talks else f"None of {total}",
        form=_form(run, sequence, model, status),
        talks=tuple(map(_talk, talks)),
        empty="No conversation is like that." if sequence or model or status else "The run has no conversation yet.",
        pages=tuple(
            Link(text=text, href=_page_address(run, number, sequence, model, status))
            for text, number, there in (("Before", at - 1, at > 1), ("After", at + 1, at * EACH < total))
            if there
        ),
    )


def _page_address(run: Run, number: int, sequence: str, model: str, status: str) -> str:
    filters = {"sequence": sequence or None, "model": model or None, "status": status or None}
    return run_address(run.name, "transcripts", page=number, **filters)


def _form(run: Run, sequence: str, model: str, status: str) -> Form:
    def field(name: str, label: str, values: list[str], chosen: str) -> Field:
        choices = [Choice(value="", text="all", chosen=not chosen)]
        choices += [Choice(value=value, text=value, chosen=value == chosen) for value in values]
        return Field(name=name, label=label, choices=tuple(choices))

    return Form(
        path=run_address(run.name, "transcripts"),
        submit="Show",
        fields=(
            field("sequence", "Sequence", run.asked, sequence),
            field("model", "Model", [each.name for each in run.models], model),
            field("status", "Status", [str(each) for each in JobStatus], status),
        ),
    )


def _talk(talk: ShownTranscript) -> Talk:
    repeat = f", repeat {talk.repeat}" if talk.repeat > 1 else ""
    state = (
        None if talk.status is JobStatus.DONE else f"{talk.status}: {talk.reason}" if talk.reason else str(talk.status)
    )
    return Talk(
        id=talk.job,
        title=f"{talk.sequence} – {talk.contestant}{repeat}",
        state=state,
        system=talk.system,
        turns=tuple(map(_turn, talk.turns)),
    )


def _turn(turn: ShownTurn) -> TurnShown:
    return TurnShown(
        number=turn.number,
        prompt=turn.prompt,
        reasoning=turn.reasoning,
        reply=turn.reply,
        failure=turn.failure,
        facts=f"{turn.reply_tokens} tokens, {turn.finish_reason}",
        scores=tuple(_score(name, score, name in turn.checks) for name, score in sorted(turn.scores.items())),
    )


def _score(name: str, score: ShownScore, check: bool) -> ScoreLine:
    shown = score.reason or score.state if score.value is None else f"{score.value:g}"
    return ScoreLine(name=name, shown=shown, bad=check and score.value == 0)


ROUTES = (page("/runs/{name}/transcripts", "transcripts_page.html", TalksPage, build_talks),)
