"""Reading what is judged: a run's finished replies, and pairs of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from nightjar.jobs.documents import Run, SequenceDocument
from nightjar.jobs.mongo import Database
from nightjar.jobs.published import published
from nightjar.jobs.records import FAULTS
from nightjar.jobs.routing.routed import asked_as
from nightjar.jobs.sequences import Mode
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.jobs.states import JobKind, JobStatus
from nightjar.jobs.variants import contestant_name
from nightjar.pipeline.judging.judged import JudgedJob, JudgedPair, judged_pairs
from nightjar.pipeline.judging.panel import Panel, seat
from nightjar.pipeline.judging.prompts import JudgedTurn
from nightjar.pipeline.judging.rubric import Rubric

BATCH_JOBS = 50
_OUTLINE = "model routed.asked_as variant sequence sequence_document repeat tags turns.index turns.chain " + " ".join(
    f"turns.draws.{fault}" for fault in FAULTS
)
_TEXTS = "turns.prompt turns.draws.reply"
_GROUPED = dict.fromkeys("model routed.asked_as variant sequence_digest repeat".split(), 1)


async def panel_of(
    run: Run, judges: Iterable[str], database: Database, *, self_judging: bool, against: Run | None = None
) -> Panel:
    """Which judge may judge which model: by name, and by file if the files are known."""
    judges = tuple(judges)
    files: dict[str, set[str]] = {}
    candidates: dict[str, list[str]] = {}
    for model in chain(run.models, against.models if against else ()):
        files.setdefault(model.name, set()).update([model.digest] if model.digest else [])
        if model.policy is not None:
            candidates.setdefault(model.name, []).extend(model.policy.candidates)
    known = await known_files(run, [*judges, *files, *chain(*candidates.values())], database)
    for name, answering in candidates.items():
        files[name].update(known[candidate] for candidate in answering if candidate in known)
    models = {name: frozenset(digests or ([known[name]] if name in known else [])) for name, digests in files.items()}
    return seat(judges, models, {name: known[name] for name in judges if name in known}, self_judging=self_judging)


async def known_files(run: Run, names: Iterable[str], database: Database) -> dict[str, str]:
    """Model name -> digest of its file: the one that the run has fixed, else the published one."""
    names = list(names)
    digests = {name: model.facts.digest for name, model in (await published(names, database)).items()}
    fixed = {model.name: model.digest for model in chain(run.helpers, run.models) if model.digest is not None}
    return digests | {name: fixed[name] for name in names if name in fixed}


class JudgedReader:
    """Turns raw documents into judged jobs; each sequence is read only once."""

    def __init__(self, database: Database, *, texts: bool = True) -> None:
        self._database = database
        self._fields = dict.fromkeys((f"{_OUTLINE} {_TEXTS}" if texts else _OUTLINE).split(), 1)
        self._sequences: dict[str, PromptSequence] = {}

    async def batches(self, run: str) -> AsyncIterator[list[JudgedJob]]:
        """DONE reply jobs in the run's order."""
        cursor = self._database.jobs.find(_done(run), self._fields).sort("order", 1)
        while raws := await cursor.to_list(BATCH_JOBS):
            yield await self._made(raws)

    async def of_sequences(self, run: str, sequences: Sequence[str]) -> list[JudgedJob]:
        """DONE reply jobs of these sequences."""
        query = {**_done(run), "sequence": {"$in": list(sequences)}}
        return await self._made(await self._database.jobs.find(query, self._fields).sort("order", 1).to_list())

    async def pairs(self, run: Run, rubric: Rubric, against: Run | None) -> AsyncIterator[list[JudgedPair]]:
        """The pairs of a run: its models with each other, or with those of another run, prompt by prompt."""
        groups = await self._groups(run)
        others = await self._groups(against) if against else {}
        waiting: list[tuple[list[str], list[str]]] = []
        for key, jobs in groups.items():
            waiting.append((jobs, others.get(key, [])))
            if sum(len(here) + len(there) for here, there in waiting) >= BATCH_JOBS:
                yield await self._paired(waiting, rubric, against)
                waiting = []
        if waiting:
            yield await self._paired(waiting, rubric, against)

    async def _groups(self, run: Run) -> dict[tuple[str, int], list[str]]:
        """(sequence digest, repeat) -> ids of its DONE jobs, in the order of the run's contestants."""
        place = {contestant.name: at for at, contestant in enumerate(run.contestants)}
        rows = await self._database.jobs.find(_done(run.id), _GROUPED).to_list()
        groups: dict[tuple[str, int], list[str]] = {}
        for row in sorted(
            rows, key=lambda row: (row["sequence_digest"], row["repeat"], place.get(_contestant(row), 0))
        ):
            groups.setdefault((row["sequence_digest"], row["repeat"]), []).append(row["_id"])
        return groups

    async def _paired(
        self, groups: Sequence[tuple[list[str], list[str]]], rubric: Rubric, against: Run | None
    ) -> list[JudgedPair]:
        ids = [identity for here, there in groups for identity in (*here, *there)]
        raws = await self._database.jobs.find({"_id": {"$in": ids}}, self._fields).to_list()
        jobs = {job.id: job for job in await self._made(raws)}
        pairs: list[JudgedPair] = []
        for here, there in groups:
            mine, theirs = [jobs[identity] for identity in here], [jobs[identity] for identity in there]
            for at, job in enumerate(mine):
                seconds = opponents(job, theirs, against) if against else mine[at + 1 :]
                pairs += judged_pairs([job], seconds, rubric)
        return pairs

    async def _made(self, raws: Sequence[Mapping[str, Any]]) -> list[JudgedJob]:
        wanted = list({raw["sequence_document"] for raw in raws} - self._sequences.keys())
        if wanted:
            documents = await SequenceDocument.find({"_id": {"$in": wanted}}).to_list()
            self._sequences |= {document.id: document.sequence for document in documents}
        return [_judged_job(raw, self._sequences.get(raw["sequence_document"])) for raw in raws]


