"""Rows of benchmarks as questions: the prompts of lm-evaluation-harness' task files, written out."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
import regex

from nightjar.config.errors import SuiteError, UsageError
from nightjar.jobs.sequences import Choices, Mode, Sequence
from nightjar.pipeline.scoring.installed import validate_check
from nightjar.pipeline.suites.benchmarks.catalogue import (
    BENCHMARKS,
    LLAMA_RULE,
    HowAsked,
    file_of,
    splits_needed,
    suite_of,
)
from nightjar.pipeline.suites.benchmarks.wikitext import articles, plain_article, raw_text
from nightjar.pipeline.suites.benchmarks.written_tasks import strict_number

ZERO = HowAsked(shots=0)
ARC = {"id": "M_1", "question": "Why?", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "B"}
MMLU = {"question": " Is it? ", "subject": "college_biology", "choices": ["w", "x", "y", "z"], "answer": 2}
GSM8K = {"question": "How many?", "answer": "2 and 3 are <<2+3=5>>5.\n#### 1,005"}
HELLASWAG = {
    "ind": 7,
    "activity_label": "Cooking",
    "ctx_a": "A man stands.",
    "ctx_b": "he",
    "endings": ["eats [title] now", "is [step] gone", "sings", "sleeps"],
    "label": "3",
}
WINOGRANDE = {"sentence": "Ann saw Bo because _ was tall.", "option1": "Ann", "option2": "Bo", "answer": "2"}
TRUTHFUL = {
    "question": "True?",
    "mc1_targets": {"choices": ["yes", "no"], "labels": [1, 0]},
    "mc2_targets": {"choices": ["yes", "surely", "no"], "labels": [1, 1, 0]},
}
MMLU_PRO = {"question_id": 3, "question": "Which?", "options": ["m ", "n"], "answer": "B", "category": "law"}

ROWS: list[tuple[str, dict[str, Any], str, Choices]] = [
    ("lambada", {"text": "he ate the cake"}, "he ate the", Choices(texts=("cake",), right=(0,), delimiter=" ")),
    ("arc-easy", ARC, "Question: Why?\nAnswer:", Choices(texts=("a", "b"), right=(1,), delimiter=" ")),
    (
        "mmlu",
        MMLU,
        "Is it?\nA. w\nB. x\nC. y\nD. z\nAnswer:",
        Choices(texts=("A", "B", "C", "D"), right=(2,), delimiter=" "),
    ),
    (
        "hellaswag",
        HELLASWAG,
        "Cooking: A man stands. He",
        Choices(texts=("eats. now", "is gone", "sings", "sleeps"), right=(3,), delimiter=" "),
    ),
    (
        "winogrande",
        WINOGRANDE,
        "Ann saw Bo because Bo",
        Choices(
            texts=("was tall.",) * 2,
            right=(1,),
            delimiter=" ",
            contexts=("Ann saw Bo because Ann", "Ann saw Bo because Bo"),
        ),
    ),
    ("truthfulqa-mc1", TRUTHFUL, "Q: True?\nA:", Choices(texts=("yes", "no"), right=(0,), delimiter=" ")),
    ("truthfulqa-mc2", TRUTHFUL, "Q: True?\nA:", Choices(texts=("yes", "surely", "no"), right=(0, 1), delimiter=" ")),
    (
        "piqa",
        {"goal": "Dry it", "sol1": "s", "sol2": "t", "label": 1},
        "Question: Dry it\nAnswer:",
        Choices(texts=("s", "t"), right=(1,), delimiter=" "),
    ),
]


def made(name: str, rows: dict[str, list[dict[str, Any]]], asked: HowAsked = ZERO) -> list[Sequence]:
    return list(suite_of(BENCHMARKS[name], rows, asked, "mit").sequences)


@pytest.mark.parametrize(("name", "row", "prompt", "choices"), ROWS)
def test_a_row_as_a_question(name: str, row: dict[str, Any], prompt: str, choices: Choices) -> None:
    benchmark = BENCHMARKS[name]
    (sequence,) = made(name, {benchmark.asked: [row]}, ZERO if benchmark.takes_shots else HowAsked())
    turn = sequence.turns[0]

    assert (turn.prompt, turn.choices) == (prompt, choices)


def test_mmlu_shows_the_first_examples_of_its_own_subject() -> None:
    other = MMLU | {"subject": "virology", "question": "Not this?"}
    dev = [other, *(MMLU | {"question": f"Example {at}?", "answer": at % 4} for at in range(6))]
    (sequence,) = made("mmlu", {"test": [MMLU], "dev": dev}, HowAsked(shots=2))

    listed = "A. w\nB. x\nC. y\nD. z\nAnswer:"
    assert sequence.system == (
        "The following are multiple choice questions (with answers) about college biology.\n\n"
        f"Example 0?\n{listed} A\n\nExample 1?\n{listed} B\n\n"
    )
    assert sequence.tags == ("college_biology", "stem")


TOO_MANY = [
    # The first ones of a question's own subject, of which there are fewer, or none.
    ("mmlu", MMLU, [MMLU | {"question": "One?"}], "2 examples are asked for, .* 1 question .*for college_b"),
    ("mmlu", MMLU, [MMLU | {"subject": "virology"}] * 5, "has 0 questions to take them from for college_biology"),
    # Drawn ones; where the harness draws one more than it shows, that one must be there, too.
    ("arc-easy", ARC, [ARC], "the data has 1 question to take them from. Ask for fewer with --shots"),
    ("winogrande", WINOGRANDE, [WINOGRANDE] * 2, "the data has 2 questions to take them from"),
]


@pytest.mark.parametrize(("name", "row", "pool", "told"), TOO_MANY)
def test_more_examples_than_there_are_is_refused(
    name: str, row: dict[str, Any], pool: list[dict[str, Any]], told: str
) -> None:
    """Else a suite would be called 2-shot and show fewer."""
    benchmark = BENCHMARKS[name]

    with pytest.raises(UsageError, match=told):
        made(name, {benchmark.asked: [row], str(benchmark.pool): pool}, HowAsked(shots=2))


def test_gsm8k_draws_its_examples_as_the_harness_does() -> None:
    """One generator with the seed 1234, five questions of the training split for each question in turn."""
    train = [{"question": f"T{at}?", "answer": f"#### {at}"} for at in range(40)]
    sequences = made("gsm8k", {"test": [GSM8K, GSM8K], "train": train}, HowAsked())

    source = random.Random(1234)
    for sequence in sequences:
        drawn = source.sample(train, 5)
        texts = [f"Question: {row['question']}\nAnswer: {row['answer']}\n\n" for row in drawn]
        assert sequence.system == "".join(texts)
        assert sequence.turns[0].prompt == "Question: How many?\nAnswer:"
    assert sequences[0].parameters["temperature"] == 0
    assert {expectation.check: expectation.value for expectation in sequences[0].turns[0].expect}["numeric"] == 1005


STRICT = [
    ("so\n#### 1,005", True),
    ("so\n#### 1005.", True),
    ("#### 1005 and then #### 3", True),
    ("#### 3 and then #### 1005", False),
    ("#### 10055", False),
    ("1005", False),
]


@pytest.mark.parametrize(("reply", "met"), STRICT)
def test_the_strict_number_is_the_first_after_its_mark(reply: str, met: bool) -> None:
    assert (regex.search(strict_number("1005"), reply) is not None) is met


def test_mmlu_pro_takes_the_first_letter_that_is_called_the_answer() -> None:
    (sequence,) = made("mmlu-pro", {"test": [MMLU_PRO], "validation": [MMLU_PRO]})
    (expectation,) = sequence.turns[0].expect

    assert sequence.turns[0].prompt == "Question:\nWhich?\nOptions:\nA. m\nB. n\nAnswer: Let's think step by step."
    for reply, met in [("the answer is (B).", True), ("answer is A, or the answer is (B)", False), ("B", False)]:
        assert (regex.search(expectation.value, reply) is not None) is met


PAGES = " \n = One = \n \n It 's 1 @,@ 000 ( about ) . \n = = Part = = \n More . \n \n = Two = \n Text . \n"


def test_wikitext_is_cut_before_headings_of_the_first_level() -> None:
    one, two = articles(PAGES)

    assert one.startswith(" = One = ")
    assert "= = Part = =" in one
    assert two.split("\n")[0] == " = Two = "
    assert plain_article(one).startswith(" = One =\n\nIt's 1,000 (about).")


def test_wikitext_counts_what_was_there_before_it_was_closed_up() -> None:
    rows = [{"text": ""}, {"text": " = One = \n"}, {"text": ""}, {"text": " A @-@ b . \n"}]
    assert raw_text(rows) == " \n = One = \n \n A @-@ b . \n"
    (sequence,) = made("wikitext-2", {"test": rows}, HowAsked())
    (page,) = articles(raw_text(rows))

    assert sequence.text_rule is not None
    assert sequence.text_rule.words == len(re.split(r"\s+", page))
    assert sequence.text_rule.bytes == len(page.encode())
    assert sequence.turns[0].prompt == plain_article(page)


def test_wikitext_as_one_text_in_windows() -> None:
    rows = [{"text": ""}, {"text": " = One = \n"}]
    suite = suite_of(BENCHMARKS["wikitext-2"], {"test": rows}, HowAsked(rule=LLAMA_RULE), None)
    (sequence,) = suite.sequences

    assert suite.name == "wikitext-2-llama-perplexity"
    assert suite.primary_metric == "perplexity"
    assert sequence.turns[0].prompt == raw_text(rows)
    assert sequence.text_rule is not None
    assert (sequence.text_rule.window, sequence.text_rule.score_from) == (512, 256)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_names_its_files_and_its_checks_are_known(name: str) -> None:
    benchmark = BENCHMARKS[name]

    assert {benchmark.asked, benchmark.pool} - {None} <= benchmark.files.keys()
    listed: dict[str, dict[str, Any]] = {
        "arc-easy": ARC,
        "arc-challenge": ARC,
        "mmlu": MMLU,
        "gsm8k": GSM8K,
        "mmlu-pro": MMLU_PRO,
    }
    if benchmark.ask is not None and name in listed:
        for expectation in benchmark.ask(listed[name], 0).expect:
            validate_check(expectation.check, expectation.value)


def test_the_files_of_a_split_are_found_by_its_patterns() -> None:
    names = [
        "README.md",
        "all/test-00001-of-00002.parquet",
        "all/test-00000-of-00002.parquet",
        "anatomy/test-0.parquet",
    ]

    assert file_of(BENCHMARKS["mmlu"], "test", names) == sorted(names[1:3])
    with pytest.raises(SuiteError, match="has no file for the split 'dev'"):
        file_of(BENCHMARKS["mmlu"], "dev", names)


TWINS = [
    (
        "arc-easy",
        ARC,
        "Why?\n\nA) a\nB) b\n\nAnswer with the letter of one choice, in the form ANSWER: LETTER.",
        {"answer": "B", "options": ["A", "B"]},
    ),
    (
        "mmlu",
        MMLU,
        "Is it?\nA. w\nB. x\nC. y\nD. z\n\nAnswer with the letter of one choice, in the form ANSWER: LETTER.",
        {"answer": "C", "options": ["A", "B", "C", "D"]},
    ),
]


@pytest.mark.parametrize(("name", "row", "prompt", "expected"), TWINS)
def test_the_written_twin_lists_the_options_and_reads_a_letter(
    name: str, row: dict[str, Any], prompt: str, expected: dict[str, Any]
) -> None:
    (sequence,) = made(name, {"test": [row]}, HowAsked(written=True))
    (turn,) = sequence.turns

    assert (turn.prompt, turn.expect[0].check, turn.expect[0].value) == (prompt, "choice", expected)
    assert not sequence.scored
    assert sequence.mode is Mode.CHAT


REFUSED = [
    ("hellaswag", HowAsked(written=True), "--written, without examples, is for mmlu"),
    ("truthfulqa-mc1", HowAsked(shots=2), "has no examples to take"),
    ("mmlu", HowAsked(rule=LLAMA_RULE), "--as is for texts"),
    ("wikitext-2", HowAsked(rule="mine"), "--as is lm-eval or"),
]


@pytest.mark.parametrize(("name", "asked", "told"), REFUSED)
def test_what_a_benchmark_cannot_be_asked(name: str, asked: HowAsked, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        splits_needed(BENCHMARKS[name], asked)


def test_rows_of_another_form_are_refused_with_what_is_missing() -> None:
    with pytest.raises(SuiteError, match=r"KeyError: 'choices'.*Name an older commit"):
        made("arc-easy", {"test": [{"question": "Why?"}]})


def test_ifeval_asks_in_a_chat_and_names_its_instructions() -> None:
    """Arguments that a row leaves empty are none; kinds of instructions are tags."""
    row = {
        "key": 7,
        "prompt": "Write, but no commas.",
        "instruction_id_list": ["punctuation:no_comma", "length_constraints:number_words"],
        "kwargs": [{"num_words": None}, {"num_words": 9, "relation": "at least", "prompt_to_repeat": None}],
    }
    (sequence,) = suite_of(BENCHMARKS["ifeval"], {"train": [row]}, HowAsked(), None).sequences

    assert (sequence.mode, sequence.system, sequence.tags) == (Mode.CHAT, None, ("punctuation", "length_constraints"))
    assert [one.check for one in sequence.turns[0].expect] == [
        "ifeval_prompt_strict",
        "ifeval_prompt_loose",
        "ifeval_inst_strict",
        "ifeval_inst_loose",
    ]
    assert sequence.turns[0].expect[0].value == [
        {"id": "punctuation:no_comma"},
        {"id": "length_constraints:number_words", "num_words": 9, "relation": "at least"},
    ]


def test_math_500_wants_the_answer_in_a_box() -> None:
    row = {
        "problem": "What is 1/2?",
        "answer": r"\frac{1}{2}",
        "subject": "Algebra",
        "level": 2,
        "unique_id": "test/algebra/1.json",
    }
    (sequence,) = suite_of(BENCHMARKS["math-500"], {"test": [row]}, HowAsked(), None).sequences

    assert sequence.turns[0].prompt == "What is 1/2?\n\nPut the final answer into \\boxed{}."
    assert [(one.check, one.value) for one in sequence.turns[0].expect] == [("math", r"\frac{1}{2}")]
    assert sequence.tags == ("Algebra", "level 2")


GPQA = {
    "Question": " Why?\nSay. ",
    "Correct Answer": "right\n",
    "Incorrect Answer 1": "one",
    "Incorrect Answer 2": "two",
    "Incorrect Answer 3": "three",
    "High-level domain": "Physics",
}


def test_gpqa_lists_its_answers_in_an_order_of_ours_and_withholds_all_of_it() -> None:
    """The order is the question's own, wherever the row stands; over many questions no place is right more often."""
    rows = [{**GPQA, "Question": f"Why {at}?"} for at in range(400)]
    sequences = made("gpqa", {"train": [GPQA, *rows]}, HowAsked())
    turn = sequences[0].turns[0]
    lines = turn.prompt.split("\n")

    assert lines[:3] == ["What is the correct answer to this question:Why?", "Say.", "Choices:"]
    assert sorted(line[4:] for line in lines[3:7]) == ["one", "right", "three", "two"]
    assert turn.choices is not None
    assert turn.choices.texts == ("(A)", "(B)", "(C)", "(D)")
    assert lines[3 + turn.choices.right[0]].endswith("right")
    assert made("gpqa", {"train": [*rows, GPQA]}, HowAsked())[-1].turns == sequences[0].turns
    assert all(sequence.withheld for sequence in sequences)
    places = [one.turns[0].choices.right[0] for one in sequences if one.turns[0].choices is not None]
    assert all(70 < places.count(place) < 130 for place in range(4))
    assert sequences[0].tags == ("Physics",)


def test_an_error_in_a_withheld_row_quotes_nothing_of_it() -> None:
    with pytest.raises(SuiteError) as missing:
        made("gpqa", {"train": [{"Question": "secret"}]})
    with pytest.raises(SuiteError) as wrong:
        made("gpqa", {"train": [7]})  # type: ignore[list-item]

    assert "KeyError: 'Correct Answer'" in str(missing.value)
    assert "secret" not in str(missing.value) + str(wrong.value)
