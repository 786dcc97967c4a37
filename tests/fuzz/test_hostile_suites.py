"""Whatever a suite file holds, reading it gives a suite or a SuiteError of one paragraph; nothing else escapes."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nightjar.config.errors import SuiteError, UsageError
from nightjar.pipeline.suites.catalogue import bundled
from nightjar.pipeline.suites.harness.task_suite import TaskData
from nightjar.pipeline.suites.read import Format, read_suite
from nightjar.workers.conversation.row_templates import RowTemplates
from tests.fuzz.amount import examples

pytestmark = pytest.mark.timeout(1800)

NATIVE = bundled()["checkable"].read_bytes()
MT_BENCH = "".join(
    json.dumps({"question_id": n, "category": "math", "turns": ["a", "b"], "reference": ["c"]}) + "\n" for n in range(3)
).encode()
STORYBENCH = json.dumps({"A": [{"name": "n", "text": "t"}, {"text": "u"}], "B": [{"text": "v"}]}).encode()
INSPECT = json.dumps(
    [
        {"input": "What?", "target": "Paris", "id": "fr", "metadata": {"topic": "capitals"}},
        {"input": [{"role": "system", "content": "Brief."}, {"role": "user", "content": "Red?"}], "target": ["red"]},
        {"input": "Pick.", "choices": ["one", "two"], "target": "B", "metadata": {"level": 3}},
    ]
).encode()
TABLE = b'input,target,id,choices\nWhat?,Paris,fr,\n"Two\nlines","a ""b""",x,\n'
EQ_BENCH = json.dumps(
    {"1": {"category": "c", "title": "t", "writing_prompt": "Go <SEED> on.", "seed_modifiers": ["a", "b"]}}
).encode()
PROMPTFOO = b"""\
description: Capitals
prompts:
  - What is the capital of {{country}}?
  - '[{"role": "system", "content": "Be {{tone}}."}, {"role": "user", "content": "Capital of {{country}}?"}]'
defaultTest:
  vars: {tone: brief}
tests:
  - vars: {country: France}
    assert: [{type: equals, value: Paris}, {type: contains-any, value: [Paris, PARIS]}, {type: regex, value: "[Tt]o"}]
"""
HARNESS = b"""\
task: capitals
output_type: generate_until
test_split: test
doc_to_text: "What is the capital of {{country}}?\\n{% if city %}It is{% endif %}"
doc_to_target: "{{city}}"
description: "{{country}}: "
num_fewshot: 1
fewshot_config: {sampler: first_n, samples: [{country: Peru, city: Lima}]}
generation_kwargs: {until: ["\\n"], max_gen_toks: 9, temperature: 0.0}
metric_list: [{metric: exact_match, ignore_case: true, regexes_to_ignore: ["[.]$"]}]
filter_list: [{name: strict, filter: [{function: regex, regex_pattern: "is (.*)"}, {function: take_first}]}]
"""
HARNESS_GROUP = b"""\
group: world
task:
  - group: inner
    task: [{task: cities, test_split: test, doc_to_text: "Capital of {{country}}?", doc_to_target: "{{city}}"}]
    aggregate_metric_list: {metric: exact_match}
description: "{{country}}: "
aggregate_metric_list: [{metric: exact_match, weight_by_size: false, filter_list: none}]
"""
GOOD: list[tuple[str, bytes, Format | None]] = [
    ("s.yaml", NATIVE, None),
    ("q.jsonl", MT_BENCH, Format.MT_BENCH),
    ("p.json", STORYBENCH, Format.STORYBENCH),
    ("i.json", INSPECT, Format.INSPECT),
    ("i.csv", TABLE, Format.INSPECT),
    ("e.json", EQ_BENCH, Format.EQ_BENCH),
    ("f.yaml", PROMPTFOO, Format.PROMPTFOO),
    ("h.yaml", HARNESS, Format.LM_EVAL),
    ("g.yaml", HARNESS_GROUP, Format.LM_EVAL),
]
"""A sound file of every format."""
pieces = st.sampled_from(
    [
        b"",
        b":",
        b"-",
        b"\n",
        b"\n  ",
        b'"',
        b"'",
        b"{",
        b"}}",
        b"[",
        b"]",
        b"{{x}}",
        b"{{documents.x}}",
        b"&a ",
        b"*a",
        b"!!set ",
        b"null",
        b"~",
        b"1e999",
        b"99999999999999999999",
        b"\xff",
        b"\x00",
        b"\xed\xa0\x80",
        b"\\ud800",
        b"\t",
        b"? ",
        b"<<: ",
        b"--- ",
        b"%TAG",
        b"|",
        b">",
        b"\xe2\x80\xa8",
        b"#",
        b",",
        b"temperature: -1",
        b"id: id",
    ]
)


