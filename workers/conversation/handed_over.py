"""A conversation that another model began: its turns as texts, since token ids mean nothing to others. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nightjar.jobs.records import Draw, TurnRecord

if TYPE_CHECKING:
    from nightjar.jobs.documents import Job


def taken_over(job: Job) -> Job:
    """The job as the candidate that has it now goes on with it. Reasoning of the others is left out of their turns."""
    if job.routed is None or not job.routed.fell_back or not job.turns:
        return job
    others = {turn.index for turn in job.turns if job.routed.who(turn.index) != job.model}
    turns = [_as_text(turn) if turn.index in others else turn for turn in job.turns]
    return job.model_copy(update={"turns": turns})


def _as_text(turn: TurnRecord) -> TurnRecord:
    return turn.model_copy(update={"draws": tuple(_said(draw) for draw in turn.draws)})


def _said(draw: Draw) -> Draw:
    return draw.model_copy(
        update={"reply_ids": None, "reported_tokens": draw.reply_tokens, "raw_text": draw.reply, "stop_string": None}
    )
