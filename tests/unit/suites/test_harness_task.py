"""What a task of lm-evaluation-harness may say, what is refused and how, and what its templates may do."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from nightjar.config.errors import SuiteError, UsageError
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.harness.task_suite import TaskData
from nightjar.pipeline.suites.read import read_suite
from nightjar.workers.conversation.row_templates import RowTemplates

TASK = """\
task: colours
dataset_path: someone/colours
output_type: multiple_choice
test_split: test
training_split: train
doc_to_text: "Q: {{q}}\\nA:"
doc_to_choice: ["red", "blue"]
doc_to_target: a
"""
ROWS: list[dict[str, Any]] = [{"q": f"Sky {at}?", "a": at % 2} for at in range(4)]


class Renderer:
    def cells(self, templates: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> list[dict[str, dict[str, Any]]]:
        return RowTemplates().cells(templates, list(rows))


def read(
    folder: Path,
    text: str,
    rows: Sequence[Any] = ROWS,
    *,
    files: list[str] | None = None,
    skip: bool = False,
    shots: int | None = None,
) -> SuiteContent:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "task.yaml").write_text(text)
    given = [f"test={folder}/rows.jsonl"] if files is None else files
    task = TaskData(files=given, renderer=Renderer(), shots=shots)
    return read_suite(folder / "task.yaml", task=task, skip_unsupported=skip)


def said(folder: Path, text: str, rows: Sequence[Any] = ROWS, **options: Any) -> str:
    with pytest.raises((SuiteError, UsageError)) as error:
        read(folder, text, rows, **options)
    return str(error.value)


def test_a_task_becomes_a_suite_that_says_where_its_rows_are_from(tmp_path: Path) -> None:
    suite = read(tmp_path, TASK)

    assert (suite.name, suite.primary_metric, len(suite.sequences)) == ("colours", "acc", 4)
    assert suite.source.startswith("task.yaml (lm-eval), rows.jsonl (SHA-256 ")


REFUSED = [
    # (what is changed in the task, where, what is said)
    (("doc_to_target: a", "doc_to_target: !function utils.target"), "line 8, field doc_to_target", "is Python, which"),
    (("doc_to_target: a", "doc_to_target: a\nuse_prompt: x:y"), "line 9, field use_prompt", "changes what the model"),
    (("doc_to_target: a", "doc_to_target: a\nprocess_docs: !function u.f"), "line 9, field process_docs", "--skip-un"),
    (("multiple_choice", "choose"), "line 3, field output_type", "there is no output type 'choose'"),
    (("test_split: test\n", ""), "task.yaml", "neither a test split nor a validation split"),
    (("task: colours", "task: colours\ntask_list: [a]"), "line 2, field task_list", "Name them in a group"),
    (("task: colours", "task: colours\ngroup: old"), "line 1, field task", "call `group` `tag`"),
    (("doc_to_target: a", "metric_list: [{metric: f1}]\ndoc_to_target: a"), "field metric_list[0].metric", "acc"),
    (("doc_to_target: a", "fewshot_config: {fewshot_indices: [1]}\ndoc_to_target: a"), "line 8", "fewshot_indices"),
    (("doc_to_target: a", "doc_to_target: a\ninclude: task.yaml"), "line 9, field include", "includes itself"),
    (("doc_to_target: a", "doc_to_target: a\ninclude: gone.yaml"), "line 9, field include", "cannot be read"),
    (("{{q}}", "{{question}}"), "field doc_to_text: row 0 of the data", "undefined. It has the fields q, a"),
    (("{{q}}", "{{q"), "field doc_to_text: row 0", "does not compile"),
    (("{{q}}", "{{q.__class__}}"), "field doc_to_text: row 0", "unsafe"),
    (("{{q}}", "{% for x in range(9999) %}{% for y in range(9999) %}{% endfor %}{% endfor %}"), "row 0", "more steps"),
    (('["red", "blue"]', '"{{q}}"'), "field doc_to_choice: row 0", "no list of texts"),
    (('["red", "blue"]', '["red"]'), "field doc_to_target: row 1", "names the choice 1; there are 1"),
]


@pytest.mark.parametrize(("change", "where", "what"), REFUSED)
def test_what_is_outside_the_subset_is_refused_with_its_place(
    change: tuple[str, str], where: str, what: str, tmp_path: Path
) -> None:
    message = said(tmp_path, TASK.replace(*change))

    assert where in message
    assert what in message


def test_an_error_in_an_included_file_names_that_file(tmp_path: Path) -> None:
    (tmp_path / "_base").write_text(TASK.replace("doc_to_text: ", "doc_to_text: !function u.f #"))
    assert said(tmp_path, "include: _base\ntask: mine\n").startswith(
        "_base, line 6, field doc_to_text: `!function u.f`"
    )


def test_an_including_file_goes_before_what_it_includes(tmp_path: Path) -> None:
    (tmp_path / "_base").write_text(TASK)
    suite = read(tmp_path, 'include: _base\ntask: mine\ndoc_to_text: "{{q}}"\n')

    assert (suite.name, suite.sequences[0].turns[0].prompt) == ("mine", "Sky 0?")


LEFT_OUT = [
    # (further lines of the task, what is left out of it)
    ("process_docs: !function utils.f", "process_docs"),
    ("process_results: !function utils.f", "process_results"),
    ("metric_list: [{metric: acc}, {metric: f1}]", "metric_list[1].metric"),
    ("metric_list: [{metric: acc}, {metric: acc_norm, aggregation: !function u.f}]", "metric_list[1].aggregation"),
    ("repeats: 5", "repeats"),
]


@pytest.mark.parametrize(("lines", "field"), LEFT_OUT)
def test_what_changes_no_prompt_can_be_left_out_and_is_told(lines: str, field: str, tmp_path: Path) -> None:
    assert field in said(tmp_path, TASK + lines)

    (left_out,) = read(tmp_path, TASK + lines, skip=True).left_out
    assert field in left_out


DATA = [
    # (--data, --shots, what is said)
    ([], None, "needs --data test=FILE: the rows of that split are asked"),
    (["train=rows.jsonl"], None, "needs no split 'train'"),
    (["test={folder}/rows.jsonl"], 2, "needs --data train=FILE: the rows of that split are taken as examples"),
    (["test={folder}/gone.jsonl"], None, "cannot be read"),
    (["test={folder}/task.yaml"], None, "rows are read from .parquet"),
    (["test={folder}/rows.jsonl", "train={folder}/rows.jsonl"], 9, "Ask for fewer with --shots"),
]


@pytest.mark.parametrize(("files", "shots", "what"), DATA)
def test_rows_that_are_not_there_are_asked_for(files: list[str], shots: int | None, what: str, tmp_path: Path) -> None:
    assert what in said(tmp_path, TASK, files=[file.format(folder=tmp_path) for file in files], shots=shots)


def test_a_task_without_rows_says_how_they_are_given(tmp_path: Path) -> None:
    (tmp_path / "task.yaml").write_text(TASK)
    with pytest.raises(UsageError, match="--data"):
        read_suite(tmp_path / "task.yaml")


def test_a_table_s_numbers_are_places(tmp_path: Path) -> None:
    """CSV has texts only; a number among them names a choice as it does in Parquet."""
    (tmp_path / "rows.csv").write_text("q,a\nSky?,1\n")
    suite = read(tmp_path, TASK, files=[f"{tmp_path}/rows.csv"])

    assert suite.sequences[0].turns[0].choices is not None
    assert suite.sequences[0].turns[0].choices.right == (1,)


WRITTEN = TASK.replace("multiple_choice", "generate_until").replace("doc_to_target: a", 'doc_to_target: "{{a}}"')
FILTERS = [
    # (further lines, the checks with what they look for)
    ("", [("extract", {"answer": "red"})]),
    ("metric_list: [{metric: exact_match, ignore_case: true}]", [("extract", {"answer": "red", "ignore_case": True})]),
    (
        "filter_list: [{name: strict, filter: [{function: regex, regex_pattern: 'is (.)'}, {function: take_first}]}, "
        "{name: flexible-extract, filter: [{function: regex, group_select: -1}]}]",
        [
            ("extract", {"answer": "red", "pattern": "is (.)"}),
            ("extract_flexible", {"answer": "red", "pattern": r"#### (\-?[0-9\.\,]+)", "match": -1}),
        ],
    ),
    (
        "filter_list: [{name: none, filter: [{function: remove_whitespace}, {function: take_first}]}]",
        [("extract", {"answer": "red", "pattern": r"(?s)\A(.*)\Z"})],
    ),
]


@pytest.mark.parametrize(("lines", "checks"), FILTERS)
def test_a_written_reply_is_checked_as_filters_and_metrics_say(
    lines: str, checks: list[tuple[str, Any]], tmp_path: Path
) -> None:
    suite = read(tmp_path, WRITTEN + lines)

    assert [(one.check, one.value) for one in suite.sequences[0].turns[0].expect] == checks
    assert suite.sequences[0].parameters == {"max_tokens": 256, "temperature": 0.0, "stop": ["\n\n"]}


def test_two_filters_of_one_kind_are_no_two_numbers(tmp_path: Path) -> None:
    step = "filter: [{function: take_first}]"
    assert "reads one strict and one flexible" in said(
        tmp_path, WRITTEN + f"filter_list: [{{name: a, {step}}}, {{name: b, {step}}}]"
    )
