"""The turns of two runs beside each other, those alone whose replies differ if that is wanted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from nightjar.config.counting import how_many
from nightjar.jobs.documents import Job, Run
from nightjar.jobs.mongo import Database
from nightjar.jobs.records import TurnRecord
from nightjar.jobs.status.replies import ConversationKey, ConversationMark, conversation_marks, jobs_by_id
from nightjar.pipeline.compare.pair_names import pair_names
from nightjar.pipeline.compare.word_diff import DiffPiece, diff_words
from nightjar.pipeline.report.page.clip import Clip, clip

RunMarks = Mapping[str, Mapping[ConversationKey, ConversationMark]]
"""By contestant."""
LONGEST = 20_000
"""Characters of a text that are shown and compared."""


@dataclass(frozen=True, kw_only=True)
class TurnPair:
    """A turn (from 0) that at least one of two contestants has replied to; `jobs`: their conversations, if any."""

    names: tuple[str, str]
    repeat: int
    turn: int
    jobs: tuple[str | None, str | None]
    changed: bool
    """Their replies differ; a reply that is missing differs from every other."""


@dataclass(frozen=True, kw_only=True)
class TurnSide:
    """A turn of one run. `pieces`: its reply; empty, with what is said in its place, where there is none."""

    name: str
    facts: str
    pieces: tuple[DiffPiece, ...]


@dataclass(frozen=True, kw_only=True)
class TurnBeside:
    """The same turn of two runs. `prompts`: one where both were asked the same text."""

    title: str
    changed: bool
    prompts: tuple[str, ...]
    sides: tuple[TurnSide, TurnSide]


@dataclass(frozen=True, kw_only=True)
class TurnsBeside:
    """A page of them. `changed` and `total` count all that there are."""

    changed: int
    total: int
    turns: tuple[TurnBeside, ...]


async def read_turns_beside(
    base: Run, other: Run, database: Database, *, only_changed: bool, page: int, each: int
) -> TurnsBeside:
    """A page (from 1, of `each`) of the turns of sequences that both runs have, in the base's order."""
    marks = await conversation_marks(base, database), await conversation_marks(other, database)
    pairs = list(pair_turns(base, other, *marks))
    wanted = [pair for pair in pairs if pair.changed] if only_changed else pairs
    shown = wanted[(page - 1) * each : page * each]
    jobs = await jobs_by_id({job for pair in shown for job in pair.jobs if job is not None})
    return TurnsBeside(
        changed=sum(pair.changed for pair in pairs),
        total=len(pairs),
        turns=tuple(_beside(pair, (base, other), jobs) for pair in shown),
    )


def pair_turns(base: Run, other: Run, before: RunMarks, after: RunMarks) -> Iterator[TurnPair]:
    """The turns of contestants that are compared, of sequences that both runs have."""
    shared = {key[0] for marks in before.values() for key in marks}
    shared &= {key[0] for marks in after.values() for key in marks}
    names = [[contestant.name for contestant in run.contestants] for run in (base, other)]
    for pair in pair_names(*names, same_run=base.id == other.id):
        here, there = before.get(pair[0], {}), after.get(pair[1], {})
        for key in dict.fromkeys((*here, *there)):
            if key[0] in shared:
                yield from _conversation_pairs(pair, key[2], here.get(key), there.get(key))


def _conversation_pairs(
    names: tuple[str, str], repeat: int, before: ConversationMark | None, after: ConversationMark | None
) -> Iterator[TurnPair]:
    replies = [() if mark is None else mark.replies for mark in (before, after)]
    for turn, (one, two) in enumerate(zip_longest(*replies)):
        jobs = (None if before is None else before.job, None if after is None else after.job)
        yield TurnPair(names=names, repeat=repeat, turn=turn, jobs=jobs, changed=one != two)


def _beside(pair: TurnPair, runs: Sequence[Run], jobs: Mapping[str, Job]) -> TurnBeside:
    found = [None if job is None else jobs.get(job) for job in pair.jobs]
    turns = [None if job is None or len(job.turns) <= pair.turn else job.turns[pair.turn] for job in found]
    clips = [Clip(text="") if turn is None else clip(turn.draw.reply, LONGEST) for turn in turns]
    diff = diff_words(clips[0].text, clips[1].text)
    pieces = [diff.before, diff.after] if None not in turns else [_unmarked(each.text) for each in clips]
    sides = [
        TurnSide(name=f"{run.name}:{name}", facts=_facts(job, turn, text), pieces=parts)
        for run, name, job, turn, text, parts in zip(runs, pair.names, found, turns, clips, pieces, strict=True)
    ]
    sequence = next((job.sequence for job in found if job is not None), "")
    repeat = f", repeat {pair.repeat + 1}" if pair.repeat else ""
    return TurnBeside(
        title=f"{sequence}, turn {pair.turn + 1}{repeat}",
        changed=pair.changed,
        prompts=tuple(dict.fromkeys(clip(turn.prompt, LONGEST).text for turn in turns if turn is not None)),
        sides=(sides[0], sides[1]),
    )


def _unmarked(text: str) -> tuple[DiffPiece, ...]:
    return (DiffPiece(text=text, changed=False),) if text else ()


def _facts(job: Job | None, turn: TurnRecord | None, shown: Clip) -> str:
    """How the turn ended, or why there is none."""
    if job is None:
        return "not asked"
    if turn is None:
        return f"no reply, {job.status}" + (f": {job.reason}" if job.reason else "")
    more = f"; {shown.left:,} more characters are in its transcript" if shown.left else ""
    return f"{how_many(turn.draw.reply_tokens, 'token')}, {turn.draw.finish_reason}{more}"
