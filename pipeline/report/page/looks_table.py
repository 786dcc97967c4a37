"""The table of a run's looks, for a run that stops when it is decided. Pure."""

from __future__ import annotations

from nightjar.jobs.waves import Look, PairLook, PairState
from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.amounts import amount, ends_of
from nightjar.pipeline.report.data.waves import VERDICTS, WavesReport
from nightjar.pipeline.report.page.tables import Cell, Table, columns_of, measured
from nightjar.pipeline.scores import Scale

NO_TEST = "not tested: too few complete sequences, or none new"


def looks_table(waves: WavesReport, scale: Scale) -> Table | None:
    """Every pair at every look: its difference with the repeated interval, z and its bound, and whether it is over."""
    if not waves.looks:
        return None
    rows = tuple(
        _row(number, look, pair, scale) for number, look in enumerate(waves.looks, start=1) for pair in look.pairs
    )
    columns = ("look", "models", "sequences>", "difference>", "z>", "bound>", "chance>", "state")
    return Table(id="looks", columns=columns_of(columns), rows=rows)


def _row(number: int, look: Look, pair: PairLook, scale: Scale) -> tuple[Cell, ...]:
    between = NO_TEST if pair.low is None or pair.high is None else ends_of(pair.low, pair.high, scale)
    sure = "" if pair.low is None else f"{(1 - pair.level) * 100:.3g}\u202f% repeated"
    verdict = VERDICTS.get(pair.state)
    known = "at the end" if look.fraction >= 1 else "over" if pair.state is not PairState.UNDECIDED else NO_TEST
    return (
        Cell(text=str(number), note=f"{fmt.count_of(look.sequences, 'sequence')}"),
        Cell(text=f"{pair.first} against {pair.second}"),
        Cell(text=fmt.whole(pair.pairs), note="complete"),
        Cell(text=amount(pair.difference, scale), note=f"{sure}: {between}" if sure else between),
        measured(fmt.signed, pair.z, NO_TEST),
        measured(fmt.number, pair.bound, NO_TEST),
        measured(fmt.percent, pair.power, known),
        Cell(text=pair.state.value, mark=verdict.value if verdict is not None else ""),
    )
