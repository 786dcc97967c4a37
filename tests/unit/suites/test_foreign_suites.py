"""Inspect datasets, EQ-bench prompts and promptfoo files: what becomes of them, and what is refused, with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nightjar.config.errors import SuiteError
from nightjar.jobs.variants import varied
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.export import export_yaml
from nightjar.pipeline.suites.read import read_suite

SAMPLES: list[dict[str, Any]] = [
    {"input": "What is the capital of France?", "target": "Paris", "id": "fr", "metadata": {"topic": "capitals"}},
    {
        "input": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Red or blue?"}],
        "target": ["red", "blue"],
        "metadata": {"topic": "capitals", "level": 3},
    },
    {"input": "Pick.", "choices": ["one", "two", "three"], "target": "B", "metadata": {"level": 3, "url": "x"}},
    {"input": "Write at length.", "target": "A text of\nseveral lines", "source": "only here"},
]
WRITING: dict[str, Any] = {
    "1": {
        "category": "historical fiction",
        "title": "Gladiator",
        "writing_prompt": "A scene in Rome. <SEED> 1000 words.",
        "seed_modifiers": ["Name a god.", "Name a weapon.", "Name a scar."],
    },
    "2": {"category": "romance", "writing_prompt": "A letter.", "seed_modifiers": ["unused"]},
}
PROMPTFOO = """\
description: Capitals
prompts:
  - What is the capital of {{country}}?
  - '[{"role": "system", "content": "Be {{tone}}."}, {"role": "user", "content": "Capital of {{country}}?"}]'
providers: [openai:gpt-4.1]
defaultTest:
  vars: {tone: brief}
  assert:
    - {type: not-contains, value: As an AI}
tests:
  - description: France, in short
    vars: {country: France}
    assert:
      - {type: equals, value: Paris}
      - {type: icontains, value: "{{country}}"}
      - {type: contains-any, value: [Paris, PARIS]}
  - vars: {country: Japan}
    assert:
      - type: regex
        value: "[Tt]okyo"
      - type: not-regex
        value: Kyoto|Osaka
      - type: is-json
