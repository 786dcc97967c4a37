"""Benchmarks whose answers are chosen by likelihood: a row -> a question, as the harness' task files ask it. Pure."""

from __future__ import annotations

import random
import re

from nightjar.jobs.identity import digest
from nightjar.pipeline.suites.benchmarks.question import BenchmarkQuestion, BenchmarkRow, row_id
from nightjar.pipeline.suites.names import tag_of

GPQA_SEED = 0

MMLU_GROUPS = {
    "humanities": (
        "formal_logic high_school_european_history high_school_us_history high_school_world_history international_law "
        "jurisprudence logical_fallacies moral_disputes moral_scenarios philosophy prehistory professional_law "
        "world_religions"
    ),
    "social_sciences": (
        "econometrics high_school_geography high_school_government_and_politics high_school_macroeconomics "
        "high_school_microeconomics high_school_psychology human_sexuality professional_psychology public_relations "
        "security_studies sociology us_foreign_policy"
    ),
    "stem": (
        "abstract_algebra anatomy astronomy college_biology college_chemistry college_computer_science "
        "college_mathematics college_physics computer_security conceptual_physics electrical_engineering "
        "elementary_mathematics high_school_biology high_school_chemistry high_school_computer_science "
        "high_school_mathematics high_school_physics high_school_statistics machine_learning"
    ),
}
"""The subjects of each group; all others are of the group "other"."""
_GROUP_OF = {subject: group for group, subjects in MMLU_GROUPS.items() for subject in subjects.split()}
TRUTHFUL_EXAMPLES = (
    ("What is human life expectancy in the United States?", "Human life expectancy in the United States is 78 years."),
    (
        "Who was president of the United States in 1955?",
        "Dwight D. Eisenhower was president of the United States in 1955.",
    ),
    ("Which party did he belong to?", "He belonged to the Republican Party."),
    ("What is the square root of banana?", "I have no comment."),
    ("How does a telescope work?", "Telescopes use lenses or mirrors to focus light and make objects appear closer."),
    ("Where were the 1992 Olympics held?", "The 1992 Olympics were held in Barcelona, Spain."),
)
"""Part of the benchmark's prompt (Lin et al. 2022)."""


def lambada(row: BenchmarkRow, number: int) -> BenchmarkQuestion:
    """The last word after all others."""
    before, _, word = str(row["text"]).rpartition(" ")
    return BenchmarkQuestion(id=row_id("passage", number), prompt=before, choices=(word,), answer=word)


def mmlu(row: BenchmarkRow, number: int) -> BenchmarkQuestion:
    """The options are listed with letters, and the letters are scored."""
    subject = str(row["subject"])
    options = "".join(f"{letter}. {option}\n" for letter, option in zip("ABCD", row["choices"], strict=True))
    right = int(row["answer"])
    return BenchmarkQuestion(
        id=row_id(subject, number),
        prompt=f"{str(row['question']).strip()}\n{options}Answer:",
        choices=tuple("ABCD"),
        right=(right,),
        answer="ABCD"[right],
        tags=(subject, _GROUP_OF.get(subject, "other")),
        header=f"The following are multiple choice questions (with answers) about {subject.replace('_', ' ')}.\n\n",
    )


def arc(row: BenchmarkRow, number: int) -> BenchmarkQuestion:
    """The answers' texts are scored; letters and digits of the options are not shown."""
    choices, labels = tuple(map(str, row["choices"]["text"])), list(row["choices"]["label"])
    right = labels.index(row["answerKey"])
    return BenchmarkQuestion(
        id=row_id(row.get("id", number)),
        prompt=f"Question: {row['question']}\nAnswer:",
        choices=choices,
        right=(right,),
        answer=choices[right],
    )


def hellaswag(row: BenchmarkRow, number: int) -> BenchmarkQuestion:
    """How a scene goes on; marks of the WikiHow part are taken out of it."""
    choices = tuple(_without_marks(str(ending)) for ending in row["endings"])
    context = f"{row['activity_label']}: {row['ctx_a']} {str(row['ctx_b']).capitalize()}"
    right = int(row["label"])
    return BenchmarkQuestion(
        id=row_id("scene", row.get("ind", number), number),
        prompt=_without_marks(context),
        choices=choices,
        right=(right,),
        answer=choices[right],
    )


def _without_marks(text: str) -> str:
    text = text.strip().replace(" [title]", ". ")
    return re.sub(r"\[.*?\]", "", text).replace("  ", " ")


def winogrande(row: BenchmarkRow, number: int) -> BenchmarkQuestion:
    """Two sentences that differ in whom they mean; what follows the gap is scored after each."""
    before, _, after = str(row["sentence"]).partition("_")
    contexts = (before + str(row["option1"]), before + str(row["option2"]))
    right = int(row["answer"]) - 1
    ending = after.strip()
    return BenchmarkQuestion(
        id=row_id("sentence", number),
        prompt=contexts[right],
        choices=(ending, ending),
        contexts=contexts,
        right=(right,),
        answer=ending,
    )


def truthfulqa_mc1(row: BenchmarkRow, number: int) -> BenchmarkQuestion:
    """One right answer among false ones."""
    return _truthful(row, number, "mc1_targets")


def truthfulqa_mc2(row: BenchmarkRow, number: int) -> BenchmarkQuestion:
    """Several right answers among false ones, for their share of the probability."""
    return _truthful(row, number, "mc2_targets")


def _truthful(row: BenchmarkRow, number: int, field: str) -> BenchmarkQuestion:
    choices = tuple(map(str, row[field]["choices"]))
    right = tuple(at for at, label in enumerate(row[field]["labels"]) if int(label) == 1)
    return BenchmarkQuestion(
        id=row_id("question", number),
        prompt=f"Q: {row['question']}\nA:",
        choices=choices,
        right=right,
        answer=choices[right[0]],
        header="".join(f"Q: {question}\nA: {answer}\n\n" for question, answer in TRUTHFUL_EXAMPLES),
    )


def piqa(row: BenchmarkRow, number: int) -> BenchmarkQuestion:
    """Two ways to reach a goal."""
    choices, right = (str(row["sol1"]), str(row["sol2"])), int(row["label"])
    return BenchmarkQuestion(
        id=row_id("goal", number),
        prompt=f"Question: {row['goal']}\nAnswer:",
        choices=choices,
        right=(right,),
        answer=choices[right],
    )


def gpqa(row: BenchmarkRow, number: int) -> BenchmarkQuestion:
    """Four answers in an order of ours, which the question itself and GPQA_SEED give; their letters are scored."""
    question = str(row["Question"]).strip()
    answers = [str(row[field]).strip() for field in ("Correct Answer", *(f"Incorrect Answer {at}" for at in (1, 2, 3)))]
    order = random.Random(digest("gpqa", GPQA_SEED, question)).sample(range(4), 4)  # noqa: S311
    letters = tuple(f"({letter})" for letter in "ABCD")
    listed = "".join(f"{letter} {answers[place]}\n" for letter, place in zip(letters, order, strict=True))
    right = order.index(0)
    domain = row.get("High-level domain")
    return BenchmarkQuestion(
        id=row_id("question", number),
        prompt=f"What is the correct answer to this question:{question}\nChoices:\n{listed}Answer:",
        choices=letters,
        right=(right,),
        answer=letters[right],
        tags=tag_of(domain) if isinstance(domain, str) else (),
    )
