"""What a report says of its run's judgings: which one it shows, and what became of one that is not complete. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nightjar.jobs.judgings import Judging, JudgingStatus, RunJudging
from nightjar.pipeline.judging.results import VerdictCounts
from nightjar.pipeline.report.data.notice import Notice


def not_complete(judging: RunJudging) -> list[Judging]:
    """The judgings of which it is said how far they came: the shown one, and the last where that is another.

    One that the run was enqueued with and that is open is part of the run, whose report is partial anyhow.
    """
    last = judging.passes[-1] if judging.passes else None
    told = {one.number: one for one in (judging.current, last) if one is not None}
    return [one for one in told.values() if one.status is not JudgingStatus.COMPLETE and not _of_the_run(one)]


def _of_the_run(judging: Judging) -> bool:
    return judging.status is JudgingStatus.OPEN and judging.begun_at is None


def judging_notices(run: str, judging: RunJudging, counts: Mapping[int, VerdictCounts]) -> Iterator[Notice]:
    """`counts`: how far the judgings of `not_complete` came."""
    for one in not_complete(judging):
        yield _unfinished(run, one, judging, counts[one.number])
    shown = judging.current
    if shown is not None and len(judging.passes) > 1:
        others = [str(one.number) for one in judging.passes if one is not shown]
        text = f"Judges' scores are those of judging {shown.number}, by {', '.join(shown.judges)}. "
        text += f"`nightjar report {run} --judging {others[-1]}` shows another one."
        yield Notice(level="info", text=text)


def _unfinished(run: str, one: Judging, judging: RunJudging, counts: VerdictCounts) -> Notice:
    who = ", ".join(one.judges)
    so_far = f"{counts.given} of {counts.asked} verdicts"
    become = {
        JudgingStatus.OPEN: f"is under way, with {so_far} so far",
        JudgingStatus.FAILED: f"failed: {one.reason}",
    }.get(one.status, f"was cancelled after {so_far}")
    text = f"Judging {one.number}, by {who}, {become}."
    if one is judging.current:
        return Notice(level="warning", text=f"{text} These are its verdicts so far.")
    again = " ".join(f"--judge {judge}" for judge in one.judges)
    instead = "The replies are not judged here" if judging.shown is None else f"Judging {judging.shown} is shown"
    remedy = f"`nightjar report {run} --judging {one.number}` shows what there is of it"
    if one.status is not JudgingStatus.OPEN:
        remedy += f", `nightjar judge {run} {again}` goes on with it"
    return Notice(level="info" if one.status is JudgingStatus.OPEN else "warning", text=f"{text} {instead}; {remedy}.")
