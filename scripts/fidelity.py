"""`nightjar fidelity`, from what is read to the result: a use case that joins workers, runs and reports."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from nightjar.config.counting import how_many
from nightjar.config.errors import ModelFitError, OutputError, UsageError
from nightjar.config.hardware import usable_cores
from nightjar.config.version import NIGHTJAR_VERSION
from nightjar.jobs.documents import utc_now
from nightjar.jobs.doing import Activity, Doing
from nightjar.jobs.fidelity import Deviations, LoadedSide
from nightjar.pipeline.fidelity.costs import front_measures, in_run, load_costs, pareto_front
from nightjar.pipeline.fidelity.drift import check_drift
from nightjar.pipeline.fidelity.numbers import fidelity_numbers
from nightjar.pipeline.fidelity.result import FidelityResult, FidelityRow, Material
from nightjar.pipeline.report.data.run_report import Notice
from nightjar.workers.engine.device import Device
from nightjar.workers.engine.load_progress import LoadProgress
from nightjar.workers.fidelity.conversations import MarkTexts, StoredJobs, read_conversations
from nightjar.workers.fidelity.loads import (
    FidelityLoad,
    OpenLoad,
    check_kinds,
    check_vocabularies,
    fit_together,
    longest_context,
    opened,
)
from nightjar.workers.fidelity.measure import Measurement, MeasureProgress
from nightjar.workers.fidelity.passages import Passage, WindowLayout, cut_windows, places_of
from nightjar.workers.fidelity.sketch import RECORD

if TYPE_CHECKING:
    from nightjar.jobs.ending import Gate
    from nightjar.pipeline.report.data.run_report import RunReport

DEFAULT_WINDOW = 512


@dataclass(frozen=True, kw_only=True)
class ReadMaterial:
    """What all loads read."""

    passages: tuple[Passage, ...]
    about: Material
    unit: str
    """What its texts are."""

    @property
    def context(self) -> int:
        """Tokens of the longest passage."""
        return max(len(passage.ids) for passage in self.passages)


@dataclass(frozen=True, kw_only=True)
class TextSource:
    """Texts to be read in windows."""

    name: str
    texts: tuple[str, ...]
    window: int | None
    layout: WindowLayout
    limit: int | None


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


def read_material(loads: Sequence[FidelityLoad], source: TextSource | StoredJobs) -> ReadMaterial:
    """Checks that all loads have one vocabulary, and makes tokens of what is read. Only vocabularies are loaded.

    Raises UsageError, ModelFileError, TemplateError.
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
        if isinstance(source, TextSource):
            tokenizer = models[loads[0].entry.path].tokenizer
            return _windows(
                source, [tokenizer.tokenize(text, parse_special=False) for text in source.texts], tokenizer.bos, loads
            )
        model = models[source.load.entry.path]
        marks = MarkTexts(bos=model.tokenizer.bos_text, eos=model.tokenizer.eos_text)
        read = read_conversations(source, model.tokenizer, model.chat_template, marks)
    about = Material(
        name=source.run.name,
        kind="run",
        digest=passages_digest(read.passages),
        layout="conversations",
        window=None,
        bos=None,
        score_from=None,
        replies_of=source.model.name,
        left_out=read.left_out,
    )
    material = ReadMaterial(passages=read.passages, about=about, unit="sequence")
    _check_context(material.context, loads, "The longest conversation has")
    return material


def _windows(
    source: TextSource, ids: Sequence[Sequence[int]], bos: int | None, loads: Sequence[FidelityLoad]
) -> ReadMaterial:
    window, layout = source.window or min(DEFAULT_WINDOW, longest_context(loads) or DEFAULT_WINDOW), source.layout
    _check_context(window, loads, "--window asks for")
    cut = [
        passage for number, each in enumerate(ids) for passage in cut_windows(each, bos, window, layout, text=number)
    ]
    if not cut:
        tokens = how_many(sum(map(len, ids)), "token")
        need = (
            f"a window has {window:,}, and in the layout of llama-perplexity only whole windows are scored: give a "
            "smaller --window, or leave out --as"
            if layout is WindowLayout.LLAMA_PERPLEXITY
            else "to score a token takes one before it: give a longer text"
        )
        raise UsageError(f"{source.name} has {tokens}; {need}.")
    passages = tuple(cut[: source.limit])
    about = Material(
        name=source.name,
        kind="text",
        digest=passages_digest(passages),
        layout=layout.value,
        window=window,
        bos=bos is not None,
        score_from=passages[0].spans[0][0],
    )
    return ReadMaterial(passages=passages, about=about, unit="text")


def _check_context(tokens: int, loads: Sequence[FidelityLoad], what: str) -> None:
    most = longest_context(loads)
    if most is not None and tokens > most:
        short = next(load for load in loads if load.facts.file_facts.context_train == most)
        raise UsageError(f"{what} {tokens:,} tokens, and {short.label} was made for {most:,}. Take fewer.")


