"""Loads compared on this machine: side by side where both fit, else one after the other with a file between."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from nightjar.config.errors import ModelFitError, OutputError
from nightjar.config.hardware import usable_cores
from nightjar.jobs.fidelity import Deviations, LoadedSide
from nightjar.jobs.machines.doing import Activity, Doing
from nightjar.workers.engine.device import Device
from nightjar.workers.engine.load_progress import LoadProgress
from nightjar.workers.fidelity.loads import (
    FidelityLoad,
    OpenLoad,
    check_kinds,
    check_vocabularies,
    fit_together,
    opened,
)
from nightjar.workers.fidelity.measure import Measurement, MeasureProgress
from nightjar.workers.fidelity.passages import Passage
from nightjar.workers.fidelity.sketch import RECORD

if TYPE_CHECKING:
    from nightjar.workers.engine.llama.model import LlamaModel


@contextmanager
def vocabularies(loads: Sequence[FidelityLoad]) -> Iterator[dict[Path, LlamaModel]]:
    """The loads' files with nothing but their vocabularies in memory, after a check that all have the same one.

    Raises UsageError, ModelFileError.
    """
    from nightjar.workers.engine.llama.model import LlamaModel

    check_kinds(loads)
    entries: dict[Path, tuple[bytes, ...]] = {}
    with ExitStack() as stack:
        models: dict[Path, LlamaModel] = {}
        for load in loads:
            if load.entry.path not in models:
                model = LlamaModel(load.entry.path, gpu_layers=0, mmap=True, mlock=False, vocabulary_only=True)
                stack.callback(model.close)
                models[load.entry.path], entries[load.entry.path] = model, model.tokenizer.entries()
        check_vocabularies(loads[0], loads[1:], {load.label: entries[load.entry.path] for load in loads})
        yield models


def passages_digest(passages: Sequence[Passage]) -> str:
    """Of token ids and what is scored of them."""
    total = hashlib.sha256()
    for passage in passages:
        total.update(np.asarray([len(passage.ids), *passage.ids], np.int32).tobytes())
        total.update(np.asarray(passage.spans, np.int32).tobytes())
    return total.hexdigest()


@dataclass
class ComparisonState:
    """What a comparison is doing; read by one thread and written by another."""

    measure: MeasureProgress = field(default_factory=MeasureProgress)
    load: LoadProgress = field(default_factory=LoadProgress)
    loading: str | None = None
    """What is being loaded."""
    of: str = ""
    """What is being compared."""

    def give_up(self) -> None:
        """Nobody wants it any more."""
        self.measure.given_up = self.load.given_up = True

    def doing(self) -> Doing:
        """For the line that says how far it is."""
        if self.loading is not None:
            return Doing(task=Activity.LOADING, share=self.load.share, why=self.loading)
        total, done = self.measure.total, self.measure.done
        return Doing(task=Activity.COMPARING, why=self.of, share=done / total if total else None, tokens=total)


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What was measured."""

    reference: LoadedSide
    candidates: tuple[tuple[LoadedSide, Deviations], ...]
    not_together: str | None = None
    """Where some had to be measured one after the other: which, and what that means."""


@dataclass(frozen=True, kw_only=True)
class LoadComparison:
    """Compares loads on this machine. `apart`: never two in memory at once."""

    passages: tuple[Passage, ...]
    """What all loads read."""
    device: Device
    apart: bool
    seed: int
    folder: Path
    """Where the file between two loads that are not in memory together may lie."""
    state: ComparisonState = field(default_factory=ComparisonState)

    @property
    def context(self) -> int:
        """Tokens of the longest passage."""
        return max(len(passage.ids) for passage in self.passages)

    def compare(self, reference: FidelityLoad, candidates: Sequence[FidelityLoad]) -> Compared:
        """Side by side where both fit, else one after the other. Raises ModelError, OutputError, StoppedError."""
        context = self.context
        beside = {
            load.label: not self.apart and fit_together(reference, load, context, self.device) for load in candidates
        }
        work = Measurement(passages=self.passages, threads=usable_cores(), seed=self.seed, progress=self.state.measure)
        self.state.measure.total = work.tokens * sum(2 if fits else 1 for fits in beside.values())
        self.state.measure.total += work.tokens * (not all(beside.values()))
        measured: dict[str, tuple[LoadedSide, Deviations]] = {}
        with ExitStack() as files:
            with ExitStack() as stack:
                first = self._open(reference, stack)
                for load in candidates:
                    if not beside[load.label]:
                        continue
                    with ExitStack() as second:
                        try:
                            other = self._open(load, second)
                        except ModelFitError:
                            beside[load.label] = False
                            continue
                        self.state.of = load.label
                        measured[load.label] = other.side, work.side_by_side(first.context, other.context)
                rest = [load for load in candidates if not beside[load.label]]
                kept = self._kept(work, first, files) if rest else None
            for load in rest:
                assert kept is not None
                with ExitStack() as second:
                    other = self._open(load, second)
                    self.state.of = load.label
                    measured[load.label] = other.side, work.against_kept(kept, other.context)
        names = ", ".join(load.label for load in rest)
        return Compared(
            reference=first.side,
            candidates=tuple(measured[load.label] for load in candidates),
            not_together=_not_together(names, reference.label, self.device) if rest and not self.apart else None,
        )

    def _open(self, load: FidelityLoad, stack: ExitStack) -> OpenLoad:
        self.state.loading = load.label
        try:
            return stack.enter_context(opened(load, self.context, self.device, self.state.load))
        finally:
            self.state.loading = None

    def _kept(self, work: Measurement, reference: OpenLoad, files: ExitStack) -> IO[bytes]:
        self.state.of = f"{reference.side.label}, to a file"
        try:
            file: IO[bytes] = files.enter_context(tempfile.TemporaryFile(dir=self.folder))  # noqa: SIM115
            work.keep(reference.context, file)
        except OSError as error:
            raise OutputError(
                f"What is kept of {reference.side.label} cannot be written to {self.folder}: {error.strerror}. It "
                f"takes {RECORD.itemsize} bytes a token: make room there, or read less (--limit)."
            ) from None
        return file


def _not_together(names: str, reference: str, device: Device) -> str:
    return (
        f"{names} and {reference} do not fit {device.name} together, so they were measured one after the other: their "
        "divergences are estimates, medians and 99.9 % approximate."
    )
