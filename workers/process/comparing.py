"""FIDELITY jobs: the worker's model beside a reference, both loaded for it, on conversations of the run."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from nightjar.config.errors import ModelError, UnknownNameError
from nightjar.config.settings import Settings
from nightjar.jobs.documents import Job, Run
from nightjar.jobs.fidelity import LoadedSide
from nightjar.jobs.fidelity_results import FidelityResultPart, MeasuredConversation
from nightjar.jobs.models import ModelFacts
from nightjar.jobs.mongo import Database
from nightjar.jobs.patience import patiently
from nightjar.jobs.reading import read_each
from nightjar.jobs.runs.model_files import fix_file
from nightjar.workers.engine.device import this_device
from nightjar.workers.fidelity.comparison import Compared, LoadComparison, passages_digest, vocabularies
from nightjar.workers.fidelity.conversations import (
    MarkTexts,
    ReadConversations,
    StoredJobs,
    read_conversations,
    with_sequences,
)
from nightjar.workers.fidelity.loads import FidelityLoad
from nightjar.workers.fidelity.passages import Passage
from nightjar.workers.library.find import ModelEntry, find_model
from nightjar.workers.library.inspect import entry_facts

SEED = 1
"""Of what is drawn where the two do not fit together: the same for a whole run."""


class JobComparer:
    """Compares one job after the other (`alone`): each loads two models beside the one that is served."""

    def __init__(
        self, entry: ModelEntry, facts: ModelFacts, gpu: str | None, settings: Settings, database: Database
    ) -> None:
        """`entry`: the worker's model as it is loaded."""
        self._entry = entry
        self._facts = facts
        self._gpu = gpu
        self._settings = settings
        self._database = database
        self.alone = asyncio.Lock()
        """Held by the one job that is at it: others wait without a slot."""

    async def compare(self, job: Job) -> dict[str, Any]:
        """What the job asks, as its document holds it. Raises UsageError, ModelError, UnknownNameError, HubError."""
        payload = job.payload or {}
        run = await patiently(lambda: Run.get(job.run))
        if run is None:
            raise ModelError(f"The run of job {job.id} is gone.")
        candidate = FidelityLoad(label=job.model, entry=self._entry, facts=self._facts)
        path = run.fidelity.path if run.fidelity is not None else None
        reference = await self._load(payload["reference"], path, run)
        owner = await self._owner(payload["replies_of"], (reference, candidate), run)
        stored = await self._stored(run, owner, payload["jobs"])
        comparison = LoadComparison(
            passages=(), device=this_device(self._gpu), apart=False, seed=SEED, folder=Path(tempfile.gettempdir())
        )
        read, compared = await _in_thread(stored, reference, candidate, owner, comparison)
        await self._fix_reference(run, compared.reference)
        [(side, deviations)] = compared.candidates
        return FidelityResultPart(
            reference=compared.reference,
            candidate=side,
            conversations=tuple(_conversations(read, stored.jobs)),
            deviations=deviations,
            left_out=read.left_out,
            not_together=compared.not_together,
        ).stored()

    async def _load(self, name: str, path: str | None, run: Run) -> FidelityLoad:
        """Another model than the worker's own, as the registry of this machine loads it."""
        of_run = next((model for model in run.models if model.name == name), None)
        given = of_run.path if of_run is not None else path
        entry = replace(await asyncio.to_thread(self._find, name, given), name=name)
        facts = await asyncio.to_thread(entry_facts, entry)
        if of_run is not None and of_run.digest not in (None, facts.digest):
            raise ModelError(
                f"Run {run.name!r} has {name} with SHA-256 {of_run.digest}, and the file here has {facts.digest}: "
                "the numbers would be of another model. Have a worker of this host load that file."
            )
        return FidelityLoad(label=name, entry=entry, facts=facts)

    def _find(self, name: str, path: str | None) -> ModelEntry:
        """By name, with what the registry says of it, unless the run means another file."""
        try:
            entry = find_model(name, self._settings)
        except UnknownNameError:
            if path is None:
                raise
        else:
            if path is None or str(entry.path) == path:
                return entry
        return find_model(path, self._settings)

    async def _owner(self, name: str, loads: Sequence[FidelityLoad], run: Run) -> FidelityLoad:
        """Whose replies are read: mostly one of the two."""
        known = next((load for load in loads if load.label == name), None)
        return known or await self._load(name, None, run)

    async def _stored(self, run: Run, owner: FidelityLoad, jobs: Sequence[str]) -> StoredJobs:
        query = {"run": run.id, "_id": {"$in": list(jobs)}}
        found = await patiently(lambda: read_each(Job, query, self._database))
        model = next(model for model in run.models if model.name == owner.label)
        in_order = sorted(found, key=lambda each: each.order)
        return await patiently(lambda: with_sequences(run, model, owner, in_order, self._database))

    async def _fix_reference(self, run: Run, reference: LoadedSide) -> None:
        """A reference that is no model of the run is fixed like one that judges: one yardstick for a whole run."""
        facts = reference.facts
        if any(model.name == facts.name for model in run.models):
            return
        refusal = await fix_file(run, facts, reference.load, self._database)
        if refusal is not None:
            raise ModelError(f"The reference cannot be used: {refusal}.")


async def _in_thread(
    stored: StoredJobs,
    reference: FidelityLoad,
    candidate: FidelityLoad,
    owner: FidelityLoad,
    comparison: LoadComparison,
) -> tuple[ReadConversations, Compared]:
    """Reads and compares. Cancelled, it waits until the thread has given up: the next job may load then."""

    def work() -> tuple[ReadConversations, Compared]:
        read = _read(stored, [reference, candidate, owner])
        return read, replace(comparison, passages=read.passages).compare(reference, [candidate])

    thread = asyncio.create_task(asyncio.to_thread(work))
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        comparison.state.give_up()
        await asyncio.wait([thread])
        if not thread.cancelled():
            thread.exception()  # nobody is left to tell
        raise


def _read(stored: StoredJobs, loads: Sequence[FidelityLoad]) -> ReadConversations:
    with vocabularies(loads) as models:
        model = models[stored.load.entry.path]
        marks = MarkTexts(bos=model.tokenizer.bos_text, eos=model.tokenizer.eos_text)
        return read_conversations(stored, model.tokenizer, model.chat_template, marks)


def _conversations(read: ReadConversations, jobs: Sequence[Job]) -> list[MeasuredConversation]:
    sequences = {job.id: job.sequence for job in jobs}
    passages = zip(read.jobs, read.passages, strict=True)
    return [
        _conversation(job, sequences[job], [passage for _, passage in own])
        for job, own in groupby(passages, key=lambda pair: pair[0])
    ]


def _conversation(job: str, sequence: str, passages: Sequence[Passage]) -> MeasuredConversation:
    spans = tuple(span for passage in passages for span in passage.spans)
    return MeasuredConversation(job=job, sequence=sequence, spans=spans, digest=passages_digest(passages))
