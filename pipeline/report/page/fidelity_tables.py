"""The tables of fidelity: for the terminal as rows of texts, for the page as cells. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nightjar.pipeline.report.data import fidelity_words as words
from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.fidelity import FidelityResult, FidelityRow
from nightjar.pipeline.report.data.fidelity_costs import ScoredMean
from nightjar.pipeline.report.data.fidelity_numbers import Estimate, FidelityNumbers, Stretch
from nightjar.pipeline.report.page.grid import SERIES, Cell, Table, columns_of

NUMBERS = (
    *("divergence, mean>", "median>", "99.9 %>", "same likeliest token>", "perplexity>", "ratio>"),
    *("right token>", "first difference>"),
)
COSTS = (
    "file>",
    "cache, 1000 tokens>",
    "checks>",
    "judge>",
    "tokens/s>",
    "RAM, peak>",
    "VRAM, peak>",
    "energy>",
    "front",
)


TERMINAL = (0, 2, 3, 5)
"""Of NUMBERS, those that a terminal has room for."""
TERMINAL_COLUMNS = ("Load", *(NUMBERS[at].capitalize() for at in TERMINAL), "File>", "Front")


def terminal_rows(result: FidelityResult) -> list[tuple[str, ...]]:
    """A row a load, as texts."""
    rows = []
    for row in result.rows:
        cells = [_numbers(row)[at] for at in TERMINAL]
        texts = [f"{cell.text} ({cell.note.partition(';')[0]})" if cell.note else cell.text for cell in cells]
        rows.append((row.label, *texts, _file(row).text, front_word(row)))
    return rows


def front_word(row: FidelityRow) -> str:
    """Whether it is on the front."""
    return "on it" if row.on_front else ""


def numbers_table(result: FidelityResult, labels: Sequence[str] | None = None) -> Table:
    """Fidelity of each candidate; the reference has but its perplexity. `labels`: in the order of their colours."""
    rows = [(_name(row, result, labels), *_numbers(row)) for row in result.rows]
    known = next(row.numbers for row in result.candidates if row.numbers is not None)
    own = 1 + NUMBERS.index("perplexity>")
    rows[0] = (*rows[0][:own], Cell(text=fmt.number(known.reference_perplexity)), *rows[0][own + 1 :])
    return Table(id="fidelity", columns=columns_of(("load", *NUMBERS)), rows=tuple(rows))


def costs_table(result: FidelityResult, labels: Sequence[str] | None = None) -> Table:
    """What each load costs and what it is worth, as far as that is known of any."""
    rows = [(_name(row, result, labels), *_costs(row)) for row in result.rows]
    columns = ("load", *COSTS)
    shown = [at for at in range(len(columns)) if any(row[at].text != fmt.ABSENT for row in rows)]
    return Table(
        id="costs",
        columns=columns_of(columns[at] for at in shown),
        rows=tuple(tuple(row[at] for at in shown) for row in rows),
    )


def stretches_table(
    result: FidelityResult,
    name: str,
    of: Callable[[FidelityNumbers], tuple[Stretch, ...]],
    labels: Sequence[str] | None = None,
) -> Table:
    """Divergence and same likeliest tokens of each candidate, by position or by depth."""
    rows = []
    for row in result.candidates:
        for number, stretch in enumerate(of(row.numbers) if row.numbers is not None else ()):
            rows.append(
                (
                    _name(row, result, labels, facts=False) if number == 0 else Cell(text=row.label),
                    Cell(text=words.stretch_words(stretch)),
                    Cell(text=fmt.whole(stretch.tokens)),
                    _estimate(stretch.kld, words.nats),
                    _estimate(stretch.same_top, words.share),
                )
            )
    columns = ("load", "tokens before", "tokens>", "divergence>", "same likeliest token>")
    return Table(id=name, columns=columns_of(columns), rows=tuple(rows))


def loads_table(result: FidelityResult, labels: Sequence[str] | None = None) -> Table:
    """Which file each load is, and how it was loaded: what a difference may come from."""
    rows = []
    for row in result.rows:
        load, file = row.side.load, row.side.facts.file_facts
        adapters = ", ".join(f"{adapter.file_name} at {adapter.scale:g}" for adapter in file.adapters)
        rows.append(
            (
                _name(row, result, labels, facts=False),
                Cell(text=file.file_name, note=row.side.facts.digest[:16]),
                Cell(text=file.quantisation),
                Cell(text=f"{load.cache_type_k} / {load.cache_type_v}"),
                Cell(text="on" if load.flash_attention else "off"),
                Cell(text=adapters or "none"),
                Cell(text=load.device, note=load.driver or ""),
                Cell(text=load.llama_cpp_build, note=f"llama-cpp-python {load.llama_cpp_python}"),
            )
        )
    columns = ("load", "file", "quantisation", "cache K / V", "flash attention", "adapters", "device", "build")
    return Table(id="facts", columns=columns_of(columns), rows=tuple(rows))


def _name(row: FidelityRow, result: FidelityResult, labels: Sequence[str] | None, *, facts: bool = True) -> Cell:
    quantisation = row.side.facts.file_facts.quantisation
    note = "" if not facts else "reference" if row.label == result.reference.label else quantisation
    at = (labels or [each.label for each in result.rows]).index(row.label)
    return Cell(text=row.label, note=note, series=at % SERIES + 1)


def _estimate(
    estimate: Estimate, show: Callable[[float], str], numbers: FidelityNumbers | None = None, note: str = ""
) -> Cell:
    """`numbers`: where the value is one of those that may be estimates."""
    notes = [part for part in (words.ends(estimate, show), note) if part]
    text = show(estimate.value)
    return Cell(text=text if numbers is None else words.approximate(numbers, text), note="; ".join(notes))


def _numbers(row: FidelityRow) -> tuple[Cell, ...]:
    numbers = row.numbers
    if numbers is None:
        return tuple(Cell(text=fmt.ABSENT) for _ in NUMBERS)
    error = f"estimation \u00b1 {words.nats(numbers.kld_error)}" if numbers.kld_error is not None else ""
    right = numbers.right_difference
    return (
        _estimate(numbers.kld, words.nats, numbers, error),
        _estimate(numbers.kld_median, words.nats, numbers),
        _estimate(numbers.kld_999, words.nats, numbers),
        _estimate(numbers.same_top, words.share),
        Cell(text=fmt.number(numbers.perplexity)),
        _estimate(numbers.perplexity_ratio, words.four_places),
        _estimate(right, words.points, note=f"typical\u00a0{100 * numbers.right_rms:.2f}\u202fpp"),
        Cell(
            text=words.first_difference(numbers.divergence),
            note=f"none in {fmt.whole(numbers.divergence.never)} of {fmt.whole(numbers.divergence.spans)}",
        ),
    )


def _file(row: FidelityRow) -> Cell:
    return Cell(text=fmt.size(row.costs.file_bytes))


def _costs(row: FidelityRow) -> tuple[Cell, ...]:
    costs = row.costs
    energy = costs.joules_per_1000_tokens
    return (
        _file(row),
        Cell(text=fmt.size(costs.cache_bytes)),
        _mean(costs.checks),
        _mean(costs.judge),
        _known(None if costs.tokens_per_s is None else fmt.number(costs.tokens_per_s)),
        _known(None if costs.process_peak_bytes is None else fmt.size(costs.process_peak_bytes)),
        _known(None if costs.gpu_peak_bytes is None else fmt.size(costs.gpu_peak_bytes)),
        _known(None if energy is None else f"{fmt.number(energy)} J"),
        Cell(text=front_word(row), mark="better" if row.on_front else ""),
    )


def _mean(scored: ScoredMean | None) -> Cell:
    if scored is None:
        return _known(None)
    interval = scored.interval
    note = "" if interval is None else f"{fmt.number(interval.low)}{fmt.TO}{fmt.number(interval.high)}"
    return Cell(text=fmt.number(scored.mean), note=note)


def _known(text: str | None) -> Cell:
    return Cell(text=fmt.ABSENT, note="not known") if text is None else Cell(text=text)
