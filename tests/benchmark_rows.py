"""Made-up rows of every benchmark that can be pulled, and a hub that has them."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from nightjar.pipeline.suites.benchmarks.catalogue import BENCHMARKS, Benchmark
from tests.hub import LocalHub, Repository

Rows = list[dict[str, Any]]

_ARC: Rows = [
    {"id": f"r{at}", "question": f"Q{at}?", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "B"}
    for at in range(4)
]
_MMLU: Rows = [
    {"question": f"Is it {subject} {at}?", "subject": subject, "choices": ["w", "x", "y", "z"], "answer": at % 4}
    for subject in ("anatomy", "virology", "philosophy")
    for at in range(6)
]
_TRUTHFUL: Rows = [
    {
        "question": "True?",
        "mc1_targets": {"choices": ["yes", "no"], "labels": [1, 0]},
        "mc2_targets": {"choices": ["yes", "surely", "no"], "labels": [1, 1, 0]},
    }
]
_MMLU_PRO: Rows = [
    {
        "question_id": at,
        "question": f"Which {at}?",
        "options": ["m", "n"],
        "answer": "B",
        "category": ("law", "health")[at % 2],
        "cot_content": "A: Let's think step by step. The answer is (B).",
    }
    for at in range(12)
]
_HELLASWAG: Rows = [
    {
        "ind": at,
        "activity_label": "Cooking",
        "ctx_a": "A man stands.",
        "ctx_b": "he",
        "endings": ["eats", "is gone", "sings", "sleeps"],
        "label": "3",
    }
    for at in range(3)
]
_GPQA: Rows = [
    {
        "Question": f"Which secret {at}?\nSay.",
        "Correct Answer": "right, it is",
        **{f"Incorrect Answer {wrong}": f"wrong {wrong} " for wrong in (1, 2, 3)},
        "High-level domain": "Physics",
        "Record ID": f"rec{at}",
    }
    for at in range(5)
]
ROWS: dict[str, Rows] = {
    "wikitext-2": [{"text": text} for text in ("", " = One = \n", "", " A @-@ b . \n", " = Two = \n", " More . \n")],
    "lambada": [{"text": f"it rained cats and {word}"} for word in ("dogs", "mice")],
    "mmlu": _MMLU,
    "arc-easy": _ARC,
    "arc-challenge": _ARC,
    "hellaswag": _HELLASWAG,
    "winogrande": [{"sentence": "Ann saw Bo because _ was tall.", "option1": "Ann", "option2": "Bo", "answer": "2"}],
    "truthfulqa-mc1": _TRUTHFUL,
    "truthfulqa-mc2": _TRUTHFUL,
    "piqa": [{"goal": "Dry it", "sol1": "s", "sol2": "t", "label": 1}],
    "gsm8k": [{"question": f"How many {at}?", "answer": f"So it is.\n#### {at}"} for at in range(9)],
    "mmlu-pro": _MMLU_PRO,
    "ifeval": [
        {"key": 7, "prompt": "Write.", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{"num_words": None}]}
    ],
    "math-500": [
        {"problem": "What is 1/2?", "answer": r"\frac{1}{2}", "subject": "Algebra", "level": 2, "unique_id": "t/1.json"}
    ],
    "gpqa": _GPQA,
    "gpqa-diamond": _GPQA[:2],
}
"""Of every split."""


def file_name(benchmark: Benchmark, split: str) -> str:
    """A name that the first pattern of a split finds."""
    return benchmark.files[split][0].replace("*", "00000-of-00001")


def put_benchmark(hub: LocalHub, name: str) -> Repository:
    """The hub has the benchmark's files from now on."""
    benchmark = BENCHMARKS[name]
    write = {"parquet": parquet, "jsonl": json_lines, "csv": csv_table}
    files = {}
    for split in benchmark.files:
        file = file_name(benchmark, split)
        files[file] = write[file.rpartition(".")[2]](ROWS[name])
    repository = Repository(files=files, gated=benchmark.withheld)
    hub.repositories[benchmark.repo] = repository
    return repository


def parquet(rows: Rows) -> bytes:
    """The rows as a Parquet file."""
    import pyarrow
    import pyarrow.parquet

    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    return file.getvalue()


def json_lines(rows: Rows) -> bytes:
    """The rows as JSON Lines."""
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def csv_table(rows: Rows) -> bytes:
    """The rows as CSV."""
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode()
