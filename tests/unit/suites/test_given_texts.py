"""Turns whose texts are given: what a file becomes, what each mistake says, and examples before a question."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightjar.config.errors import SuiteError
from nightjar.jobs.sequences import Choices, Mode, TextRule
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.export import export_yaml
from nightjar.pipeline.suites.few_shot import Example, draw_examples
from nightjar.pipeline.suites.read import read_suite

Read = Callable[[str], SuiteContent]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads a suite from text."""

    def reader(text: str) -> SuiteContent:
        file = tmp_path / "suite.yaml"
        file.write_text("nightjar: 1\n" + dedent(text), encoding="utf-8")
        return read_suite(file)

    return reader


TURNS: list[tuple[str, Choices]] = [
    # Right by place, by text, and several of them.
    ("{prompt: Q, choices: [x, y], answer: 1}", Choices(texts=("x", "y"), right=(1,), delimiter=" ")),
    ("{prompt: Q, choices: [x, y], answer: y}", Choices(texts=("x", "y"), right=(1,), delimiter=" ")),
    ("{prompt: Q, choices: [x, y, z], answer: [z, 0]}", Choices(texts=("x", "y", "z"), right=(0, 2), delimiter=" ")),
    # A prompt that ends in white space needs no other; one's own delimiter is taken as it is.
    ('{prompt: "Q ", choices: [x, y], answer: 0}', Choices(texts=("x", "y"), right=(0,))),
    (
        '{prompt: Q, choices: [x, y], answer: 0, delimiter: "\\n"}',
        Choices(texts=("x", "y"), right=(0,), delimiter="\n"),
    ),
    # One continuation, after one prompt or after each of several.
    ("{prompt: Q, continuation: x}", Choices(texts=("x",), right=(0,), delimiter=" ")),
    (
        "{contexts: [A, B], continuation: x, answer: B}",
        Choices(texts=("x", "x"), right=(1,), delimiter=" ", contexts=("A", "B")),
    ),
]


@pytest.mark.parametrize(("turn", "expected"), TURNS)
def test_a_turn_with_given_texts(turn: str, expected: Choices, read: Read) -> None:
    (sequence,) = read(f"sequences: [{{id: a, turns: [{turn}]}}]").sequences

    assert sequence.turns[0].choices == expected
    assert sequence.scored
    assert sequence.mode is Mode.COMPLETION, "no chat template unless it is asked for"


def test_a_chat_template_is_asked_for_by_the_mode(read: Read) -> None:
    """Nothing then stands between the template's own text and a choice."""
    (sequence,) = read("mode: chat\nsequences: [{id: a, turns: [{prompt: Q, choices: [x, y], answer: 0}]}]").sequences

    assert sequence.mode is Mode.CHAT
    assert sequence.turns[0].choices == Choices(texts=("x", "y"), right=(0,))


RULES: list[tuple[str, TextRule | None]] = [
    ("", None),
    ("perplexity: {as: lm-eval}", TextRule()),
    ("perplexity: {as: llama-perplexity}", TextRule(window=512, score_from=256)),
    ("perplexity: {as: llama-perplexity, window: 64, score_from: 8}", TextRule(window=64, score_from=8)),
    ("perplexity: {window: 100, bos: false, words: 3, bytes: 9}", TextRule(window=100, bos=False, words=3, bytes=9)),
]


@pytest.mark.parametrize(("rule", "expected"), RULES)
def test_texts_and_their_rule(rule: str, expected: TextRule | None, read: Read) -> None:
    (sequence,) = read(f"mode: perplexity\n{rule}\nsequences: [{{id: a, turns: ['{'text ' * 200}']}}]").sequences

    assert (sequence.mode, sequence.text_rule, sequence.scored) == (Mode.PERPLEXITY, expected, True)