"""


def write(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def checks(suite: SuiteContent, sequence: int) -> list[tuple[str, Any]]:
    return [(one.check, one.value) for one in suite.sequences[sequence].turns[0].expect]


def inspect(tmp_path: Path, rows: list[Any]) -> SuiteContent:
    return read_suite(write(tmp_path, "data.jsonl", "".join(json.dumps(row) + "\n" for row in rows)))


def test_inspect_samples_become_sequences(tmp_path: Path) -> None:
    suite = inspect(tmp_path, SAMPLES)
    assert suite.source == "data.jsonl (inspect)"
    assert [s.id for s in suite.sequences] == ["fr", "2", "3", "4"]  # a sample without an id gets its number
    assert [s.system for s in suite.sequences] == [None, "Be brief.", None, None]
    assert checks(suite, 0) == [("includes", "Paris")]
    assert checks(suite, 1) == [("includes", {"any": ["red", "blue"]})]
    assert checks(suite, 2) == [("choice", {"answer": "B", "options": ["A", "B", "C"]})]
    assert "B) two" in suite.sequences[2].turns[0].prompt
    assert checks(suite, 3) == []  # a target of several lines is something to compare with
    assert [s.turns[0].reference for s in suite.sequences] == ["Paris", "red", None, "A text of\nseveral lines"]
    assert [s.tags for s in suite.sequences] == [("capitals",), ("capitals", "level 3"), ("level 3",), ()]


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_inspect_json_and_csv_say_the_same(tmp_path: Path, kind: str) -> None:
    """A list in a JSON file; a table, where lists and metadata are JSON in their cells, or choices with commas."""
    rows = [
        {"id": "a", "input": 'Say "hi",\nplease.', "target": "hi", "metadata": {"topic": "words"}},
        {"id": "b", "input": "Pick.", "target": "A", "choices": ["one", "two"], "metadata": {"topic": "words"}},
    ]
    text = json.dumps(rows)
    if kind == "csv":
        text = (
            "id,input,target,choices,metadata\r\n"
            'a,"Say ""hi"",\nplease.",hi,,"{""topic"": ""words""}"\r\n'
            'b,Pick.,A,"one, two","{""topic"": ""words""}"\r\n'
        )
    suite = read_suite(write(tmp_path, f"data.{kind}", text))
    assert [(s.id, s.turns[0].prompt.partition("\n\n")[0], s.tags) for s in suite.sequences] == [
        ("a", 'Say "hi",\nplease.', ("words",)),
        ("b", "Pick.", ("words",)),
    ]
    assert [checks(suite, n) for n in (0, 1)] == [
        [("includes", "hi")],
        [("choice", {"answer": "A", "options": ["A", "B"]})],
    ]


@pytest.mark.parametrize(
    ("row", "where", "message"),
    [
        ({"target": "x", "id": 1}, "[1].input", "missing"),  # no prompt
        ({"input": " "}, "[1].input", "not empty"),  # a blank one
        ({"input": []}, "[1].input", "list of messages"),  # no message
        ({"input": [{"role": "assistant", "content": "x"}]}, "[1].input", "last message is not the user's"),
        ({"input": [{"role": "tool", "content": "x"}]}, "[1].input[0]", "role 'tool' cannot be used"),
        ({"input": [{"role": "user", "content": "x"}] * 2}, "[1].input[1]", "two user messages"),
        ({"input": [{"role": "system", "content": "x"}]}, "[1].input", "last message is not the user's"),
        ({"input": [{"role": "user", "content": [{"type": "image"}]}]}, "[1].input[0].content[0]", "type text"),
        ({"input": "x {{documents.y}}"}, "[1].input", "not known"),
        ({"input": "x", "target": {"a": 1}}, "[1].target", "text or a number"),
        ({"input": "x", "target": ["A", "B"], "choices": ["1", "2"]}, "[1].target", "one target"),
        ({"input": "x", "target": "C", "choices": ["1", "2"]}, "[1].target", "no letter from A to B"),
        ({"input": "x", "target": "A", "choices": ["1"]}, "[1].choices", "2 to 26"),
        ({"input": "x", "sandbox": "docker"}, "[1].sandbox", "cannot be used"),  # it would run code
        ({"input": "x", "files": {"a": "b"}}, "[1].files", "cannot be used"),
        ({"input": "x", "id": "///"}, "[1].id", "no sequence id"),
        ({"input": "x", "id": "fr"}, "[1].id", "two samples have the id 'fr'"),
        ({"input": "x", "metadata": ["a"]}, "[1].metadata", "an object"),
    ],
)
def test_a_bad_sample_is_named_with_its_line(tmp_path: Path, row: Any, where: str, message: str) -> None:
    file = write(tmp_path, "data.jsonl", json.dumps(SAMPLES[0]) + "\n" + json.dumps(row))
    with pytest.raises(SuiteError) as caught:
        read_suite(file, "inspect")
    assert str(caught.value).startswith("data.jsonl, line 2, field ")
    assert where in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),  # nothing
        ("input,input\nx,y\n", "line 1: the header names 'input' twice"),
        ("input,\nx,y\n", "line 1: a column has no name"),
        ("input,target\nx,y,z\n", "line 2: 3 cells in a table of 2 columns"),
        ('input,target\n"x"y,z\n', "line 2: not CSV"),
        ('input,target\n"x\ny,z\n', "line 3: not CSV"),  # a quote that never ends
        ('input,metadata\n"a\nb",{}\nx,{oops\n', "line 4, field [1].metadata: this cell must hold JSON"),
        ("input,choices,target\nx,[1,A\n", "field [0].choices: this cell must hold JSON"),
    ],
)
def test_a_bad_table_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SuiteError) as caught:
        read_suite(write(tmp_path, "data.csv", text), "inspect")
    assert message in str(caught.value)
    assert str(caught.value).startswith("data.csv")


def test_every_seed_modifier_is_an_iteration(tmp_path: Path) -> None:
    """Iteration n has the n-th modifier in place of <SEED>; a prompt without <SEED> is there once."""
    suite = read_suite(write(tmp_path, "creative_writing_prompts_v3.json", json.dumps(WRITING)))
    assert suite.source.endswith("(eq-bench)")
    assert [s.id for s in suite.sequences] == ["1[1]", "1[2]", "1[3]", "2[1]"]
    assert suite.sequences[1].turns[0].prompt == "A scene in Rome. Name a weapon. 1000 words."
    assert suite.sequences[1].tags == ("historical fiction", "iteration 2")
    assert suite.sequences[3].turns[0].prompt == "A letter."
    assert {(s.parameters["temperature"], s.parameters["min_p"]) for s in suite.sequences} == {(0.7, 0.1)}


@pytest.mark.parametrize(
    ("prompt", "where", "message"),
    [
        ({"seed_modifiers": ["x"]}, "a.writing_prompt", "missing"),
        ({"writing_prompt": "x"}, "a.seed_modifiers", "missing"),
        ({"writing_prompt": "x", "seed_modifiers": []}, "a.seed_modifiers", "the list is empty"),
        ({"writing_prompt": "x", "seed_modifiers": [3]}, "a.seed_modifiers[0]", "must be a text"),
        ({"writing_prompt": "{{documents.x}}", "seed_modifiers": ["y"]}, "a.writing_prompt", "not known"),
    ],
)
def test_a_bad_writing_prompt_is_named(tmp_path: Path, prompt: Any, where: str, message: str) -> None:
    with pytest.raises(SuiteError) as caught:
        read_suite(write(tmp_path, "prompts.json", json.dumps({"a": prompt}, indent=1)), "eq-bench")
    assert f"field {where}: " in str(caught.value)
    assert message in str(caught.value)
    assert ", line " in str(caught.value)


def test_promptfoo_tests_become_sequences(tmp_path: Path) -> None:
    suite = read_suite(write(tmp_path, "promptfooconfig.yaml", PROMPTFOO))
    assert (suite.source, suite.description) == ("promptfooconfig.yaml (promptfoo)", "Capitals")
    assert [s.id for s in suite.sequences] == ["France, in short", "test-2"]
    assert [s.system for s in suite.sequences] == [None, None]
    assert checks(suite, 0) == [
        ("excludes", {"all": "As an AI", "case": True}),  # promptfoo's contains minds letter case
        ("equals", {"all": "Paris", "case": True}),
        ("includes", "France"),
        ("includes", {"any": ["Paris", "PARIS"], "case": True}),
    ]
    assert checks(suite, 1)[1:] == [
        ("regex", "[Tt]okyo"),
        ("regex", r"\A(?![\s\S]*(?:Kyoto|Osaka))"),
        ("json", "strict"),
    ]


def test_several_promptfoo_prompts_become_variants(tmp_path: Path) -> None:
    """One sequence per test, and every prompt asked of it as a variant: what used to be a sequence of its own."""
    suite = read_suite(write(tmp_path, "promptfooconfig.yaml", PROMPTFOO))
    assert [variant.name for variant in suite.variants] == ["prompt-1", "prompt-2"]
    asked = [varied(suite.sequences[1], variant) for variant in suite.variants]
    assert [(s.system, s.turns[0].prompt) for s in asked] == [
        (None, "What is the capital of Japan?"),
        ("Be brief.", "Capital of Japan?"),
    ]
    assert asked[0].turns[0].expect == asked[1].turns[0].expect
    labelled = PROMPTFOO.replace(
        "- What is the capital of {{country}}?", "- {label: In full!, raw: 'What is the capital of {{country}}?'}"
    )
    names = [variant.name for variant in read_suite(write(tmp_path, "b.yaml", labelled), "promptfoo").variants]
    assert names == ["In-full", "prompt-2"]
    twice = labelled.replace("  - '[", "  - {label: In full!, raw: x}\n  - '[", 1)
    assert twice != labelled
    with pytest.raises(SuiteError, match="two prompts are called 'In-full'"):
        read_suite(write(tmp_path, "c.yaml", twice), "promptfoo")


@pytest.mark.parametrize(
    ("change", "line", "field", "message"),
    [
        (("providers: [openai:gpt-4.1]", "scenarios: []"), 5, "scenarios", "'scenarios' cannot be used"),
        (("{type: equals, value: Paris}", "{type: javascript, value: 'true'}"), 14, ".type", "'javascript' has no"),
        (("{type: equals, value: Paris}", "{type: llm-rubric, value: nice}"), 14, ".type", "'llm-rubric' has no"),
        (("{type: equals, value: Paris}", "{type: contains-json}"), 14, ".type", "'contains-json' has no"),
        (("{type: equals, value: Paris}", "{type: python, value: 'x'}"), 14, ".type", "'python' has no"),
        (("{type: equals, value: Paris}", "{type: equals, value: x, weight: 2}"), 14, ".weight", "'weight'"),
        (("{type: equals, value: Paris}", "{type: equals}"), 14, ".value", "needs a value"),
        (("{type: equals, value: Paris}", "{type: equals, value: file://x.txt}"), 14, ".value", "a separate file"),
        (("{type: equals, value: Paris}", "Paris"), 14, "assert[0]", "mapping with a type"),
        (('value: "[Tt]okyo"', 'value: "(x"'), 20, ".value", "not a regular expression"),
        (('value: "[Tt]okyo"', 'value: "(a{999}){999}"'), 20, ".value", "repeats too much"),
        (("vars: {country: Japan}", "vars: {land: Japan}"), 3, "prompts[0]", "is called 'country'"),
        (("vars: {country: Japan}", "vars: {country: [Japan, Peru]}"), 17, "vars.country", "a text, a number"),
        (("vars: {country: Japan}", "vars: {country: Japan, x: 1}"), 17, "vars.x", "uses the variable 'x'"),
        (("vars: {country: Japan}", "vars: {country: file://x}"), 17, "vars.country", "not in a separate file"),
        (("vars: {country: Japan}", "vars: {country: Japan}\n    threshold: 1"), 18, "threshold", "cannot be used"),
        (("of {{country}}?\n", "of {{country | upper}}?\n"), 3, "prompts[0]", "no template code"),
        (("of {{country}}?\n", "of {% if x %}y{% endif %}?\n"), 3, "prompts[0]", "no template code"),
        (("- What is the capital of {{country}}?", "- file://prompt.txt"), 3, "prompts[0]", "not a file"),
        (("- description: France, in short", "- description: '///'"), 11, "description", "use letters and digits"),
    ],
)
def test_what_promptfoo_says_beyond_the_subset_is_refused_loudly(
    tmp_path: Path, change: tuple[str, str], line: int, field: str, message: str
) -> None:
    """File, line and field; nothing is left out in silence."""
    assert change[0] in PROMPTFOO
    with pytest.raises(SuiteError) as caught:
        read_suite(write(tmp_path, "promptfoo.yaml", PROMPTFOO.replace(change[0], change[1])), "promptfoo")
    told = str(caught.value)
    assert told.startswith(f"promptfoo.yaml, line {line}, field ")
    assert field in told
    assert message in told


def test_promptfoo_is_read_as_carefully_as_our_own_yaml(tmp_path: Path) -> None:
    """Aliases are counted, tags refused."""
    bomb = "x: &a [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\nprompts: [y]\ntests:\n" + "  - vars: {x: *a}\n" * 101
    with pytest.raises(SuiteError, match="too many aliases"):
        read_suite(write(tmp_path, "a.yaml", bomb), "promptfoo")
    with pytest.raises(SuiteError, match=r"python/object:os\.system is not allowed"):
        read_suite(write(tmp_path, "b.yaml", "prompts: !!python/object:os.system x\ntests: []"), "promptfoo")


@pytest.mark.parametrize("name", ["data.jsonl", "writing.json", "promptfoo.yaml"])
def test_what_was_read_exports_to_the_same_digest(tmp_path: Path, name: str) -> None:
    """The native file of a foreign suite is the same suite."""
    texts = {
        "data.jsonl": "".join(json.dumps(row) + "\n" for row in SAMPLES),
        "writing.json": json.dumps(WRITING),
        "promptfoo.yaml": PROMPTFOO,
    }
    suite = read_suite(write(tmp_path, name, texts[name]))
    again = read_suite(write(tmp_path, "again.yaml", export_yaml(suite)))
    assert again.digest == suite.digest


def test_writing_prompts_as_they_are_published(tmp_path: Path) -> None:
    """The shape of creative_writing_prompts_v3.json: a slash in a category, a modifier that is empty, extras."""
    prompts = {
        "31": {
            "category": "contemporary romance / drama",
            "title": "At the Station",
            "writing_prompt": "A scene at a station. <SEED> 1000 words.",
            "seed_modifiers": ["It rains."],
        },
        "95": {"category": "🎭", "title": "", "writing_prompt": "A letter. <SEED>", "seed_modifiers": [""]},
        "119": {"writing_prompt": "A fight. <SEED>", "seed_modifiers": ["Short."], "judge_notes": "x"},
    }
    suite = read_suite(write(tmp_path, "creative_writing_prompts_v3.json", json.dumps(prompts)))
    assert suite.source.endswith("(eq-bench)")
    assert [(s.id, s.tags) for s in suite.sequences] == [
        ("31[1]", ("contemporary romance - drama", "iteration 1")),
        ("95[1]", ("iteration 1",)),  # nothing in it that a tag can hold
        ("119[1]", ("iteration 1",)),
    ]
    assert suite.sequences[1].turns[0].prompt == "A letter. "
    assert suite.notes == ("The field 'judge_notes' of 1 prompts is passed over: this format has none of that name.",)
    again = read_suite(write(tmp_path, "again.yaml", export_yaml(suite)))
    assert again.digest == suite.digest


def test_inspect_metadata_may_be_json_in_a_text(tmp_path: Path) -> None:
    """As Inspect's own examples have it, in JSON Lines as in tables."""
    row = {"input": "Say hello", "target": "hello", "label": "x", "metadata": '{"topic": "words", "age": 42}'}
    suite = inspect(tmp_path, [row, row])
    assert suite.sequences[0].tags == ("x", "words", "age 42")


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85", "\x0c", "\x0b", "\x1c"])
def test_only_line_breaks_end_a_row(tmp_path: Path, mark: str) -> None:
    """A row is not cut where Unicode, but not CSV, sees the end of a line."""
    text = f"id,input,target\na,one{mark}two,x\nb,three,y\n"
    suite = read_suite(write(tmp_path, "data.csv", text))
    assert [(s.id, s.turns[0].prompt, s.turns[0].reference) for s in suite.sequences] == [
        ("a", f"one{mark}two", "x"),
        ("b", "three", "y"),
    ]


