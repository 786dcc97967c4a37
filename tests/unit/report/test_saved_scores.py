"""A report that was read from its JSON: its scores as rows, and as a table of pandas, as docs/python.md has it."""

from __future__ import annotations

from pathlib import Path

import pandas
import pytest

from nightjar.pipeline.exports.write import render
from nightjar.saved_report import Report, read_report
from tests.factories import synthetic_report

COLUMNS = ["run", "model", "variant", "sequence", "tags", "repeat", "turn", "metric"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The synthetic run, with dead jobs and failed replies."""
    file = tmp_path_factory.mktemp("saved") / "report.json"
    file.write_text(render(synthetic_report(), "json"), "utf-8")
    return read_report(file)


def test_scores_make_a_table(saved: Report) -> None:
    """A row a score, each told apart by its columns; values are numbers, and what is missing is NaN with a state."""
    table = pandas.DataFrame(saved.scores())
    assert list(table.columns[: len(COLUMNS)]) == COLUMNS
    assert len(table) == sum(len(turn["scores"]) for job in saved.data["jobs"] for turn in job["turns"]) > 100
    assert not table.duplicated(["model", "sequence", "repeat", "turn", "metric"]).any()
    assert table["value"].dtype == float
    missing = table[table["value"].isna()]
    assert len(missing) > 0
    assert set(missing["state"]) <= {"unscored", "failed"}
    assert not set(table[table["value"].notna()]["state"]) & {"unscored", "failed"}


def test_means_of_the_table_are_those_of_the_report(saved: Report) -> None:
    """By sequence first, as in the report: of a metric that every reply has, for models of which nothing is missing."""
    table = pandas.DataFrame(saved.scores())
    lengths = table[table["metric"] == "words"]
    by_sequence = lengths.groupby(["model", "sequence"])["value"].mean()
    means = by_sequence.groupby("model").mean()
    whole = [row for row in saved.metrics() if row["metric"] == "words" and not row["missing"]]
    assert len(whole) > 0
    assert means[[row["model"] for row in whole]].to_list() == pytest.approx([row["mean"] for row in whole])


def test_the_other_tables_too(saved: Report, tmp_path: Path) -> None:
    """A file that pandas writes has all rows again."""
    for rows in (saved.metrics(), saved.turns()):
        table = pandas.DataFrame(rows)
        assert len(table) == len(rows) > 0
        table.to_csv(tmp_path / "table.csv", index=False)
        assert len(pandas.read_csv(tmp_path / "table.csv")) == len(rows)