MISTAKES = [
    ("[{prompt: Q, choices: [x, y]}]", "turns[0].answer: no choice is right"),
    ("[{prompt: Q, choices: [x, y], answer: []}]", "answer: no choice is right"),
    ("[{prompt: Q, choices: [x, y], answer: 2}]", "answer: there is no choice 2; they are 0 to 1"),
    ("[{prompt: Q, choices: [x, y], answer: z}]", "answer: 'z' is none of the choices"),
    ("[{prompt: Q, choices: [x, y], answer: [0, 1]}]", "answer: every choice is right"),
    ("[{prompt: Q, choices: [x, y, x], answer: 1}]", "choices: choices 0 and 2 are equal"),
    ('[{prompt: Q, choices: [x, ""], answer: 0}]', "choices: choice 1 is empty"),
    ("[{prompt: Q, choices: [x], answer: 0}]", "choices: there is one choice"),
    # A place and a text: which of them is right cannot be told.
    ('[{prompt: Q, choices: ["1", "2", "3"], answer: 2}]', "answer: 2 is a place here, counted from 0, and choice 1"),
    ('[{prompt: Q, continuation: " "}]', "continuation: the continuation is empty"),
    ("[{contexts: [A, A], continuation: x, answer: 0}]", "contexts: contexts 0 and 1 are equal"),
    ("[{contexts: [A, B], answer: 0}]", "contexts: contexts need the `continuation`"),
    ("[{prompt: Q, choices: [x, y], continuation: z, answer: 0}]", "a turn has either `choices`, or"),
    (
        "[{prompt: Q, choices: [x, y], answer: 0, expect: [includes: x]}]",
        "expect: a turn with given texts has no reply",
    ),
    ("[{prompt: Q, answer: x}]", "answer: an answer needs `choices`"),
    ("[{prompt: Q, choices: [x, y], answer: 0}, R]", "turns: some turns have choices and others would be generated"),
    ("[{name: n}]", "turns[0].prompt: this field is missing"),
]


@pytest.mark.parametrize(("turns", "told"), MISTAKES)
def test_a_mistake_says_where_and_what(turns: str, told: str, read: Read) -> None:
    with pytest.raises(SuiteError) as refused:
        read(f"sequences: [{{id: a, turns: {turns}}}]")

    assert told in str(refused.value)


WHOLE_SUITES = [
    # A metric of given texts, and none are given.
    ("primary_metric: acc\nsequences: [{id: a, turns: [Q]}]", "acc needs turns whose given texts are scored"),
    # Metrics of given texts that none of these has: of several right ones, of texts, of one continuation.
    (
        "primary_metric: mc2\nsequences: [{id: a, turns: [{prompt: Q, choices: [x, y], answer: 0}]}]",
        "no turn has mc2. Of what this suite gives there are acc, acc_norm, acc_bytes, acc_tokens.",
    ),
    (
        "primary_metric: perplexity\nsequences: [{id: a, turns: [{prompt: Q, continuation: x}]}]",
        "no turn has perplexity. Of what this suite gives there are greedy, target_perplexity.",
    ),
    (
        "mode: perplexity\nprimary_metric: greedy\nsequences: [{id: a, turns: [Q]}]",
        "there are perplexity, word_perplexity, byte_perplexity, bits_per_byte.",
    ),
    # A rule under which the metric has no value, whatever the model.
    (
        "mode: perplexity\nperplexity: {bos: false}\nprimary_metric: word_perplexity\nsequences: [{id: a, turns: [Q]}]",
        "word_perplexity is not known of texts whose rule",
    ),
    (
        "mode: perplexity\nperplexity: {window: 4, score_from: 2}\nprimary_metric: bits_per_byte\n"
        "sequences: [{id: a, turns: [long enough]}]",
        "bits_per_byte is not known of texts whose rule",
    ),
    # A text that fills no window, seen before any model is.
    (
        "mode: perplexity\nperplexity: {as: llama-perplexity}\nsequences: [{id: a, turns: [short]}]",
        "a text of 5 bytes cannot fill a window of 512 tokens",
    ),
    ("mode: perplexity\nsequences: [{id: a, turns: [{prompt: Q, choices: [x, y], answer: 0}]}]", "leave its choices"),
    ("mode: perplexity\nsystem: S\nsequences: [{id: a, turns: [Q]}]", "nothing stands before a text"),
    (
        "mode: perplexity\nsequences: [{id: a, turns: [{prompt: Q, expect: [includes: x]}]}]",
        "there is no reply that `expect` or `reference` could be for",
    ),
    ("perplexity: {score_from: 8}\nsequences: [{id: a, turns: [Q]}]", "`score_from` must lie inside a `window`"),
    ("examples: {pool: p, count: 1}\nsequences: [{id: a, turns: [Q]}]", "there is no pool 'p'"),
    ("examples: {pool: sequences}\nsequences: [{id: a, turns: [Q]}]", "`pool` and `count` go together"),
    ("examples: {count: 3}\nsequences: [{id: a, turns: [Q]}]", "examples are either `fixed` or drawn"),
    (
        "pools: {p: [{prompt: Q, answer: x}]}\nexamples: {pool: p, count: 1}\nsequences: [{id: a, turns: [Q]}]",
        "for sequence 'a', the pool has 0 other questions, and 1 are asked for",
    ),
    (
        "pools: {p: [{prompt: P, answer: x}]}\nexamples: {pool: p, count: 2}\nsequences: [{id: a, turns: [Q]}]",
        "the pool has 1 other question, and 2 are asked for",
    ),
    (
        "variants: [{name: v, prompt: 'Say {{prompt}}'}]\nmode: perplexity\nsequences: [{id: a, turns: [Q]}]",
        "a variant has a prompt of its own",
    ),
]