def test_a_cell_may_be_long(tmp_path: Path) -> None:
    long = "word " * 40_000
    suite = read_suite(write(tmp_path, "data.csv", f'input,target\n"{long}",x\n'))
    assert suite.sequences[0].turns[0].prompt == long


def test_promptfoo_values_are_written_as_it_writes_them(tmp_path: Path) -> None:
    """true is "true" and 1.0 is "1", in prompts and in what is expected."""
    text = """\
prompts: ["Is {{n}} even? {{flag}}"]
evaluateOptions: {repeat: 3}
env: {OPENAI_API_KEY: x}
tests:
  - vars: {n: 2.0, flag: true}
    assert:
      - {type: equals, value: true}
      - {type: contains, value: 1.0}
      - {type: contains-any, value: [true, 2.5]}
      - {type: icontains, value: "{{flag}}"}
      - {type: starts-with, value: false}
"""
    suite = read_suite(write(tmp_path, "promptfooconfig.yaml", text))
    assert suite.sequences[0].turns[0].prompt == "Is 2 even? true"
    assert checks(suite, 0) == [
        ("equals", {"all": "true", "case": True}),
        ("includes", {"all": "1", "case": True}),
        ("includes", {"any": ["true", "2.5"], "case": True}),
        ("includes", "true"),
        ("regex", r"\Afalse"),
    ]
    assert suite.notes == (
        "promptfoo's 'env' is passed over: it says how promptfoo runs.",
        "promptfoo's 'evaluateOptions' is passed over: it says how promptfoo runs.",
    )


