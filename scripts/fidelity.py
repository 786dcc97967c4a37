"""`nightjar fidelity`, from what is read to the result: a use case that joins workers, runs and reports."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightjar.config.counting import how_many
from nightjar.config.errors import UsageError
from nightjar.config.version import NIGHTJAR_VERSION
from nightjar.jobs.mongo import utc_now
from nightjar.pipeline.compare.drift import check_drift
from nightjar.pipeline.report.data.fidelity import FidelityResult, FidelityRow, Material
from nightjar.pipeline.report.data.fidelity_costs import in_run, load_costs
from nightjar.pipeline.report.data.fidelity_numbers import fidelity_numbers
from nightjar.pipeline.report.data.fidelity_rows import ranked_rows, reading_notices
from nightjar.pipeline.report.data.notice import Notice
from nightjar.workers.fidelity.comparison import Compared, LoadComparison, passages_digest, vocabularies
from nightjar.workers.fidelity.conversations import MarkTexts, StoredJobs, read_conversations
from nightjar.workers.fidelity.loads import FidelityLoad, longest_context
from nightjar.workers.fidelity.passages import Passage, WindowLayout, cut_windows, places_of

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


def read_material(loads: Sequence[FidelityLoad], source: TextSource | StoredJobs) -> ReadMaterial:
    """Checks that all loads have one vocabulary, and makes tokens of what is read. Only vocabularies are loaded.

    Raises UsageError, ModelFileError, TemplateError.
    """
    with vocabularies(loads) as models:
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
    known = () if report is None else report.models
    sides = [compared.reference, *(side for side, _ in compared.candidates)]
    costs = {side.label: load_costs(side, in_run(side, known)) for side in sides}
    measured = [
        FidelityRow(
            side=side,
            numbers=fidelity_numbers(deviations, places, material.unit),
            costs=costs[side.label],
        )
        for side, deviations in compared.candidates
    ]
    reference = FidelityRow(side=compared.reference, numbers=None, costs=costs[compared.reference.label])
    rows, front_of = ranked_rows([reference, *measured])
    told = report is not None and any(in_run(side, known) is not None for side in sides)
    estimated = any(row.numbers is not None and not row.numbers.exact for row in rows)
    apart = () if compared.not_together is None else (Notice(level="info", text=compared.not_together),)
    return FidelityResult(
        generated_by=f"Nightjar {NIGHTJAR_VERSION}",
        generated_at=utc_now(),
        material=material.about,
        reference=rows[0],
        candidates=tuple(rows[1:]),
        costs_from=report.provenance.name if report is not None and told else None,
        front_of=front_of,
        gates=tuple(
            result
            for row in rows[1:]
            if row.numbers is not None
            for result in check_drift(gates, row.label, row.numbers)
        ),
        notices=(*apart, *_unrelated(None if told else report), *reading_notices(material.about, rows)),
        seed=seed if estimated else None,
    )


def _unrelated(report: RunReport | None) -> list[Notice]:
    """`report`: of the run, where it knows none of the loads."""
    if report is None:
        return []
    text = (
        f"None of the loads took part in run {report.provenance.name} with this file, these cache types and "
        "this flash attention, so that it says nothing of their checks, speed, memory or energy."
    )
    return [Notice(level="warning", text=text)]
