"""Rows of any JSON Lines, CSV or Parquet file, by `--map`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from nightjar.config.errors import SuiteError, UsageError
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.mapped import read_mapping
from nightjar.pipeline.suites.read import read_suite


def read(path: Path, *texts: str) -> SuiteContent:
    return read_suite(path, mapping=read_mapping(texts))


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def checks(content: SuiteContent) -> list[list[tuple[str, Any]]]:
    return [[(e.check, e.value) for e in sequence.turns[0].expect] for sequence in content.sequences]


def test_the_same_rows_of_three_kinds_of_files(tmp_path: Path) -> None:
    lines = written(tmp_path, "a.jsonl", '{"question": "2+2?", "answer": "4"}\n{"question": "Hi", "answer": "hello"}\n')
    table = written(tmp_path, "b.csv", "question,answer\n2+2?,4\nHi,hello\n")
    columns = tmp_path / "c.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"question": ["2+2?", "Hi"], "answer": ["4", "hello"]}), columns)
    contents = [read(path, "prompt=question", "answer=answer") for path in (lines, table, columns)]
    assert {content.model_copy(update={"name": "x", "description": ""}).digest for content in contents} == {
        contents[0].model_copy(update={"name": "x", "description": ""}).digest
    }
    assert [sequence.turns[0].prompt for sequence in contents[2].sequences] == ["2+2?", "Hi"]
    assert checks(contents[2]) == [[("includes", "4")], [("includes", "hello")]]
    assert contents[2].source == "c.parquet (mapped)"


@pytest.mark.parametrize(
    ("row", "maps", "expected"),
    [
        # a worked solution with its number at the end
        ('{"question": "x", "answer": "3+4\\n#### 1,007"}', ["answer=answer"], [("numeric", 1007)]),
        # a letter, a choice's place from 0, a path into lists of an object
        ('{"question": "x", "c": ["a", "b"], "k": "B"}', ["answer=k", "choices=c"], "B"),
        ('{"question": "x", "c": ["a", "b"], "k": 1}', ["answer=k", "choices=c"], "B"),
        ('{"question": "x", "c": {"text": ["a", "b"]}, "k": "b"}', ["answer=k", "choices=c.text"], "B"),
        ('{"question": "x", "answers": [{"text": "yes"}]}', ["answer=answers.0.text"], [("includes", "yes")]),
        ('{"question": "x"}', [], []),
    ],
)
def test_answers_as_well_known_data_sets_give_them(tmp_path: Path, row: str, maps: list[str], expected: Any) -> None:
    content = read(written(tmp_path, "a.jsonl", row), "prompt=question", *maps)
    found = checks(content)[0]
    assert found == expected if isinstance(expected, list) else found[0][1]["answer"] == expected


def test_the_other_fields(tmp_path: Path) -> None:
    row = '{"q": "x", "s": "Be brief.", "r": "A long text.", "n": "first", "t": ["sea", "storm"]}'
    path = written(tmp_path, "a.jsonl", row)
    (sequence,) = read(path, "prompt=q", "system=s", "reference=r", "id=n", "tags=t").sequences
    assert (sequence.id, sequence.system, sequence.tags) == ("first", "Be brief.", ("sea", "storm"))
    assert sequence.turns[0].reference == "A long text."


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["prompt"], "WHAT"),
        (["prompt=q", "prompt=r"], "twice"),
        (["answer=a"], "which field is the prompt"),
        (["promt=q"], "Did you mean 'prompt'?"),
    ],
)
def test_a_mapping_that_says_nothing_is_refused(texts: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words.replace("?", r"\?").replace("WHAT", "TARGET=FIELD")):
        read_mapping(texts)


def test_errors_name_the_file_s_own_fields(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jsonl", '{"q": "x"}\n{"q": ""}\n{"r": "x"}\n')
    with pytest.raises(SuiteError) as error:
        read(path, "prompt=q")
    assert "a.jsonl, line 2, field [1].q: must be a text that is not empty." in str(error.value)
    assert "a.jsonl, line 3, field [2].q: this field is missing." in str(error.value)
    with pytest.raises(SuiteError, match="no row has the field 'Q' of --map prompt"):
        read(path, "prompt=Q")


def test_a_file_of_unknown_rows_is_told_how_to_be_read(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jsonl", '{"question": "x", "answer": "y"}')
    with pytest.raises(SuiteError, match=r"fields question, answer\..*--map prompt=FIELD"):
        read_suite(path)


def test_a_file_that_is_no_parquet(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="not Parquet"):
        read(written(tmp_path, "a.parquet", "question,answer\n"), "prompt=question")
