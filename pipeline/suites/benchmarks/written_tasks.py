"""Benchmarks whose answers are written: a row -> a question with its checks, as the harness asks it. Pure."""

from __future__ import annotations

import re
from typing import Any

from nightjar.jobs.sequences import Expectation
from nightjar.pipeline.suites.benchmarks.question import LETTERS, BenchmarkQuestion, BenchmarkRow, row_id

GSM8K_PARAMETERS: dict[str, Any] = {
    "temperature": 0.0,
    "max_tokens": 256,
    "stop": ["Question:", "</s>", "<|im_end|>"],
}
MMLU_PRO_PARAMETERS: dict[str, Any] = {"temperature": 0.0, "max_tokens": 2048, "stop": ["Question:"]}
IFEVAL_PARAMETERS: dict[str, Any] = {"temperature": 0.0, "max_tokens": 1280}
IFEVAL_CHECKS = tuple(f"ifeval_{level}_{how}" for level in ("prompt", "inst") for how in ("strict", "loose"))
MATH_PARAMETERS: dict[str, Any] = {"temperature": 0.0, "max_tokens": 2048}
_BOXED = "Put the final answer into \\boxed{}."
_THINKING = "Let's think step by step."


def gsm8k(row: BenchmarkRow, number: int) -> BenchmarkQuestion:
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


def ifeval_prompt(row: BenchmarkRow, number: int) -> BenchmarkQuestion:
    """A prompt with instructions, which lm-eval's checkers look for in the reply; tags are their kinds."""
    names = [str(name) for name in row["instruction_id_list"]]
    arguments = [{name: value for name, value in given.items() if value is not None} for given in row["kwargs"]]
    instructions = [{"id": name, **given} for name, given in zip(names, arguments, strict=True)]
    return BenchmarkQuestion(
        id=row_id("prompt", row.get("key", number)),
        prompt=str(row["prompt"]),
        answer="",
        expect=tuple(Expectation(check=check, value=instructions) for check in IFEVAL_CHECKS),
        tags=tuple(dict.fromkeys(name.partition(":")[0] for name in names)),
    )


def math_500(row: BenchmarkRow, number: int) -> BenchmarkQuestion:
    """A problem whose answer is an expression; the prompt asks for it in a box."""
    answer = str(row["answer"])
    return BenchmarkQuestion(
        id=row_id(str(row.get("unique_id", number)).removesuffix(".json")),
        prompt=f"{row['problem']}\n\n{_BOXED}",
        answer=answer,
        expect=(Expectation(check="math", value=answer),),
        tags=(str(row["subject"]), f"level {row['level']}"),
    )


def strict_number(value: str) -> str:
    """A pattern that is met where the first number after #### is this one, with commas anywhere in it."""
    digits = ",*".join(re.escape(digit) for digit in value)
    return rf"(?s)\A(?:(?!\#\#\#\# -?[0-9.,]).)*\#\#\#\# {digits},*\.?(?![0-9.,])"


def mmlu_pro(row: BenchmarkRow, number: int) -> BenchmarkQuestion:
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
