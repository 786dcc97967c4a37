"""MT-bench and Storybench files, and how a file's format is recognised."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nightjar.config.errors import SuiteError, UsageError
from nightjar.pipeline.suites.read import MAX_FILE_BYTES, read_suite

QUESTIONS: list[dict[str, Any]] = [
    {"question_id": 81, "category": "writing", "turns": ["Compose a post.", "Rewrite it."]},
    {"question_id": 101, "category": "reasoning", "turns": ["Which place?", "And the last?"], "reference": ["2nd", ""]},
    {"question_id": 141, "category": "stem", "turns": ["Explain {{braces}}.", "More."], "reference": ["r1", "r2"]},
    {"question_id": "x-1", "category": "chess", "turns": ["One turn only."]},
]


def lines(rows: list[Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def write(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_mt_bench_questions_become_sequences(tmp_path: Path) -> None:
    suite = read_suite(write(tmp_path, "question.jsonl", lines(QUESTIONS)), name="mt-bench")
    assert (suite.name, suite.source) == ("mt-bench", "question.jsonl (mt-bench)")
    assert [(s.id, s.tags) for s in suite.sequences] == [
        ("81", ("writing",)),
        ("101", ("reasoning",)),
        ("141", ("stem",)),
        ("x-1", ("chess",)),
    ]
    temperatures = [s.parameters["temperature"] for s in suite.sequences]
    assert temperatures == [0.7, 0.0, 0.1, 0.7]  # FastChat's, by category; others 0.7
    assert {s.parameters["max_tokens"] for s in suite.sequences} == {1024}
    assert [t.reference for t in suite.sequences[1].turns] == ["2nd", None]  # an empty reference is none
    assert suite.sequences[2].turns[0].prompt == "Explain {{braces}}."  # this format has no variables


@pytest.mark.parametrize(
    ("row", "where", "message"),
    [
        ({"question_id": 81, "category": "a", "turns": ["x"]}, "field [1].question_id", "two questions have the id 81"),
        ({"question_id": 1, "category": "a", "turns": []}, "field [1].turns", "the list is empty"),
        ({"question_id": 1, "category": "a", "turns": ["x", " "]}, "field [1].turns[1]", "the text is empty"),
        ({"question_id": 1, "category": "a", "turns": [5]}, "field [1].turns[0]", "must be a text"),
        ({"question_id": 1, "turns": ["x"]}, "field [1].category", "missing"),
        ({"question_id": 1, "category": "a", "turn": ["x"]}, "field [1].turn", "missing"),
        ({"question_id": 1, "category": "a", "turns": ["x"], "refs": []}, "field [1].refs", "no such field"),
        ({"question_id": 1, "category": "a", "turns": ["x"], "reference": ["a", "b"]}, "[1].reference", "2 references"),
        ({"question_id": 1, "category": "a", "turns": ["{{documents.x}}"]}, "field [1].turns[0]", "not known"),
        ({"question_id": "a/b", "category": "a", "turns": ["x"]}, "field [1].question_id", "is no id"),
        ([1], "field [1]", "dictionary"),
    ],
)
def test_a_bad_question_is_named_with_its_line(tmp_path: Path, row: Any, where: str, message: str) -> None:
    file = write(tmp_path, "question.jsonl", lines([QUESTIONS[0]]) + "\n" + lines([row]))
    with pytest.raises(SuiteError) as caught:
        read_suite(file, "mt-bench")
    assert str(caught.value).startswith("question.jsonl, line 3, ")
    assert where in str(caught.value)
    assert message in str(caught.value)


def test_storybench_prompts_become_turns(tmp_path: Path) -> None:
    text = json.dumps(
        {"Dark: forest": [{"name": "Opening", "text": "Begin."}, {"text": "Go on."}], "Sea": [{"text": "x"}]}
    )
    suite = read_suite(write(tmp_path, "prompts.json", text))
    assert suite.name == "prompts"
    assert [s.id for s in suite.sequences] == ["Dark- forest", "Sea"]  # no colon in an id: it separates id and model
    assert [(t.name, t.prompt) for t in suite.sequences[0].turns] == [("Opening", "Begin."), (None, "Go on.")]


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ('{"a": [{"text": ""}]}', "line 1, field a[0].text", "the text is empty"),
        ('{"a":\n []}', "line 1, field a", "at least one prompt"),
        ('{"a": [{"text": "x"}],\n "a": [{"text": "x"}]}', "line 2", "given twice"),
        ('{"a": [{"text": "x"}],\n "a:": [{"text": "x"}]}', "line 2, field a:", "no unique sequence id"),
        ('{"a": [{"text": "x", "txt": "y"}]}', "field a[0].txt", "no such field"),
        ("[]", "prompts.json", "is an object"),
        ("{}", "prompts.json", "is an object"),
    ],
)
def test_a_bad_prompts_file_is_named_with_its_line(tmp_path: Path, text: str, where: str, message: str) -> None:
    with pytest.raises(SuiteError) as caught:
        read_suite(write(tmp_path, "prompts.json", text), "storybench")
    assert where in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("a.yaml", "nightjar: 1\nsequences: [{id: a, turns: [x]}]", "native"),
        ("a.yml", "nightjar: 1\nsequences: [{id: a, turns: [x]}]", "native"),
        ("a.json", '{"nightjar": 1, "sequences": [{"id": "a", "turns": ["x"]}]}', "native"),
        ("a.txt", "nightjar: 1\nsequences: [{id: a, turns: [x]}]", "native"),
        ("a.jsonl", lines(QUESTIONS), "mt-bench"),
        ("a.json", '{"A": [{"text": "x"}]}', "storybench"),
        ("a.yaml", "\ufeffnightjar: 1\nsequences: [{id: a, turns: [x]}]", "native"),  # a byte order mark
    ],
)
def test_the_format_is_seen_in_the_content(tmp_path: Path, name: str, text: str, kind: str) -> None:
    assert read_suite(write(tmp_path, name, text)).source == f"{name} ({kind})"


@pytest.mark.parametrize("text", ['{"a": 1}', "[]", '{"a": []}', '["x"]', "3"])
def test_an_unknown_format_lists_the_known_ones(tmp_path: Path, text: str) -> None:
    with pytest.raises(SuiteError, match="--format: native, mt-bench, storybench"):
        read_suite(write(tmp_path, "a.json", text))


def test_an_empty_question_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="no question"):
        read_suite(write(tmp_path, "q.jsonl", "\n\n"), "mt-bench")


def test_a_format_or_name_that_cannot_be(tmp_path: Path) -> None:
    file = write(tmp_path, "q.jsonl", lines(QUESTIONS))
    with pytest.raises(UsageError, match="Did you mean 'mt-bench'"):
        read_suite(file, "mt_bench")
    with pytest.raises(UsageError, match="letters, digits"):
        read_suite(file, name="../q")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda file: None, "No such file"),
        (lambda file: file.mkdir(), "is not a file"),
        (lambda file: file.write_bytes(b"a: 1\nb: \xff\n"), "line 2: not UTF-8"),
        (lambda file: file.write_bytes(b" " * (MAX_FILE_BYTES + 1)), "larger than 32 MiB"),
    ],
)
def test_a_file_that_is_no_text(tmp_path: Path, make: Any, message: str) -> None:
    make(tmp_path / "suite.yaml")
    with pytest.raises(SuiteError, match=message):
        read_suite(tmp_path / "suite.yaml")
