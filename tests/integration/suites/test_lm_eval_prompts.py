"""Our prompts and continuations against those that lm-evaluation-harness' own tasks make of the same rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightjar.jobs.sequences import Choices, TextRule
from nightjar.pipeline.scoring.likelihood_scorers import OF_CHOICES
from nightjar.pipeline.scoring.scorer import Context
from nightjar.pipeline.suites.benchmarks.catalogue import BENCHMARKS, HowAsked, suite_of
from nightjar.pipeline.suites.benchmarks.wikitext import plain_article
from nightjar.pipeline.transcripts import ChoiceRow, LikelihoodRow
from nightjar.workers.conversation.text_windows import Vocabulary, plan_windows
from tests.lm_eval_requests import our_requests, task_file_of, their_requests

pytest.importorskip("lm_eval.tasks")
Rows = list[dict[str, Any]]

ARC = [
    {"id": f"r{at}", "question": f"Why {at}?", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "B"}
    for at in range(8)
]
MMLU = [
    {"question": f" Is it {at}? ", "subject": "anatomy", "choices": ["w", "x", "y", "z"], "answer": at % 4}
    for at in range(6)
]
HELLASWAG = [
    {
        "ind": at,
        "activity_label": "Cooking",
        "ctx_a": f"A man stands {at} [step] here.",
        "ctx_b": "he",
        "endings": ["eats [title] now", "is  [step] gone", "sings", "sleeps"],
        "label": "3",
    }
    for at in range(7)
]
WINOGRANDE = [
    {"sentence": f"Ann saw Bo {at} because _ was tall.", "option1": "Ann", "option2": "Bo", "answer": "12"[at % 2]}
    for at in range(8)
]
TRUTHFUL = [
    {
        "question": "True?",
        "mc1_targets": {"choices": ["yes", "no"], "labels": [1, 0]},
        "mc2_targets": {"choices": ["yes", "surely", "no"], "labels": [1, 1, 0]},
    }
]
GSM8K = [{"question": f"How many {at}?", "answer": f"So it is.\n#### {at}"} for at in range(9)]
MMLU_PRO = [
    {
        "question_id": at,
        "question": f"Which {at}?",
        "options": ["m ", "n"],
        "answer": "B",
        "category": "law",
        "cot_content": f"A: Let's think step by step. It is n, {at}. The answer is (B).",
    }
    for at in range(7)
]
PIQA = [{"goal": "Dry it", "sol1": "s", "sol2": "t", "label": 1}]

CASES: list[tuple[str, str, dict[str, Rows], int]] = [
    # (ours, theirs, split -> rows, examples)
    ("lambada", "lambada_openai", {"test": [{"text": "he ate the cake"}]}, 0),
    ("arc-easy", "arc_easy", {"test": ARC[:2], "train": ARC, "validation": ARC}, 0),
    ("arc-easy", "arc_easy", {"test": ARC[:2], "train": ARC[2:], "validation": ARC}, 3),
    ("mmlu", "mmlu_anatomy", {"test": MMLU[5:], "dev": MMLU[:5]}, 5),
    ("hellaswag", "hellaswag", {"validation": HELLASWAG, "train": HELLASWAG}, 0),
    ("hellaswag", "hellaswag", {"validation": HELLASWAG[:3], "train": HELLASWAG[3:]}, 2),
    ("winogrande", "winogrande", {"validation": WINOGRANDE[:2], "train": WINOGRANDE[2:]}, 0),
    ("winogrande", "winogrande", {"validation": WINOGRANDE[:2], "train": WINOGRANDE[2:]}, 2),
    ("truthfulqa-mc1", "truthfulqa_mc1", {"validation": TRUTHFUL}, 0),
    ("truthfulqa-mc2", "truthfulqa_mc2", {"validation": TRUTHFUL}, 0),
    ("piqa", "piqa", {"validation": PIQA, "train": PIQA}, 0),
    ("gsm8k", "gsm8k", {"test": GSM8K[:2], "train": GSM8K[2:]}, 5),
    ("mmlu-pro", "mmlu_pro_law", {"test": MMLU_PRO[5:], "validation": MMLU_PRO[:5]}, 5),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "task", "splits", "shots"), CASES)
def test_a_task_s_requests_are_ours(
    name: str, task: str, splits: dict[str, Rows], shots: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    benchmark = BENCHMARKS[name]
    asked = HowAsked(shots=shots) if benchmark.takes_shots else HowAsked()

    if task == "truthfulqa_mc2":  # only its own functions need it
        pytest.importorskip("rouge_score")
    theirs = their_requests(task_file_of(task), splits, shots, tmp_path)
    assert our_requests(suite_of(benchmark, splits, asked, None).sequences) == theirs


@given(length=st.integers(1, 90), window=st.integers(2, 25))
def test_rolling_windows_are_the_harness_own(length: int, window: int) -> None:
    from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

    plan = plan_windows(
        list(range(length)), TextRule(window=window), Vocabulary(bos=1000, eos=None, asked_bos=False, context=64)
    )
    rolling = get_rolling_token_windows(
        token_list=list(range(length)), prefix_token=1000, max_seq_len=window, context_len=1
    )
    own = [tuple(map(tuple, make_disjoint_window(pair))) for pair in rolling]

    assert [(one.context, one.scored) for one in plan.windows] == own


MARKS = st.lists(
    st.sampled_from(
        [
            "It 's",
            "dogs '",
            "@-@",
            "@,@",
            "@.@",
            " : ",
            " ; ",
            ".",
            "( a )",
            "[ b]",
            '" c "',
            "' d '",
            "= = = =",
            "= =",
            "°",
            "\n",
            "N",
            "word",
            "!",
            "?",
            ",",
        ]
    ),
    max_size=25,
)


@given(MARKS)
def test_articles_are_closed_up_as_the_harness_does(marks: list[str]) -> None:
    from lm_eval.tasks.wikitext.preprocess_wikitext import wikitext_detokenizer

    page = " ".join(marks)
    assert plain_article(page) == wikitext_detokenizer({"page": page})


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(-4000, -1)), min_size=2, max_size=6, unique=True))
def test_accuracies_are_the_harness_own(choices: list[tuple[int, int]]) -> None:
    """acc and acc_norm of the same sums, by a task of its own."""
    texts = tuple(chr(97 + at) * length for at, (length, _) in enumerate(choices))
    sums = [value / 100 for _, value in choices]
    task = object.__new__(_task_class())
    expected = task.judged(texts, sums, right=0)
    given_here = Choices(texts=texts, right=(0,))
    found = LikelihoodRow(
        layout="resumed",
        choices=tuple(
            ChoiceRow(logprob=value, tokens=1, characters=len(text), bytes=len(text), greedy=False)
            for text, value in zip(texts, sums, strict=True)
        ),
    )
    context = Context(prompt="Q", reply="", likelihoods=found, choices=given_here)

    assert {scorer.name: scorer(context).value for scorer in OF_CHOICES[:2]} == expected


def _task_class() -> Any:
    """The harness' multiple-choice task, with a way to judge sums without a data set."""
    from types import SimpleNamespace

    from lm_eval.api.task import ConfigurableTask

    class Judge(ConfigurableTask):  # type: ignore[misc]  # lm_eval has no types
        def judged(self, texts: tuple[str, ...], sums: list[float], right: int) -> dict[str, float]:
            self._config = SimpleNamespace(repeats=1, process_results=None, output_type="multiple_choice")
            self.OUTPUT_TYPE = "multiple_choice"
            self.multiple_input = self.multiple_target = 0
            self._metric_fn_list = {"acc": None, "acc_norm": None}
            self.doc_to_choice = lambda doc: list(texts)
            self.doc_to_text = lambda doc: "Q"
            self.doc_to_target = lambda doc: right
            found = self.process_results({}, [(value, False) for value in sums])
            return {name: float(found[name]) for name in ("acc", "acc_norm")}

    return Judge
