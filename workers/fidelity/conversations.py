"""A run's stored conversations as passages: its prompts rebuilt as their model read them, its replies by their ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nightjar.config.errors import ModelFileError, UsageError
from nightjar.jobs.documents import Job, Run, RunModel, SequenceDocument
from nightjar.jobs.mongo import Database
from nightjar.jobs.reading import read_each
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.jobs.states import JobKind
from nightjar.jobs.variants import varied
from nightjar.workers.conversation.plan import rebuilt
from nightjar.workers.conversation.prompts import open_conversation
from nightjar.workers.conversation.template_process import RendererProcess
from nightjar.workers.conversation.templates import ChatTemplate
from nightjar.workers.engine.request import Tokenizer
from nightjar.workers.fidelity.loads import FidelityLoad
from nightjar.workers.fidelity.passages import Passage, conversation_passages


@dataclass(frozen=True, kw_only=True)
class StoredJobs:
    """What is in the database of one model's conversations in a run."""

    run: Run
    model: RunModel
    load: FidelityLoad
    """The load whose file they were made with."""
    jobs: Sequence[Job]
    sequences: Mapping[str, PromptSequence]
    """By the id of their document."""


@dataclass(frozen=True, kw_only=True)
class ReadConversations:
    """Passages, and how many turns could not be used, by reason."""

    passages: tuple[Passage, ...]
    jobs: tuple[str, ...]
    """Of each passage, the id of the job that it is a conversation of."""
    names: tuple[str, ...]
    """Of the texts: sequences' ids."""
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class MarkTexts:
    """What the template writes for the model's BOS and EOS."""

    bos: str
    eos: str


def whose_conversations(run: Run, loads: Sequence[FidelityLoad]) -> tuple[RunModel, FidelityLoad]:
    """The first of the loads (the reference, then the candidates) whose file took part in the run: its replies are what
    all loads read. Raises UsageError where none did."""
    for load in loads:
        for model in run.models:
            if model.digest is not None and model.digest == load.facts.digest:
                return model, load
    names = ", ".join(model.name for model in run.models)
    raise UsageError(
        f"None of {', '.join(load.label for load in loads)} took part in run {run.name!r} with the same file, so that "
        f"its token ids mean nothing to them. It has replies of {names}: name one of those as the reference or a "
        "candidate, or measure on a text: --text FILE."
    )


async def stored_jobs(run: Run, loads: Sequence[FidelityLoad], limit: int | None, database: Database) -> StoredJobs:
    """The conversations that have a turn, at most `limit`, in the run's order.

    Raises UsageError for a run without transcripts, or without any load's file.
    """
    if run.transcripts_dropped_at is not None:
        raise UsageError(
            f"The transcripts of run {run.name!r} were dropped on {run.transcripts_dropped_at:%Y-%m-%d}, as retention "
            "asks for: there is nothing left to read. Name another run, or measure on a text: --text FILE."
        )
    model, load = whose_conversations(run, loads)
    query = {
        "run": run.id,
        "kind": JobKind.REPLY.value,
        "model": model.name,
        "routed": None,
        "turns_committed": {"$gt": 0},
    }
    jobs = sorted(await read_each(Job, query, database), key=lambda job: job.order)[:limit]
    if not jobs:
        raise UsageError(
            f"Run {run.name!r} has no replies of {model.name} yet. Wait for it (`nightjar run wait {run.name}`), or "
            "measure on a text: --text FILE."
        )
    return await with_sequences(run, model, load, jobs, database)


async def with_sequences(
    run: Run, model: RunModel, load: FidelityLoad, jobs: Sequence[Job], database: Database
) -> StoredJobs:
    """The conversations of these jobs of one model, with what they asked."""
    documents = {job.sequence_document for job in jobs}
    found = await read_each(SequenceDocument, {"_id": {"$in": sorted(documents)}}, database)
    return StoredJobs(run=run, model=model, load=load, jobs=jobs, sequences={each.id: each.sequence for each in found})


def read_conversations(
    stored: StoredJobs, tokenizer: Tokenizer, chat_template: str | None, marks: MarkTexts
) -> ReadConversations:
    """Renders the prompts again and takes those whose ids are the recorded ones. A sequence is one text, whatever its
    repeats and variants. Raises ModelFileError, TemplateError."""
    run, entry = stored.run, stored.load.entry
    if not stored.model.loads:
        raise ModelFileError(f"Run {run.name!r} does not say with which context {stored.model.name} was loaded.")
    source = entry.template or chat_template
    passages: list[Passage] = []
    owners: list[str] = []
    numbers: dict[str, int] = {}
    left_out: Counter[str] = Counter()
    with RendererProcess() as renderer:
        template = source and ChatTemplate(
            source,
            bos_text=marks.bos,
            eos_text=marks.eos,
            date=run.date,
            system=entry.system,
            reasoning=entry.reasoning,
            renderer=renderer,
        )
        for job in stored.jobs:
            sequence = stored.sequences.get(job.sequence_document)
            if sequence is None:
                left_out["the sequence's document is gone"] += len(job.turns)
                continue
            conversation = open_conversation(
                varied(sequence, run.variant(job.variant)),
                template=template or None,
                tokenizer=tokenizer,
                context=stored.model.loads[-1].context,
                bos_text=marks.bos,
            )
            plans = list(rebuilt(conversation, job.turns))
            left_out["its prompt could not be rebuilt as it was"] += len(job.turns) - len(plans)
            number = numbers.setdefault(job.sequence, len(numbers))
            passages += conversation_passages(plans, job.turns, text=number)
            owners += [job.id] * (len(passages) - len(owners))
    if not passages:
        raise UsageError(
            f"None of the replies of {stored.model.name} in run {run.name!r} can be read again: "
            f"{'; '.join(reason for reason, count in left_out.items() if count) or 'they are empty'}. "
            "Measure on a text: --text FILE."
        )
    return ReadConversations(
        passages=tuple(passages),
        jobs=tuple(owners),
        names=tuple(numbers),
        left_out={reason: count for reason, count in left_out.items() if count},
    )