def test_promptfoo_files_use_merge_keys(tmp_path: Path) -> None:
    """`<<: *name` brings in the fields of a mapping; what is said beside it goes before."""
    text = """\
prompts: ["{{greeting}} {{name}}"]
tests:
  - &first
    vars: &vars {greeting: Hello, name: Ada}
    assert: [{type: contains, value: Ada}]
  - <<: *first
    description: second
    vars: {<<: *vars, name: Bo}
"""
    suite = read_suite(write(tmp_path, "promptfooconfig.yaml", text))
    assert [(s.id, s.turns[0].prompt) for s in suite.sequences] == [("test-1", "Hello Ada"), ("second", "Hello Bo")]
    assert checks(suite, 1) == [("includes", {"all": "Ada", "case": True})]


def test_an_inspect_sample_with_a_conversation(tmp_path: Path) -> None:
    """An assistant's messages are fixed ones before the prompt."""
    roles = ("system", "user", "assistant", "user")
    rows = [{"id": "a", "input": [{"role": role, "content": f"{n}"} for n, role in enumerate(roles)], "target": "x"}]
    (sequence,) = read_suite(write(tmp_path, "data.jsonl", json.dumps(rows[0]))).sequences
    assert (sequence.system, sequence.turns[0].prompt) == ("0", "3")
    assert [(m.role, m.text) for m in sequence.messages] == [("user", "1"), ("assistant", "2")]
