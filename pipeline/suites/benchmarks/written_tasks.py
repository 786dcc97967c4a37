"""Benchmarks whose answers are written: a row -> a question with its checks, as the harness asks it. Pure."""

from __future__ import annotations

import re
from typing import Any

from nightjar.jobs.sequences import Expectation
from nightjar.pipeline.suites.benchmarks.question import LETTERS, BenchmarkQuestion, Row, row_id

GSM8K_PARAMETERS: dict[str, Any] = {
    "temperature": 0.0,
    "max_tokens": 256,
    "stop": ["Question:", "</s>", "<|im_end|>"],
}
MMLU_PRO_PARAMETERS: dict[str, Any] = {"temperature": 0.0, "max_tokens": 2048, "stop": ["Question:"]}
_THINKING = "Let's think step by step."


def gsm8k(row: Row, number: int) -> BenchmarkQuestion:
    """`numeric` reads the reply's answer wherever it stands; `regex` wants it after the first ####, as strict-match."""
    answer = str(row["answer"])
    value = answer.rpartition("#### ")[2].strip().replace(",", "")
    return BenchmarkQuestion(
        id=row_id("problem", number),
        prompt=f"Question: {row['question']}\nAnswer:",
        answer=answer,
        expect=(
            Expectation(check="numeric", value=float(value) if "." in value else int(value)),
            Expectation(check="regex", value=strict_number(value)),
        ),
    )


def strict_number(value: str) -> str:
    """A pattern that is met where the first number after #### is this one, with commas anywhere in it."""
    digits = ",*".join(re.escape(digit) for digit in value)
    return rf"(?s)\A(?:(?!\#\#\#\# -?[0-9.,]).)*\#\#\#\# {digits},*\.?(?![0-9.,])"


def mmlu_pro(row: Row, number: int) -> BenchmarkQuestion:
    """Up to ten options, thought about first; the first "answer is (X)" counts."""
    options = "".join(
        f"{letter}. {str(option).strip()}\n" for letter, option in zip(LETTERS, row["options"], strict=False)
    )
    thought = str(row.get("cot_content") or "").replace(f"A: {_THINKING} ", "")
    subject, letter = str(row["category"]), str(row["answer"])
    first = rf"(?s)\A(?:(?!answer is \(?[A-J]).)*answer is \(?{letter}"
    return BenchmarkQuestion(
        id=row_id(subject, row.get("question_id", number)),
        prompt=f"Question:\n{row['question']}\nOptions:\n{options}Answer: {_THINKING}",
        answer=thought or letter,
        expect=(Expectation(check="regex", value=first),),
        tags=(subject,),
        header="The following are multiple choice questions (with answers) about "
        f'{subject}. Think step by step and then finish your answer with "the answer is (X)" where X is the correct '
        "letter choice.\n",
    )