def passages_digest(passages: Sequence[Passage]) -> str:
    """Of token ids and what is scored of them."""
    total = hashlib.sha256()
    for passage in passages:
        total.update(np.asarray([len(passage.ids), *passage.ids], np.int32).tobytes())
        total.update(np.asarray(passage.spans, np.int32).tobytes())
    return total.hexdigest()


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What was measured."""

    reference: LoadedSide
    candidates: tuple[tuple[LoadedSide, Deviations], ...]
    notices: tuple[Notice, ...]


@dataclass(frozen=True, kw_only=True)
class LoadComparison:
    """Compares loads on this machine. `apart`: never two in memory at once."""

    material: ReadMaterial
    device: Device
    apart: bool
    seed: int
    folder: Path
    """Where the file between two loads that are not in memory together may lie."""
    state: ComparisonState = field(default_factory=ComparisonState)

    def compare(self, reference: FidelityLoad, candidates: Sequence[FidelityLoad]) -> Compared:
        """Side by side where both fit, else one after the other. Raises ModelError, OutputError, StoppedError."""
        context = self.material.context
        beside = {
            load.label: not self.apart and fit_together(reference, load, context, self.device) for load in candidates
        }
        work = Measurement(
            passages=self.material.passages, threads=usable_cores(), seed=self.seed, progress=self.state.measure
        )
        self.state.measure.total = work.tokens * sum(2 if fits else 1 for fits in beside.values())
        self.state.measure.total += work.tokens * (not all(beside.values()))
        measured: dict[str, tuple[LoadedSide, Deviations]] = {}
        notices: list[Notice] = []
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
        if rest and not self.apart:
            names = ", ".join(load.label for load in rest)
            notices.append(Notice(level="info", text=_not_together(names, reference.label, self.device)))
        return Compared(
            reference=first.side,
            candidates=tuple(measured[load.label] for load in candidates),
            notices=tuple(notices),
        )

    def _open(self, load: FidelityLoad, stack: ExitStack) -> OpenLoad:
        self.state.loading = load.label
        try:
            return stack.enter_context(opened(load, self.material.context, self.device, self.state.load))
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


async def compare_loads(comparison: LoadComparison, loads: Sequence[FidelityLoad]) -> Compared:
    """In a thread, with a line that says how far it is. Cancelled, it gives up as soon as it can."""
    from nightjar.scripts.views.saying import Sayer

    state = comparison.state
    with Sayer(state.doing):
        try:
            return await asyncio.to_thread(comparison.compare, loads[0], loads[1:])
        except asyncio.CancelledError:
            state.give_up()
            raise


def fidelity_result(
    compared: Compared, material: ReadMaterial, gates: Sequence[Gate], report: RunReport | None, seed: int
) -> FidelityResult:
    """Sums up what was measured, with what the run knows of the loads."""
    places = places_of(material.passages)
    reference = FidelityRow(side=compared.reference, numbers=None, costs=load_costs(compared.reference, report))
    candidates = [
        FidelityRow(
            side=side, numbers=fidelity_numbers(deviations, places, material.unit), costs=load_costs(side, report)
        )
        for side, deviations in compared.candidates
    ]
    rows = [reference, *candidates]
    divergence = {row.label: row.numbers.kld.value if row.numbers is not None else 0.0 for row in rows}
    measures = front_measures({row.label: row.costs for row in rows}, divergence)
    front = pareto_front([row.label for row in rows], measures)
    rows = [replace(row, on_front=row.label in front) for row in rows]
    told = report is not None and any(in_run(row.side, report) is not None for row in rows)
    estimated = any(row.numbers is not None and not row.numbers.exact for row in rows)
    return FidelityResult(
        generated_by=f"Nightjar {NIGHTJAR_VERSION}",
        generated_at=utc_now(),
        material=material.about,
        reference=rows[0],
        candidates=tuple(rows[1:]),
        costs_from=report.provenance.name if report is not None and told else None,
        front_of=tuple(measure.name for measure in measures),
        gates=tuple(
            result
            for row in rows[1:]
            if row.numbers is not None
            for result in check_drift(gates, row.label, row.numbers)
        ),
        notices=(*compared.notices, *_notices(material, rows, None if told else report)),
        seed=seed if estimated else None,
    )


def _notices(material: ReadMaterial, rows: Sequence[FidelityRow], unrelated: RunReport | None) -> list[Notice]:
    """`unrelated`: the run, where it knows none of the loads."""
    notices = []
    if unrelated is not None:
        text = (
            f"None of the loads took part in run {unrelated.provenance.name} with this file, these cache types and "
            "this flash attention, so that it says nothing of their checks, speed, memory or energy."
        )
        notices.append(Notice(level="warning", text=text))
    if material.about.left_out:
        reasons = _counted(material.about.left_out)
        notices.append(Notice(level="warning", text=f"Left out: {reasons}."))
    numbers = next((row.numbers for row in rows if row.numbers is not None), None)
    if numbers is not None and numbers.unit == "window" and numbers.kld.interval is not None:
        text = "Intervals are over the windows of the text, which may resemble each other more than other texts would."
        notices.append(Notice(level="info", text=text))
    return notices


def _counted(left_out: Mapping[str, int]) -> str:
    return "; ".join(f"{how_many(count, 'turn')} ({reason})" for reason, count in left_out.items())
