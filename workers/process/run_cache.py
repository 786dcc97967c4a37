"""The runs this worker serves: their frozen contents, whether they are working now, and which it must refuse."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from time import monotonic

import structlog
from pydantic import ValidationError

from nightjar.jobs.backlog import run_states
from nightjar.jobs.documents import Run, SequenceDocument
from nightjar.jobs.hindered import hindered
from nightjar.jobs.lookup import name_of_run
from nightjar.jobs.models import LoadFacts, ModelFacts, ModelSource
from nightjar.jobs.mongo import Database
from nightjar.jobs.patience import patiently
from nightjar.jobs.runs.model_files import fix_file, names_model
from nightjar.jobs.sequences import Sequence
from nightjar.jobs.states import WORKING_RUNS

FRESH_S = 1.0
"""How old the known status of a run may be when one of its jobs is claimed."""
SEQUENCES_KEPT = 512
UNREADABLE_FOR_S = 30.0
"""After so long a run that could not be read is read again."""
_log = structlog.get_logger()


class RunCache:
    """Reads and caches runs and sequences. A run that fixed another file under this model's name is refused."""

    def __init__(self, database: Database, facts: ModelFacts, load: LoadFacts) -> None:
        self._database = database
        self._facts = facts
        self._load = load
        self._runs: dict[str, Run] = {}
        self._seen: dict[str, float] = {}
        self._unreadable: dict[str, tuple[float, str, ValidationError]] = {}
        """Run id -> when it was last read in vain, its name, and why."""
        self._opening = asyncio.Lock()
        self._sequences: OrderedDict[str, Sequence] = OrderedDict()
        self.refused: dict[str, str] = {}
        """Run id -> why this worker does not serve it."""

    async def admit(self, run_id: str) -> Run | None:
        """The run, if it is working now and has fixed this very model file; else None."""
        if run_id in self.refused:
            return None
        if run_id not in self._runs:
            async with self._opening:
                await self._open(run_id)
        elif monotonic() - self._seen[run_id] > FRESH_S:
            self._seen[run_id] = monotonic()  # many jobs may be claimed at this moment; one look is enough
            await self.refresh([run_id])
        run = self._runs.get(run_id)
        if run is None or run.status not in WORKING_RUNS:
            return None
        return None if self._facts.source is ModelSource.REMOTE and run.budget_reached else run

    @property
    def unserved(self) -> set[str]:
        """Runs of which this worker takes no job: refused ones, and those whose budget is used up."""
        paid = self._facts.source is ModelSource.REMOTE
        return {*self.refused, *(run.id for run in self._runs.values() if paid and run.budget_reached)}

    async def _open(self, run_id: str) -> None:
        """Reads a run that is new here, unless another task has done so meanwhile."""
        if run_id in self._runs or run_id in self.refused or self._is_unreadable(run_id):
            return
        try:
            run = await patiently(lambda: Run.get(run_id))
        except ValidationError as error:
            name = await patiently(lambda: name_of_run(run_id, self._database))
            self._unreadable[run_id] = (monotonic(), name, error)
            return
        if run is not None and await self._same_file(run):
            if self._facts.source is ModelSource.REMOTE:  # with the price that was frozen, whoever did it
                run = await patiently(lambda: Run.get(run_id)) or run
            self._runs[run_id] = run
            self._seen[run_id] = monotonic()

    def _is_unreadable(self, run_id: str) -> bool:
        """Nothing of a run that cannot be read is claimed. After a while it is read again: it may have been mended."""
        if run_id in self._unreadable and monotonic() - self._unreadable[run_id][0] > UNREADABLE_FOR_S:
            del self._unreadable[run_id]
        return run_id in self._unreadable

    def show_unreadable(self) -> None:
        """Shows the runs that could not be read lately as what hinders the caller's chore."""
        for run_id, (when, name, error) in list(self._unreadable.items()):
            if monotonic() - when > 2 * UNREADABLE_FOR_S:  # nobody has asked for it again
                del self._unreadable[run_id]
                continue
            with hindered("run_unreadable", run=name):
                raise error

    async def refresh(self, run_ids: Iterable[str]) -> set[str]:
        """Reads the status of runs again; returns those that are not working now."""
        wanted = set(run_ids)
        if not wanted:
            return set()
        states = await run_states(wanted, self._database)
        for run_id in wanted:
            if run_id not in states:
                self._runs.pop(run_id, None)
            elif run_id in self._runs:
                self._runs[run_id] = self._runs[run_id].model_copy(update=states[run_id])
                self._seen[run_id] = monotonic()
        return {run_id for run_id in wanted if run_id not in states or states[run_id]["status"] not in WORKING_RUNS}

    async def sequence(self, document_id: str) -> Sequence:
        """A sequence by its document's id, as models are given it."""
        if document_id not in self._sequences:
            document = await patiently(lambda: SequenceDocument.get(document_id))
            assert document is not None, "sequences are immutable and never removed while a run needs them"
            self._sequences[document_id] = document.kept_back or document.sequence
            if len(self._sequences) > SEQUENCES_KEPT:
                self._sequences.popitem(last=False)
        self._sequences.move_to_end(document_id)
        return self._sequences[document_id]

    async def _same_file(self, run: Run) -> bool:
        """Fixes the model's file for the run where nobody did; False where another file was fixed."""
        if not names_model(run, self._facts.name):
            return False
        refusal = await fix_file(run, self._facts, self._load, self._database)
        if refusal is not None:
            self.refused[run.id] = refusal
            _log.error("run_refused", run=run.id, reason=refusal)
        return refusal is None
