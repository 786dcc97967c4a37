"""Averages over parts: in the native format, in joined suites, and in the benchmarks that have subjects."""

from __future__ import annotations

from pathlib import Path

import pytest

from nightjar.config.errors import SuiteError, UsageError
from nightjar.pipeline.suites.benchmarks.catalogue import BENCHMARKS, HowAsked, suite_of
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.export import export_yaml
from nightjar.pipeline.suites.join import join_suites
from nightjar.pipeline.suites.read import read_suite

SUITE = """\
nightjar: 1
name: two
primary_metric: acc.macro
averages:
  - {name: macro, metric: acc, parts: [art, law]}
  - {name: both, metric: acc, parts: [art, law], weight_by_size: true}
sequences:
  - {id: a, tags: [art], turns: [{prompt: Q, choices: [x, y], answer: x}]}
  - {id: b, tags: [law], turns: [{prompt: Q, choices: [x, y], answer: y}]}
  - {id: c, tags: [other], turns: [{prompt: Q, choices: [x, y], answer: y}]}
"""


def read(folder: Path, text: str, name: str = "suite.yaml") -> SuiteContent:
    (folder / name).write_text(text)
    return read_suite(folder / name)


def test_tags_are_parts(tmp_path: Path) -> None:
    suite = read(tmp_path, SUITE)

    assert [sequence.averages for sequence in suite.sequences] == [
        {"acc.macro": "art", "acc.both": "all"},
        {"acc.macro": "law", "acc.both": "all"},
        {},
    ]
    assert read(tmp_path, export_yaml(suite), "again.yaml").digest == suite.digest


WRONG = [
    # (what is changed, where, what is said)
    (("parts: [art, law]}", "parts: [art, lore]}"), "averages[0]", "no sequence has the tag 'lore'"),
    (("tags: [art]", "tags: [art, law]"), "sequences[0].tags", "two parts of the average 'macro': art and law"),
    (("acc.macro", "acc.micro"), "primary_metric", "no average 'acc.micro'"),
    (("metric: acc, parts: [art, law]}", "metric: words, parts: [art]}"), "averages[0]", "no better end"),
    (("metric: acc, parts: [art, law]}", "metric: axx, parts: [art]}"), "averages[0].metric", "no metric 'axx'"),
]


@pytest.mark.parametrize(("change", "where", "what"), WRONG)
def test_an_average_that_cannot_be_taken_is_refused(
    change: tuple[str, str], where: str, what: str, tmp_path: Path
) -> None:
    with pytest.raises(SuiteError) as error:
        read(tmp_path, SUITE.replace(*change))
    assert where in str(error.value)
    assert what in str(error.value)


def test_joined_suites_are_parts_of_one_average(tmp_path: Path) -> None:
    one = read(tmp_path, SUITE.replace("acc.macro", "acc"))
    two = read(tmp_path, SUITE.replace("name: two", "name: three").replace("acc.macro", "acc"))
    both = join_suites("board", [one, two], None)

    assert both.primary_metric == "acc.macro"
    assert [sequence.id for sequence in both.sequences][2:4] == ["two.c", "three.a"]
    assert both.sequences[3].averages == {"acc.macro": "three", "acc.both": "all"}
    assert both.sequences[3].tags == ("three", "art")


def test_suites_that_cannot_stand_together_are_refused(tmp_path: Path) -> None:
    one = read(tmp_path, SUITE)
    other = one.model_copy(update={"name": "other", "primary_metric": "acc_norm"})
    for suites, metric, what in (
        ([one], None, "two or more suites"),
        ([one, other], None, "different metrics"),
        ([one, other], "includes", "has the metric includes"),
        ([one, other.model_copy(update={"rubric": {}})], "acc", "has a rubric"),
    ):
        with pytest.raises(UsageError, match=what):
            join_suites("board", suites, metric)


def test_subjects_of_a_benchmark_are_averaged() -> None:
    """MMLU: 57 subjects that count alike, and each group's questions."""
    row = {"question": "Q?", "choices": ["w", "x", "y", "z"], "answer": 0}
    rows = [{**row, "subject": subject} for subject in ("anatomy", "philosophy", "anatomy")]
    suite = suite_of(BENCHMARKS["mmlu"], {"test": rows}, HowAsked(shots=0), None)

    assert suite.sequences[0].averages == {"acc.macro": "anatomy", "acc.stem": "stem"}
    assert suite.sequences[1].averages == {"acc.macro": "philosophy", "acc.humanities": "humanities"}
