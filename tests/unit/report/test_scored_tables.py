"""Tables of suites whose given texts are scored have no columns for what nothing was written for."""

from __future__ import annotations

import pytest

from nightjar.jobs.sequences import Sequence
from nightjar.pipeline.exports.write import render
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.formats.csv_ import COLUMNS
from nightjar.pipeline.report.formats.summary import summary_rows
from nightjar.pipeline.report.page.machine_tables import speed_table
from nightjar.pipeline.report.page.result_tables import models_table, turns_table
from tests import factories

WRITTEN = {"unusable", "cut off", "first token", "words", "empty", "reply tokens", "tokens/s per conversation"}
SCORED = {"choices": {"texts": ["x", "y"], "right": [0]}}


def report(*, scored: bool) -> RunReport:
    turn = {"prompt": "Q"} | (SCORED if scored else {})
    about = [Sequence.model_validate({"id": "s", "mode": "completion", "turns": [turn]})]
    return factories.report_of([factories.row(about[0], ["x"])], about)


@pytest.mark.parametrize("scored", [True, False])
def test_columns_of_what_is_written(scored: bool) -> None:
    made = report(scored=scored)
    shown = {column.title for table in (models_table(made), turns_table(made)) for column in table.columns}
    terminal = {column.removesuffix(">") for column in summary_rows(made)[0]}

    assert bool(WRITTEN & shown) != scored
    assert bool(WRITTEN & terminal) != scored
    assert len(summary_rows(made)[0]) == len(summary_rows(made)[1][0])
    assert all(
        len(row) == len(table.columns) for table in (models_table(made), turns_table(made)) for row in table.rows
    )
    assert ("Reply tokens" in [row[0].text for row in speed_table(made).rows]) != scored


def test_keys_of_files_stay() -> None:
    """A script finds the same columns in every CSV."""
    for scored in (True, False):
        (header, *_) = render(report(scored=scored), "csv").splitlines()
        assert header.split(",")[: len(COLUMNS)] == COLUMNS
