"""A group of lm-evaluation-harness' tasks as one suite: its members, its averages, its rows, and what is refused."""

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
task: {name}
dataset_path: someone/colours
dataset_name: {name}-rows
tag: all_colours
output_type: multiple_choice
test_split: test
training_split: train
doc_to_text: "{name} {{{{q}}}}"
doc_to_choice: ["red", "blue"]
doc_to_target: a
metric_list: [{{metric: acc}}, {{metric: acc_norm}}]
"""
ROWS = [{"q": f"{at}?", "a": at % 2} for at in range(3)]
WRITTEN = 'task: said\ntest_split: test\ndoc_to_text: "{{q}}"\ndoc_to_target: "{{a}}"\n'
ACC = "aggregate_metric_list: [{metric: acc, weight_by_size: false}]\n"


class Renderer:
    def cells(self, templates: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> list[dict[str, dict[str, Any]]]:
        return RowTemplates().cells(templates, list(rows))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Tasks `sky` and `sea` below the group's folder, and rows."""
    (tmp_path / "tasks").mkdir()
    for name in ("sky", "sea"):
        (tmp_path / "tasks" / f"{name}.yaml").write_text(TASK.format(name=name))
        (tmp_path / f"{name}-rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS[:2]))
    return tmp_path


def read(
    folder: Path,
    text: str,
    data: Sequence[str] = ("{folder}/rows.jsonl",),
    *,
    skip: bool = False,
    shots: int | None = None,
) -> SuiteContent:
    (folder / "group.yaml").write_text(text)
    files = [given.replace("{folder}", str(folder)) for given in data]
    task = TaskData(files=files, renderer=Renderer(), shots=shots)
    return read_suite(folder / "group.yaml", task=task, skip_unsupported=skip)


def said(folder: Path, text: str, **options: Any) -> str:
    with pytest.raises((SuiteError, UsageError)) as error:
        read(folder, text, **options)
    return str(error.value)


def test_a_group_becomes_a_suite_whose_parts_are_its_tasks(folder: Path) -> None:
    suite = read(folder, f"group: colours\ntask: [sky, sea]\n{ACC}")

    assert (suite.name, suite.primary_metric) == ("colours", "acc.colours")
    assert [sequence.id for sequence in suite.sequences] == ["sky.row-0", "sky.row-1", "sea.row-0", "sea.row-1"]
    assert suite.sequences[2].averages == {"acc.colours": "sea"}
    assert suite.sequences[2].tags == ("sea", "all_colours")
    assert "sky: rows.jsonl (SHA-256" in suite.source


AVERAGES = [
    # (what the group says, the averages of a sequence of `sky`, the primary metric)
    ("", {}, "acc"),  # the harness prints no number for such a group
    ("aggregate_metric_list: {metric: acc}", {"acc.g": "all"}, "acc.g"),  # by size unless it says otherwise
    (
        "aggregate_metric_list: [{metric: acc_norm, weight_by_size: false, filter_list: none}]",
        {"acc_norm.g": "sky"},
        "acc_norm.g",
    ),
    (
        "aggregate_metric_list: [{metric: acc}, {metric: acc_norm, aggregation: mean}]",
        {"acc.g": "all", "acc_norm.g": "all"},
        "acc.g",
    ),
]


@pytest.mark.parametrize(("lines", "averages", "primary"), AVERAGES)
def test_what_is_summed_up_is_what_the_group_says(
    lines: str, averages: dict[str, str], primary: str, folder: Path
) -> None:
    suite = read(folder, f"group: g\ntask: [sky, sea]\n{lines}\n")

    assert (suite.sequences[0].averages, suite.primary_metric) == (averages, primary)


def test_groups_within_groups_tags_and_tables_are_followed(folder: Path) -> None:
    """A group in a file of its own, one that is written inside, a tag, and fields in the place of a task's own."""
    (folder / "tasks" / "inner.yaml").write_text(f"group: inner\ntask: [sky]\n{ACC}")
    suite = read(
        folder,
        "group: outer\ntask:\n  - inner\n"
        "  - {task: sea, task_alias: Sea, doc_to_text: 'Now {{q}}'}\n"
        "  - {group: third, task: [{task: own, include: tasks/sea.yaml, target_delimiter: '='}],\n"
        "     aggregate_metric_list: {metric: acc}}\n" + ACC,
    )
    sky, sea, own = (suite.sequences[at] for at in (0, 2, 4))

    assert sky.averages == {"acc.outer": "sky", "acc.inner": "sky"}
    assert sky.tags == ("sky", "inner", "all_colours")
    assert sea.turns[0].prompt == "Now 0?"
    assert (own.id, own.averages) == ("own.row-0", {"acc.outer": "own", "acc.third": "all"})
    assert own.turns[0].choices is not None
    assert own.turns[0].choices.delimiter == "="
    assert [
        one.id for one in read(folder, "group: g\ntask: all_colours\n".replace(": all", ": [all") + "]").sequences
    ] == ["sea.row-0", "sea.row-1", "sky.row-0", "sky.row-1"]


def test_what_the_group_says_of_prompts_is_in_the_place_of_its_tasks_own(folder: Path) -> None:
    suite = read(folder, "group: g\ntask: [sky, {task: sea, target_delimiter: '!'}]\ntarget_delimiter: '?'\n")
    choices = [sequence.turns[0].choices for sequence in suite.sequences]

    assert [one.delimiter for one in choices if one is not None] == ["?", "?", "!", "!"]


ROWS_GIVEN = [
    # (--data, sequences of each task)
    (["test={folder}/{dataset_name}.jsonl"], [3, 3]),  # each task's own
    (["{folder}/{task}-rows.jsonl"], [3, 3]),
    (["sky:test={folder}/rows.jsonl", "test={folder}/sea-rows.jsonl"], [2, 3]),  # one task's goes before all tasks'
    (["sky:test={folder}/rows.jsonl", "sky:test={folder}/rows.jsonl", "sea:test={folder}/rows.jsonl"], [4, 2]),
]


@pytest.mark.parametrize(("data", "counts"), ROWS_GIVEN)
def test_each_task_has_its_rows(data: list[str], counts: list[int], folder: Path) -> None:
    suite = read(folder, "group: g\ntask: [sky, sea]\n", data)

    assert [sum(name in one.tags for one in suite.sequences) for name in ("sky", "sea")] == counts


REFUSED = [
    # (the group, --data, what is said)
    ("task: [sky]", None, "field group: a list of tasks needs the name"),
    ("group: g\ntask: sky", None, "line 2, field task: a group has a list of tasks"),
    ("group: g\ntask:\n  - sky\n  - skies", None, "line 4, field task[1]: no file in"),
    ("group: g\ntask: [skies]", None, "has the task, group or tag 'skies'. Put its file there. Did you mean 'sky'"),
    ("group: g\ntask: [{task: skies, num_fewshot: 2}]", None, "the task, group or tag 'skies'"),
    ("group: g\ntask: [3]", None, "field task[0]: takes the name of a task"),
    ("group: g\ntask: [sky, all_colours]", None, "the task 'sky' is named twice"),
    ("group: g\ntask: [g]", None, "the group 'g' is inside itself"),
    ("group: g\ntask: []", None, "the group has no task"),
    (
        "group: g\ntask:\n  - task: sky\n    doc_to_text: !function u.f",
        None,
        "group.yaml, line 4, field task[0].doc_to_text: `!function u.f` is Python",
    ),
    ("group: g\ntask:\n  - task: sky\n    include: tasks/sea.yaml", None, "line 4, field task[0].include"),
    ("group: g\ntask: [sky]\nuse_prompt: x", None, "group.yaml, line 3, field use_prompt: 'use_prompt' cannot be used"),
    (
        "group: g\ntask: [sky]\naggregate_metric_list: [{metric: f1}]",
        None,
        "line 3, field aggregate_metric_list[0]: no task of the group g has f1; they have acc, acc_norm",
    ),
    ("group: g\ntask: [sky]\naggregate_metric_list: [{metric: acc, aggregation: median}]", None, "summed up by mean"),
    ("group: g\ntask: [sky]\naggregate_metric_list: [{metric: acc, weight_by_size: maybe}]", None, "true or false"),
    ("group: g\ntask: [sky]\naggregate_metric_list: [{metric: acc, weights: [1]}]", None, "'weights' cannot be used"),
    ("group: g\ntask: [sky]\naggregate_metric_list: [{metric: acc, filter_list: strict}]", None, "has acc (strict)"),
    ("group: g\ntask: [sky, sea]", ["sky:test={folder}/rows.jsonl"], "sea needs --data sea:test=FILE"),
    ("group: g\ntask: [sky]", ["see:test={folder}/rows.jsonl", "{folder}/rows.jsonl"], "no task of the group takes it"),
    ("group: g\ntask: [{task: sky, dataset_name: ../x}]", ["{dataset_name}.jsonl"], "that a file can be called by"),
]


@pytest.mark.parametrize(("text", "data", "what"), REFUSED)
def test_what_cannot_be_a_suite_is_refused_with_its_place(
    text: str, data: list[str] | None, what: str, folder: Path
) -> None:
    assert what in said(folder, text, **({} if data is None else {"data": data}))


def test_every_error_of_every_task_is_named_once(folder: Path) -> None:
    """What the group says is wrong for both; one task has a mistake of its own."""
    file = folder / "tasks" / "sea.yaml"
    file.write_text(file.read_text() + "process_docs: !function u.f\n")
    message = said(folder, "group: g\ntask: [sky, sea]\nuse_prompt: x")

    assert message.count("use_prompt: 'use_prompt'") == 1
    assert "tasks/sea.yaml, line 12, field process_docs" in message


def test_a_mistake_in_a_group_within_a_group_is_none_the_less_one(folder: Path) -> None:
    """Three files deep: the names of what is missing, each with its own file."""
    (folder / "tasks" / "second.yaml").write_text("group: second\ntask: [sky, third]\n")
    (folder / "tasks" / "third.yaml").write_text(
        "group: third\ntask: [sea, gone]\naggregate_metric_list: [{metric: acc, aggregation: median}]\n"
    )
    message = said(folder, "group: first\ntask: [second]\n")

    assert "tasks/third.yaml, line 2, field task[1]: no file in" in message
    assert "tasks/third.yaml, line 3, field aggregate_metric_list[0]: there is no 'median' here" in message


def test_groups_that_name_each_other_again_and_again_are_refused_at_once(folder: Path) -> None:
    """Eight groups of which each names the next a hundred times: 10 ** 16 tasks."""
    for at in range(8):
        inner = ", ".join([f"g{at + 1}" if at < 7 else "sky"] * 100)
        (folder / "tasks" / f"g{at}.yaml").write_text(f"group: g{at}\ntask: [{inner}]\n")

    assert "name more than 5,000 tasks and groups" in said(folder, "group: first\ntask: [g0]\n")


def test_what_only_the_harness_can_do_is_left_out_and_told(folder: Path) -> None:
    """Of a task, and of what the group sums up."""
    file = folder / "tasks" / "sea.yaml"
    file.write_text(file.read_text() + "process_docs: !function u.f\n")
    suite = read(folder, "group: g\ntask: [sky, sea]\naggregate_metric_list: [{metric: f1}, {metric: acc}]", skip=True)

    assert [text.partition(":")[0] for text in suite.left_out] == [
        "group.yaml, line 3, field aggregate_metric_list[0]",
        "tasks/sea.yaml, line 12, field process_docs",
    ]
    assert suite.primary_metric == "acc.g"


def test_a_task_without_the_metric_is_in_no_average_and_that_is_told(folder: Path) -> None:
    """As in the harness, which warns of it."""
    (folder / "tasks" / "said.yaml").write_text(WRITTEN)
    suite = read(folder, f"group: g\ntask: [sky, said]\n{ACC}")

    assert suite.sequences[-1].averages == {}
    assert suite.notes == ("acc.g has nothing of said, which has no acc.",)


def test_a_metric_that_is_counted_in_two_ways_has_no_average(folder: Path) -> None:
    """Whether a last word is the likeliest is no choice among options, though the harness calls both acc."""
    (folder / "tasks" / "word.yaml").write_text(WRITTEN.replace("said", "word") + "output_type: loglikelihood\n")

    assert "acc is acc here and greedy there" in said(folder, f"group: g\ntask: [sky, word]\n{ACC}")


def test_files_beside_a_group_that_are_no_tasks_are_passed_over(folder: Path) -> None:
    """A list, and YAML that is none; they are named where a task is missing."""
    (folder / "tasks" / "list.yaml").write_text("- 1\n")
    (folder / "tasks" / "torn.yaml").write_text("a: [\n")

    assert len(read(folder, "group: g\ntask: [sky]\n").sequences) == 2
    assert "Not readable there: tasks/list.yaml" in said(folder, "group: g\ntask: [skies]\n")


def test_a_group_without_rows_says_how_they_are_given(folder: Path) -> None:
    (folder / "group.yaml").write_text("group: g\ntask: [sky]\n")
    with pytest.raises(UsageError, match="--data"):
        read_suite(folder / "group.yaml")
