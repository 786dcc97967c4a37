"""Tasks of lm-evaluation-harness, imported: their prompts, draws, stops and answers are those that the harness has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightjar.pipeline.scoring.extract_check import extract
from nightjar.pipeline.scoring.scorer import Context
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.harness.task_suite import TaskData
from nightjar.pipeline.suites.read import read_suite
from nightjar.workers.conversation.row_template_process import RowTemplateProcess
from tests.lm_eval_requests import Rows, harness_task, our_requests, rows_files, task_file_of, their_requests

pytest.importorskip("lm_eval.tasks")
pytestmark = pytest.mark.filterwarnings("ignore")

ARC = [
    {
        "id": f"r{at}",
        "question": f"Why {at}?",
        "choices": {"text": ["a", "it's b"], "label": ["A", "B"]},
        "answerKey": "AB"[at % 2],
    }
    for at in range(8)
]
SCIQ = [
    {
        "support": f"  It is {at}.\n",
        "question": f"Which {at}?",
        "distractor1": "w",
        "distractor2": "x",
        "distractor3": "y",
        "correct_answer": 'z "q"',
    }
    for at in range(6)
]
MMLU = [
    {"question": f" Is it {at}? ", "subject": "anatomy", "choices": ["w", "x", "y", "z"], "answer": at % 4}
    for at in range(6)
]
PIQA = [{"goal": f"Dry it {at}", "sol1": "s", "sol2": "t", "label": at % 2} for at in range(5)]
GSM8K = [{"question": f"How many {at}?", "answer": f"So it is.\n#### {at}"} for at in range(9)]
LAMBADA = [{"text": "he ate the cake"}]
HELLASWAG = [
    {"query": f"Cooking: a man {at}", "choices": ["eats", "is gone", "sings", "sleeps"], "label": "3"}
    for at in range(5)
]

CASES: list[tuple[str, dict[str, Rows], int | None]] = [
    # (task, split -> rows, examples)
    ("arc_easy", {"test": ARC[:2], "train": ARC}, None),
    ("arc_easy", {"test": ARC[:2], "train": ARC}, 3),  # drawn, a question may be among them
    ("sciq", {"test": SCIQ[:2], "train": SCIQ[2:]}, 2),  # white space, quotes, a constant target
    ("mmlu_anatomy", {"test": MMLU[5:], "dev": MMLU[:5]}, 5),  # an included file, a description, the first ones
    ("piqa", {"validation": PIQA, "train": PIQA}, 3),  # no test split: itself left out, one more drawn
    ("gsm8k", {"test": GSM8K[:2], "train": GSM8K[2:]}, None),  # its own number of examples
    ("lambada_openai", {"test": LAMBADA}, None),
]


def imported(file: Path, data: dict[str, Rows], shots: int | None, folder: Path, *, skip: bool = False) -> SuiteContent:
    files = [f"{split}={path}" for split, path in rows_files(data, folder).items()]
    with RowTemplateProcess() as renderer:
        task = TaskData(files=files, renderer=renderer, shots=shots)
        return read_suite(file, "lm-eval", task=task, skip_unsupported=skip)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(("task", "splits", "shots"), CASES)
def test_a_task_that_the_harness_brings_asks_the_same(
    task: str, splits: dict[str, Rows], shots: int | None, tmp_path: Path
) -> None:
    file = task_file_of(task)
    unused = () if shots or task == "gsm8k" else ("train",)
    ours = imported(file, {split: rows for split, rows in splits.items() if split not in unused}, shots, tmp_path)

    assert our_requests(ours.sequences) == their_requests(file, splits, shots, tmp_path)


def test_rows_that_hold_what_its_function_makes_are_asked_as_they_are(tmp_path: Path) -> None:
    """hellaswag makes its rows with Python; with rows made before, the task itself is of the subset."""
    suite = imported(task_file_of("hellaswag"), {"validation": HELLASWAG}, 0, tmp_path, skip=True)

    assert our_requests(suite.sequences)[3] == ("Cooking: a man 0", " sleeps")
    assert suite.sequences[0].turns[0].choices is not None
    assert suite.sequences[0].turns[0].choices.right == (3,)
    assert "process_docs" in suite.left_out[0]


SPACED = r"""
task: spaced
output_type: multiple_choice
test_split: test
validation_split: validation
fewshot_split: validation
num_fewshot: 2
doc_to_text: "{% if q %}\n  {{q}}\n{% endif %}\n"
doc_to_choice: ["yes it is", "no"]
doc_to_target: a
target_delimiter: ""
fewshot_delimiter: "\n###\n"
description: "About {{q}}: "
"""
CONTEXTS = r"""
task: contexts
output_type: multiple_choice
test_split: test
validation_split: validation
num_fewshot: 2
doc_to_text: "{{n}}"
doc_to_choice: "{{[s ~ x, s ~ y]}}"
doc_to_target: "{{e}}"
"""
SEVERAL = r"""
task: several
output_type: multiple_choice
test_split: test
doc_to_text: q
doc_to_choice: {a: one, b: two, c: three}
doc_to_target: "{{r}}"
"""
SAMPLES = r"""
task: samples
output_type: generate_until
test_split: test
num_fewshot: 2
doc_to_text: "Q: {{q}}"
doc_to_target: a
generation_kwargs: {max_gen_toks: 9}
fewshot_config:
  sampler: first_n
  doc_to_text: "E: {{q}}"
  samples: [{q: x, a: y}, {q: v, a: w}, {q: t, a: u}]
