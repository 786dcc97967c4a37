"""A file's errors are all named at once, in terms of what its author meant; what is unsupported can be left out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nightjar.config.errors import SuiteError
from nightjar.pipeline.report.data.notices import with_left_out
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.read import read_suite
from tests.factories import synthetic_report

MANY = """\
nightjar: 1
sequences:
  - id: one
    turns:
      - user: Hello
      - prompt: Hi
        expect: [max_words: many]
  - id: two
    turns:
      - prompt: Hi
        expect: [contains: fox, includes: fox, max_words: many]
      - prompt: "{{documents.gone}}"
  - id: two
    turns: [Hi]
  - id: three
    turns: [Hi]
    temperature: 0.5
"""


def read(folder: Path, text: str, name: str = "suite.yaml", *, skip: bool = False) -> SuiteContent:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return read_suite(path, skip_unsupported=skip)


def said(folder: Path, text: str, name: str = "suite.yaml", *, skip: bool = False) -> str:
    with pytest.raises(SuiteError) as error:
        read(folder, text, name, skip=skip)
    return str(error.value)


def test_all_errors_in_the_order_of_their_lines(tmp_path: Path) -> None:
    """Of fields and of what they mean; the second `two` is no error of its own while the first one has some."""
    first, *rest = said(tmp_path, MANY).split("\n  ")
    assert first == "5 errors:"
    assert [text.partition(", ")[2].partition(":")[0] for text in rest] == [
        "line 5, field sequences[0].turns[0].user",
        "line 11, field sequences[1].turns[0].expect[0].contains",
        "line 11, field sequences[1].turns[0].expect[2].max_words",
        "line 12, field sequences[1].turns[1]",
        "line 17, field sequences[3].temperature",
    ]


@pytest.mark.parametrize(
    ("turn", "words"),
    [
        ("{user: Hi}", "The prompt is `prompt`"),
        ("{prompt: Hi, assert: [includes: a]}", "`expect: [includes: fox"),
        ("{prompt: Hi, expected: Paris}", "`reference`"),
        ("{prompt: Hi, Answer: Paris}", "`expect: [includes: Paris]`"),
        ("{prompt: Hi, expect: [contains: a]}", "There is no check 'contains'. It is `includes`"),
        ("{prompt: Hi, expect: [exact_match: a]}", "`equals`"),
        ("{prompt: Hi, expect: [llm-rubric: nice]}", "judges do"),
        ("{prompt: Hi, max_tokens: 3}", "belong under `parameters`"),
        ("{prompt: Hi, expct: []}", "Did you mean 'expect'"),  # a word of ours, misspelt
    ],
)
def test_the_right_word_for_what_people_write(tmp_path: Path, turn: str, words: str) -> None:
    """One error, and none that `prompt` is missing where it is there under another name."""
    message = said(tmp_path, f"nightjar: 1\nsequences:\n- id: a\n  turns: [{turn}]\n")
    assert words in message
    assert message.startswith("suite.yaml, line 4, field sequences[0].turns[0]")


def test_a_hundred_errors_are_cut_and_counted(tmp_path: Path) -> None:
    turns = "\n".join("  - {user: x}" for _ in range(100))
    message = said(tmp_path, f"nightjar: 1\nsequences:\n- id: a\n  turns:\n{turns}\n")
    assert message.startswith("100 errors:\n")
    assert message.endswith("\n  and 50 more")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("q.jsonl", '{"question_id": 1, "category": "a", "turns": [""]}\n{"question_id": 2, "category": "a"}\n'),
        ("p.json", json.dumps({"A": [{"text": ""}], "B": [{"text": "x"}, {"text": " "}]})),
        ("i.jsonl", '{"input": ""}\n{"input": "x", "choices": ["a"]}\n{"input": "y"}\n'),
        ("e.json", json.dumps({"1": {"writing_prompt": ""}, "2": {"writing_prompt": "x", "seed_modifiers": []}})),
    ],
)
def test_other_formats_name_all_errors_too(tmp_path: Path, name: str, text: str) -> None:
    assert said(tmp_path, text, name).startswith(("2 errors:", "3 errors:"))


PROMPTFOO = """\
prompts: ["Say {{x}}"]
tests:
  - vars: {x: hi}
    threshold: 0.5
    assert:
      - {type: llm-rubric, value: nice}
      - {type: contains, value: hi}
  - vars: {x: "file://a.txt"}
"""


def test_unsupported_parts_are_left_out_and_all_listed(tmp_path: Path) -> None:
    """What can be used stays: the check that means the same, the test without its field."""
    assert "3 errors" in said(tmp_path, PROMPTFOO, "p.yaml")
    content = read(tmp_path, PROMPTFOO, "p.yaml", skip=True)
    (sequence,) = content.sequences
    assert [expectation.check for expectation in sequence.turns[0].expect] == ["includes"]
    assert [text.partition(":")[0] for text in content.left_out] == [
        "p.yaml, line 4, field tests[0].threshold",
        "p.yaml, line 6, field tests[0].assert[0].type",
        "p.yaml, line 8, field tests[1].vars.x",
    ]


def test_skipping_does_not_forgive_mistakes(tmp_path: Path) -> None:
    """An empty text is no feature of another tool."""
    text = '{"input": "x", "sandbox": "docker"}\n{"input": ""}\n{"input": "y"}\n'
    assert "line 2" in said(tmp_path, text, "i.jsonl", skip=True)
    assert len(read(tmp_path, text.replace('""', '"z"'), "i.jsonl", skip=True).sequences) == 2


def test_a_file_of_which_nothing_is_left_is_refused(tmp_path: Path) -> None:
    assert "nothing is left of it" in said(tmp_path, '{"input": "x", "sandbox": "docker"}\n', "i.jsonl", skip=True)


def test_the_report_says_what_was_left_out() -> None:
    report = synthetic_report(repeats=1)
    noticed = with_left_out(report, ["p.yaml, line 6: no equivalent."]).notices[-1].text
    assert noticed == "The suite's import left out 1 part of its file: p.yaml, line 6: no equivalent."
    assert with_left_out(report, []) == report