@pytest.mark.parametrize(("suite", "told"), WHOLE_SUITES)
def test_a_mistake_of_the_whole_suite(suite: str, told: str, read: Read) -> None:
    with pytest.raises(SuiteError) as refused:
        read(suite)

    assert told in str(refused.value)


POOL = """\
system: Answer.
pools: {train: [{prompt: "Q: 1?", answer: one}, {prompt: "Q: 2?", answer: two}, {prompt: "Q: 3?", answer: three}]}
"""


def test_examples_stand_before_a_question_as_plain_text(read: Read) -> None:
    """The first two of the pool, without the question itself, each as question, delimiter and answer."""
    suite = read(
        POOL + "examples: {pool: train, count: 2, first: true}\n"
        'sequences: [{id: a, turns: [{prompt: "Q: 1?", choices: [one, two], answer: 0}]}]'
    )

    assert suite.sequences[0].system == "Answer.\n\nQ: 2? two\n\nQ: 3? three\n\n"


def test_examples_of_a_chat_are_messages(read: Read) -> None:
    """Also where the reply is generated."""
    suite = read(POOL + 'examples: {fixed: [{prompt: A, answer: B}]}\nsequences: [{id: a, turns: ["Q: 1?"]}]')

    assert [(str(message.role), message.text) for message in suite.sequences[0].messages] == [
        ("user", "A"),
        ("assistant", "B"),
    ]


def test_the_suite_s_own_questions_are_a_pool(read: Read) -> None:
    questions = "".join(
        f'  - {{id: q{at}, turns: [{{prompt: "Q: {at}?", choices: [a{at}, b], answer: 0}}]}}\n' for at in range(3)
    )
    suite = read("examples: {pool: sequences, count: 2}\nsequences:\n" + questions)

    for at, sequence in enumerate(suite.sequences):
        others = {f"Q: {n}? a{n}" for n in range(3) if n != at}
        assert set((sequence.system or "").strip().split("\n\n")) == others


@given(count=st.integers(1, 5), seed=st.integers(0, 99), asked=st.integers(0, 9))
def test_drawn_examples_are_never_the_question_and_depend_on_nothing_else(count: int, seed: int, asked: int) -> None:
    pool = [Example(prompt=f"q{at}", answer="a") for at in range(10)]

    def drawn(sequence: str) -> list[Example]:
        return draw_examples(pool, count, first=False, seed=seed, sequence=sequence, asked={f"q{asked}"})

    assert len({example.prompt for example in drawn("s")}) == count
    assert f"q{asked}" not in {example.prompt for example in drawn("s")}
    assert drawn("s") == drawn("s")


def test_variables_fill_choices_and_answers(read: Read) -> None:
    suite = read(
        """\
        sequences:
          - id: sum
            variables: [{a: 1, b: 2, right: "3"}, {a: 2, b: 2, right: "4"}]
            turns: [{prompt: "{{a}} + {{b}} =", choices: ["3", "4"], answer: "{{right}}"}]
        """
    )

    assert [(s.turns[0].choices.right if s.turns[0].choices else None) for s in suite.sequences] == [(0,), (1,)]


def test_which_answer_is_right_reaches_no_model(read: Read) -> None:
    """So that two versions of a suite that differ only in that compare as the same sequences; choices do reach it."""

    def digest(turn: str) -> str:
        return read(f"sequences: [{{id: a, turns: [{turn}]}}]").sequences[0].digest

    assert digest("{prompt: Q, choices: [x, y], answer: 0}") == digest("{prompt: Q, choices: [x, y], answer: 1}")
    assert digest("{prompt: Q, choices: [x, y], answer: 0}") != digest("{prompt: Q, choices: [x, z], answer: 0}")


def test_an_exported_suite_reads_as_the_same(read: Read) -> None:
    turns = ", ".join(turn for turn, _ in TURNS)
    suite = read(
        "pools: {p: [{prompt: E, answer: F}]}\nexamples: {pool: p, count: 1}\nsequences:\n"
        f"  - {{id: a, turns: [{turns}]}}\n"
        "  - {id: b, mode: perplexity, perplexity: {window: 9}, examples: null, turns: ['A {{text}}.']}\n".replace(
            "{{text}}", "\\\\{{text}}"
        ).replace("'", '"')
    )
    file: Any = export_yaml(suite)

    assert read(file.removeprefix("nightjar: 1\n")).digest == suite.digest