def opponents(job: JudgedJob, others: Sequence[JudgedJob], run: Run) -> list[JudgedJob]:
    """What a job is compared with in another run: the same contestant there or, if it has only one, that one."""
    same = [other for other in others if other.contestant == job.contestant]
    return same or (list(others) if len(run.contestants) == 1 else [])


def _done(run: str) -> dict[str, Any]:
    return {"run": run, "kind": JobKind.REPLY, "status": JobStatus.DONE}


def _contestant(raw: Mapping[str, Any]) -> str:
    return contestant_name(asked_as(raw), raw.get("variant"))


def _prompt(turn: Mapping[str, Any], raw: Mapping[str, Any], sequence: PromptSequence | None) -> str:
    """What the judge is told was asked. All variants of a model are held to one yardstick: the suite's own prompt."""
    if raw.get("variant") is None or sequence is None or "prompt" not in turn:
        return str(turn.get("prompt", ""))
    return sequence.prompt_text(turn["index"])


def _judged_job(raw: Mapping[str, Any], sequence: PromptSequence | None) -> JudgedJob:
    """A judge sees what the suite puts first, and not the variant's system prompt, which would tell it who replied."""
    turns = raw["turns"]
    return JudgedJob(
        id=raw["_id"],
        model=asked_as(raw),
        variant=raw.get("variant"),
        sequence=raw["sequence"],
        repeat=raw["repeat"],
        tags=tuple(raw["tags"]),
        system=sequence.opening if sequence is not None else None,
        independent=sequence is not None and sequence.mode is Mode.INDEPENDENT,
        turns=tuple(
            JudgedTurn(
                index=turn["index"],
                prompt=_prompt(turn, raw, sequence),
                reply=turn["draws"][0].get("reply", ""),
                chain=turn["chain"],
                reference=sequence.turns[turn["index"]].reference if sequence is not None else None,
            )
            for turn in turns
        ),
        failures=frozenset(turn["index"] for turn in turns if any(turn["draws"][0].get(fault) for fault in FAULTS)),
    )
