"""Groups of lm-evaluation-harness, imported: their tasks, requests and averages are those that the harness has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nightjar.pipeline.statistics.strata import stratified_values
from nightjar.pipeline.suites.benchmarks.choice_tasks import MMLU_GROUPS
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.harness.task_suite import TaskData
from nightjar.pipeline.suites.read import read_suite
from nightjar.workers.conversation.row_template_process import RowTemplateProcess
from tests.lm_eval_requests import our_requests, requests_of, task_file_of

pytest.importorskip("lm_eval.tasks")
pytestmark = pytest.mark.filterwarnings("ignore")

SIZES = {"sky": 5, "sea": 2, "own": 3}
TASK = """\
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {folder}/{name}.jsonl}}}}
tag: {tag}
output_type: multiple_choice
test_split: test
doc_to_text: "{name} {{{{q}}}}"
doc_to_choice: ["red", "blue"]
doc_to_target: a
metric_list: [{{metric: acc}}]
"""
GROUP = """\
group: outer
task:
  - wet
  - inner
  - task: own
    dataset_path: json
    dataset_kwargs: {{data_files: {{test: {folder}/own.jsonl}}}}
    output_type: multiple_choice
    test_split: test
    doc_to_text: "own {{{{q}}}}"
    doc_to_choice: ["red", "blue"]
    doc_to_target: a
    metric_list: [{{metric: acc}}]
aggregate_metric_list:
  - {{metric: acc, weight_by_size: {by_size}}}
"""
INNER = "group: inner\ntask: [{task: sky, doc_to_text: 'Up {{q}}'}]\ntarget_delimiter: '='\n"


def imported(file: Path, data: list[str]) -> SuiteContent:
    with RowTemplateProcess() as renderer:
        return read_suite(file, "lm-eval", task=TaskData(files=data, renderer=renderer))


@pytest.mark.parametrize("by_size", [True, False])
def test_a_group_asks_and_sums_up_as_the_harness_does(
    by_size: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tag, a group in another file with fields in the place of its task's, a task that is written in the group."""
    from lm_eval.tasks import TaskManager

    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    for name, size in SIZES.items():
        rows = [{"q": f"{name} {at}?", "a": at % 2} for at in range(size)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, tag in (("sky", "dry"), ("sea", "wet")):
        (tmp_path / f"{name}.yaml").write_text(TASK.format(name=name, tag=tag, folder=tmp_path))
    (tmp_path / "inner.yaml").write_text(INNER)
    file = tmp_path / "outer.yaml"
    file.write_text(GROUP.format(folder=tmp_path, by_size=str(by_size).lower()))

    loaded = TaskManager(include_path=str(tmp_path), include_defaults=False).load(["outer"])
    group = loaded["groups"]["outer"]
    tasks = group.get_all_tasks()
    ours = imported(file, [f"test={tmp_path}/{{task}}.jsonl"])

    assert our_requests(ours.sequences) == [pair for task in tasks for pair in requests_of(task)]

    right = {sequence.id: float(hash_free(sequence.id)) for sequence in ours.sequences}
    means: dict[str, Any] = {}
    for task in tasks:
        mine = [value for name, value in right.items() if name.startswith(f"{task.task_name.rpartition('::')[2]}.")]
        means[task.task_name] = {"acc,none": sum(mine) / len(mine), "sample_len": len(mine)}
    parts = {sequence.id: sequence.averages["acc.outer"] for sequence in ours.sequences}
    values = stratified_values(right, parts)

    assert sum(values.values()) / len(values) == pytest.approx(group.aggregate(means)["acc,none"])


def hash_free(text: str) -> int:
    """0 or 1, the same in every process."""
    return sum(map(ord, text)) % 2


def test_the_harness_own_mmlu_is_the_one_that_is_pulled(tmp_path: Path) -> None:
    """57 subjects in four groups, by tags, with an included file and rows by their data set's name."""
    file = task_file_of("mmlu")
    subjects = {path.stem.removeprefix("mmlu_") for path in file.parent.glob("mmlu_*.yaml")}
    for subject in subjects:
        row = {"question": f" Is it {subject}? ", "subject": subject, "choices": ["w", "x", "y", "z"], "answer": 1}
        (tmp_path / f"{subject}.jsonl").write_text(json.dumps(row) + "\n")
    suite = imported(file, [f"test={tmp_path}/{{dataset_name}}.jsonl"])

    assert (len(suite.sequences), suite.primary_metric) == (57, "acc.mmlu")
    for sequence in suite.sequences:
        subject = sequence.tags[0].removeprefix("mmlu_")
        group = next((name for name, listed in MMLU_GROUPS.items() if subject in listed.split()), "other")
        assert sequence.averages == {"acc.mmlu": "all", f"acc.mmlu_{group}": "all"}