class TaskTemplates:
    """In this process: what templates do to one of their own is tested with chat templates."""

    def cells(self, templates: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> list[dict[str, dict[str, Any]]]:
        return RowTemplates().cells(templates, list(rows))


TASK_TEMPLATES = TaskTemplates()


def read(file: Path, kind: str | None) -> str:
    """Reads the file; returns "fine" or the error."""
    rows = file.with_name("rows.jsonl")
    rows.write_text('{"country": "France", "city": "Paris"}\n')
    task = TaskData(files=[str(rows)], renderer=TASK_TEMPLATES) if kind is Format.LM_EVAL else None
    try:
        read_suite(file, kind, task=task)
    except SuiteError as error:
        return str(error)
    except UsageError as error:  # the task wants another split
        assert task is not None
        return str(error)
    return "fine"


def test_every_format_has_a_sound_file(tmp_path: Path) -> None:
    """A damaged file of a format that is always refused would prove nothing."""
    assert {kind or Format.NATIVE for _, _, kind in GOOD} == set(Format) - {Format.MAPPED}  # which --map alone reads
    for name, good, kind in GOOD:
        (tmp_path / name).write_bytes(good)
        assert read(tmp_path / name, kind) == "fine"


@pytest.mark.parametrize(("name", "good", "kind"), GOOD)
@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edits=st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 40), pieces | st.binary(max_size=6)), min_size=1, max_size=4
    )
)
def test_a_damaged_file_gives_a_suite_or_a_suite_error(
    tmp_path: Path, name: str, good: bytes, kind: str | None, edits: list[tuple[float, int, bytes]]
) -> None:
    damaged = good
    for place, removed, put in edits:
        at = int(place * len(damaged))
        damaged = damaged[:at] + put + damaged[at + removed :]
    file = tmp_path / name
    file.write_bytes(damaged)
    said = read(file, kind).splitlines()
    assert len(said) == 1 or said[0] == f"{len(said) - 1} errors:"


DEEP = 100_000
LAUGHS = b"nightjar: 1\nname: s\nx0: &x0 [a, a]\n" + b"".join(
    b"x%d: &x%d [%s]\n" % (n, n, b", ".join([b"*x%d" % (n - 1)] * 9)) for n in range(1, 12)
)
NATIVE_TURN = b"nightjar: 1\nname: s\nsequences: [{id: a, turns: [{prompt: x, expect: [%s]}]}]\n"
HOSTILE: dict[str, tuple[str, bytes]] = {
    "deep YAML lists": ("s.yaml", b"nightjar: 1\nsequences: " + b"[" * DEEP + b"]" * DEEP),
    "deep YAML maps": ("s.yaml", b"nightjar: 1\nsequences: " + b"{a: " * DEEP + b"1" + b"}" * DEEP),
    "deep YAML blocks": ("s.yaml", b"".join(b" " * n + b"a:\n" for n in range(2_000))),
    "deep JSON lists": ("s.json", b"[" * DEEP + b"]" * DEEP),
    "deep JSON maps": ("s.json", b'{"a":' * DEEP + b"1" + b"}" * DEEP),
    "deep JSON lines": ("s.jsonl", b"[" * DEEP + b"]" * DEEP + b"\n"),
    "a billion laughs": ("s.yaml", LAUGHS),
    "a number of a million digits": ("s.yaml", b"nightjar: " + b"9" * 1_000_000),
    "a JSON number of a million digits": ("s.json", b"[" + b"9" * 1_000_000 + b"]"),
    "many keys": ("s.json", json.dumps({str(n): n for n in range(100_000)}).encode()),
    "many lines": ("s.jsonl", b"{}\n" * 200_000),
    "many columns": ("s.csv", b",".join(b"%d" % n for n in range(200_000)) + b"\nx\n"),
    "an open quote": ("s.csv", b'input,target\n"' + b"a\n" * 1_000_000),
    "only NUL": ("s.yaml", b"\x00" * 100_000),
    "UTF-16": ("s.yaml", NATIVE.decode().encode("utf-16")),
    "a slow regex": ("s.yaml", NATIVE_TURN % b"{regex: '(a+)+$'}"),
    "a huge regex": ("s.yaml", NATIVE_TURN % b"{regex: '((a{1,1000}){1,1000}){1,1000}'}"),
    "a remote schema": ("s.yaml", NATIVE_TURN % b"{json_schema: {$ref: 'http://127.0.0.1:9/x'}}"),
    "a schema in itself": ("s.yaml", NATIVE_TURN % b"{json_schema: {$ref: '#'}}"),
    "a Python object": ("s.yaml", b"!!python/object/apply:os.system ['touch pwned']"),
    "variables in variables": (
        "s.yaml",
        b"nightjar: 1\nname: s\nsequences: [{id: a, turns: ['" + b"{{" * 90_000 + b"']}]",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_answered_soon_and_in_little_memory(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / HOSTILE[name][0]
    file.write_bytes(HOSTILE[name][1])
    tracemalloc.start()
    began = time.process_time()
    try:
        said = read(file, None)
    finally:
        took, peak = time.process_time() - began, tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    print(f"{took:.1f} s, {peak / 2**20:.0f} MiB: {said[:200]}")
    assert len(said.splitlines()) == 1
    assert len(said) < 2_000
    assert not (tmp_path / "pwned").exists()
    assert took < 120
    assert peak < 2**30