"""
ROLLING = r"""
task: rolling
output_type: loglikelihood_rolling
test_split: test
doc_to_text: ""
doc_to_target: "{{q}}\n"
"""
BEGUN = r"""
task: begun
output_type: {output}
test_split: test
validation_split: validation
fewshot_split: validation
num_fewshot: 2
doc_to_text: "Q: {{q}}"
{choices}
doc_to_target: a
gen_prefix: "{prefix}"
"""
AS_CHOICE = BEGUN.replace("{output}", "multiple_choice").replace("{choices}", 'doc_to_choice: ["yes it is", "no"]')
AS_WRITTEN = BEGUN.replace("{output}", "generate_until").replace("{choices}", "")
BC = [{"q": at, "a": "yes it is"} for at in "BCD"]
NAMES = [{"n": 0, "s": f"{at} saw ", "x": "Bo", "y": "Al", "e": "sang."} for at in "abc"]
ODD: list[tuple[str, dict[str, Rows]]] = [
    # (task, split -> rows)
    (SPACED, {"test": [{"q": "A", "a": "no"}], "validation": BC}),  # white space around blocks stays
    (CONTEXTS, {"test": [{**NAMES[0], "n": 1, "e": "was tall."}], "validation": NAMES}),  # a number asks for contexts
    (SEVERAL, {"test": [{"q": f"P{at}", "r": [at, 2]} for at in range(3)]}),  # choices by name, several right ones
    (SAMPLES, {"test": [{"q": "A", "a": "B"}]}),  # examples in the task itself, written otherwise
    (AS_CHOICE.replace("{prefix}", "The answer is"), {"test": [{"q": "A", "a": "no"}], "validation": BC}),
    (AS_CHOICE.replace("{prefix}", "\\nIt is "), {"test": [{"q": "A", "a": "no"}], "validation": BC}),  # white space
    (AS_WRITTEN.replace("{prefix}", "{{q}} is"), {"test": [{"q": "A", "a": "no"}], "validation": BC}),
    (ROLLING, {"test": [{"q": "A text."}]}),
]


@pytest.mark.parametrize(("text", "splits"), ODD)
def test_what_tasks_may_say_is_read_as_the_harness_reads_it(text: str, splits: dict[str, Rows], tmp_path: Path) -> None:
    file = tmp_path / "odd.yaml"
    file.write_text(text)

    ours = our_requests(imported(file, splits, None, tmp_path).sequences)
    assert ours == their_requests(file, splits, None, tmp_path)


def test_a_written_reply_ends_where_the_harness_ends_it(tmp_path: Path) -> None:
    splits = {"test": GSM8K[:2], "train": GSM8K[2:]}
    asked = harness_task(task_file_of("gsm8k"), splits, None, tmp_path).instances[0].args[1]
    parameters = imported(task_file_of("gsm8k"), splits, None, tmp_path).sequences[0].parameters

    assert (parameters["stop"], parameters["temperature"]) == (asked["until"], asked["temperature"])


REPLIES = st.lists(
    st.sampled_from(["#### 4", "#### -1,204.", "$12", "4", " so ", "\n", "####", "1,204", ".", "-7", "7.5", "A"]),
    max_size=8,
).map("".join)


@given(reply=REPLIES, answer=st.sampled_from(["x\n#### 4", "x\n#### 1,204", "#### -7", "#### 12"]))
def test_a_written_reply_is_read_as_the_harness_reads_it(reply: str, answer: str) -> None:
    """Both filters of gsm8k, and its exact match, against the checks that an import makes of them."""
    from lm_eval.api.metrics import exact_match_hf_evaluate
    from lm_eval.filters.extraction import RegexFilter

    ignore = [",", "\\$", "(?s).*#### ", "\\.$"]
    for filtered, argument in (
        ({"regex_pattern": "#### (\\-?[0-9\\.\\,]+)"}, {"match": 0}),
        ({"regex_pattern": "(-?[$0-9.,]{2,})|(-?[0-9]+)", "group_select": -1}, {"match": -1}),
    ):
        (found,) = RegexFilter(**filtered).apply([[reply]], [{}])
        theirs = exact_match_hf_evaluate(found, [answer], regexes_to_ignore=ignore, ignore_case=True)
        value: dict[str, Any] = {"answer": answer, "pattern": filtered["regex_pattern"], "ignore": ignore}
        ours = extract({**value, **argument, "ignore_case": True})(Context(prompt="Q", reply=reply))

        assert ours.value == float(theirs["exact_match"])


@given(st.lists(st.lists(st.booleans(), min_size=2, max_size=9), min_size=2, max_size=5))
def test_averages_over_parts_are_the_harness_own(parts: list[list[bool]]) -> None:
    """A group's mean with and without `weight_by_size`, and the standard error of the one without."""
    from lm_eval.api.metrics import aggregate_subtask_metrics

    from nightjar.pipeline.statistics.strata import stratified_values

    values = {f"{part}.{at}": float(right) for part, inside in enumerate(parts) for at, right in enumerate(inside)}
    means = [sum(inside) / len(inside) for inside in parts]
    macro = stratified_values(values, {key: key.partition(".")[0] for key in values})

    sizes = [len(inside) for inside in parts]
    assert sum(macro.values()) / len(macro) == pytest.approx(
        aggregate_subtask_metrics(means, sizes, weight_by_size=False)
    )
    assert sum(values.values()) / len(values) == pytest.approx(
        aggregate_subtask_metrics(means, sizes, weight_by_size=True)
    )
