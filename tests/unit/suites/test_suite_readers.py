"""MT-bench and Storybench files, and how a file's format is recognised."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nightjar.config.errors import SuiteError, UsageError
from nightjar.pipeline.suites.file_text import MAX_FILE_BYTES
from nightjar.pipeline.suites.read import read_suite

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
        (
            {"question_id": 81, "category": "a", "turns": ["x"]},
            "field [1].question_id",
            "id '81', which another one has",
        ),
        ({"question_id": 1, "category": "a", "turns": []}, "field [1].turns", "the list is empty"),
        ({"question_id": 1, "category": "a", "turns": ["x", " "]}, "field [1].turns[1]", "the text is empty"),
        ({"question_id": 1, "category": "a", "turns": [5]}, "field [1].turns[0]", "must be a text"),
        ({"question_id": 1, "turns": ["x"]}, "field [1].category", "missing"),
        ({"question_id": 1, "category": "a", "turn": ["x"]}, "field [1].turn", "missing"),
        ({"question_id": 1, "category": "a", "turns": ["x"], "reference": ["a", "b"]}, "[1].reference", "2 references"),
        ({"question_id": 1, "category": "a", "turns": ["{{documents.x}}"]}, "field [1].turns[0]", "not known"),
        ({"question_id": "///", "category": "a", "turns": ["x"]}, "field [1].question_id", "is no id"),
        ({"question_id": 1.5, "category": "a", "turns": ["x"]}, "field [1].question_id", "is no id"),
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
        ('{"a": [{"text": "x"}],\n "a:": [{"text": "x"}]}', "line 2, field a:", "which another one has"),
        ('{"a": [{"txt": "y"}]}', "field a[0].text", "missing"),
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


def test_questions_as_third_parties_write_them(tmp_path: Path) -> None:
    """Shapes of published files: ids with a language, categories of any script, empty or missing references, extras."""
    rows: list[dict[str, Any]] = [
        {
            "question_id": "81_DE",
            "category": "writing",
            "turns": ["Verfasse einen Beitrag.", "Kürze ihn."],
            "reference": [],
        },
        {"category": "地理", "question_id": "LaSEuuNG54CdpH9K", "turns": ["四国の県を挙げてください。"]},
        {"question_id": 0, "category": "Knowledge III", "turns": ["ก", "ข"], "generation_kwargs": {"temperature": 0.1}},
        {
            "question_id": 5,
            "category": "ESGs/risk",
            "turns": ["x", "y"],
            "answer_lang": ["ja", "ja"],
            "reference": None,
        },
        {"question_id": 6, "category": "गणित", "turns": ["x", "y"], "answer_lang": ["ja"], "reference": ["r", None]},
        {"question_id": "a/7", "category": "Math", "turns": ["x"], "refernce": ["r"]},
    ]
    suite = read_suite(write(tmp_path, "question.jsonl", lines(rows)))
    assert [(s.id, s.tags) for s in suite.sequences] == [
        ("81_DE", ("writing",)),
        ("LaSEuuNG54CdpH9K", ("地理",)),
        ("0", ("Knowledge III",)),
        ("5", ("ESGs-risk",)),
        ("6", ("गणित",)),
        ("a-7", ("Math",)),
    ]
    assert suite.sequences[4].turns[0].reference == "r"
    assert suite.sequences[5].parameters["temperature"] == 0.0  # "Math" is FastChat's "math"
    told = " ".join(suite.notes)
    assert "'generation_kwargs' of 1 questions is passed over" in told
    assert "'answer_lang' of 2 questions is passed over" in told
    assert "Did you mean 'reference'" in told  # misspelt rather than added
    assert "spelling" not in told


@pytest.mark.parametrize(
    "row",
    [
        {"prompt_id": 7, "category": "math", "prompt": ["What?", "And?"], "reference": ["a", "b"]},  # on a hub
        {"uid": "328c149e", "category": "hard", "cluster": "ABC Puzzles", "prompt": "What?"},  # one prompt, its own id
    ],
)
def test_questions_under_other_names(tmp_path: Path, row: dict[str, Any]) -> None:
    suite = read_suite(write(tmp_path, "question.jsonl", lines([row])))
    assert suite.source.endswith("(mt-bench)")
    assert suite.sequences[0].id in ("7", "328c149e")
    assert suite.sequences[0].turns[0].prompt == "What?"


def test_lines_of_json_may_be_called_ndjson(tmp_path: Path) -> None:
    suite = read_suite(write(tmp_path, "question.ndjson", lines(QUESTIONS)))
    assert suite.source == "question.ndjson (mt-bench)"


def test_fields_that_storybench_does_not_have_are_told(tmp_path: Path) -> None:
    text = json.dumps({"Sea": [{"name": "", "text": "x", "id": 3}], "कहानी": [{"text": "y"}]})
    suite = read_suite(write(tmp_path, "prompts.json", text))
    assert [s.id for s in suite.sequences] == ["Sea", "कहानी"]
    assert suite.notes == ("The field 'id' of 1 prompts is passed over: this format has none of that name.",)


def test_notes_are_no_content(tmp_path: Path) -> None:
    """A field that is passed over makes no other suite."""
    plain = read_suite(write(tmp_path, "a.jsonl", lines(QUESTIONS)), name="q")
    noted = read_suite(write(tmp_path, "b.jsonl", lines([{**row, "x": 1} for row in QUESTIONS])), name="q")
    assert noted.digest == plain.digest
    assert noted.notes
    assert "notes" not in noted.model_dump()
