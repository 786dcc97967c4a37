"""Bad input at the command line: one paragraph that names what and where, an exit code, and nothing half-written."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from nightjar import config
from tests.gguf_files import write_gguf, write_llama
from tests.shell import Shell

DEMO_MODEL = Path(config.__file__).parent / "models" / "nightjar-demo.gguf"
EVAL = ("eval", "--suite", "story-starters", "--limit", "1", "--slots", "1")
DEMO = ("--model", "nightjar-demo")
BAD_REGEX = "nightjar: 1\nname: s\nsequences: [{id: a, turns: [{prompt: x, expect: [{regex: '('}]}]}]\n"


def runs(shell: Shell) -> list[str]:
    """Names of the runs that exist: a refused command must not leave one."""
    return [run["run"] for run in shell.json("run", "list")["runs"]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        # unknown names, with the nearest that exist
        (("enqueue", "--suite", "story-starter", *DEMO), "story-starters"),
        (("enqueue", "--suite", "story-starters", "--model", "nightjar-dmo"), "nightjar-demo"),
        (("eval", "--suite", "story-starters", "--model", "nightjar-dmo"), "nightjar-demo"),
        (("report", "nightly"), "no run 'nightly'"),
        (("run", "show", "nightly"), "no run 'nightly'"),
        (("worker", "--model", "nightjar-dmo"), "nightjar-demo"),
        (("enqueu",), "enqueue"),
        # numbers that are none
        (("enqueue", "--suite", "story-starters", *DEMO, "--repeats", "0"), "--repeats"),
        (("enqueue", "--suite", "story-starters", *DEMO, "--limit", "-1"), "--limit"),
        (("enqueue", "--suite", "story-starters", *DEMO, "--seed", "-1"), "--seed"),
        (("enqueue", "--suite", "story-starters", *DEMO, "--max-tries", "0"), "--max-tries"),
        (("enqueue", "--suite", "story-starters", *DEMO, "--repeats", "two"), "--repeats"),
        (("enqueue", "--suite", "story-starters", *DEMO, "--set", "max_tokens=0"), "max_tokens"),
        (("enqueue", "--suite", "story-starters", *DEMO, "--set", "temperature=hot"), "temperature"),
        (("enqueue", "--suite", "story-starters", *DEMO, "--set", "temprature=1"), "temperature"),
        (("enqueue", "--suite", "story-starters", *DEMO, "--set", "other:top_k=1"), "other"),
        (("worker", *DEMO, "--slots", "0"), "slots"),
        # measures that are none
        (("enqueue", "--suite", "story-starters", *DEMO, "--measure", "chrv"), "'chrf'"),
        (("enqueue", "--suite", "story-starters", *DEMO, "--measure", "mattr={"), "JSON"),
        # a selection that selects nothing
        (("enqueue", "--suite", "story-starters", *DEMO, "--only", "haiku"), "haiku"),
        # a format nobody writes
        (("eval", "--suite", "story-starters", *DEMO, "--format", "pdf"), "html"),
        # names that would leave their folder
        (("enqueue", "--suite", "story-starters", *DEMO, "--name", "../../etc/x"), "../../etc/x"),
    ],
)
def test_what_is_asked_for_does_not_exist(shell: Shell, arguments: tuple[str, ...], said: str) -> None:
    assert said in shell.refused(*arguments, code=2)
    assert runs(shell) == []


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        # a turn with empty text: file, line and field
        ("empty-turn.yaml", "nightjar: 1\nname: s\nsequences:\n  - id: a\n    turns:\n      - ''\n", "line 6"),
        ("no-sequences.yaml", "nightjar: 1\nname: s\nsequences: []\n", "sequences"),
        ("empty.yaml", "", "empty"),
        ("broken.yaml", "nightjar: 1\nname: [s\n", "line"),
        ("misspelt.yaml", "nightjar: 1\nname: s\nsequnces: []\n", "sequences"),
        ("regex.yaml", BAD_REGEX, "regex"),
        ("measure.yaml", "nightjar: 1\nmeasures: [chrv]\nsequences: [{id: a, turns: [x]}]\n", "line 2, field measures"),
        ("empty.jsonl", "", "empty"),
        ("turns.jsonl", json.dumps({"question_id": 1, "category": "math", "turns": ["", "b"]}) + "\n", "line 1"),
    ],
)
def test_a_suite_file_that_cannot_be_imported(shell: Shell, name: str, text: str, said: str) -> None:
    """The error names file and place, and no part of the suite is stored."""
    (shell.folder / name).write_text(text)
    before = shell.json("suite", "list")
    error = shell.refused(
        "suite", "import", name, "--name", "s", *(("--format", "mt-bench") if "jsonl" in name else ())
    )
    assert name in error
    assert said in error.lower()
    assert shell.json("suite", "list") == before


def truncated(path: Path) -> Path:
    path.write_bytes(DEMO_MODEL.read_bytes()[:700_000])
    return path


def not_a_model(path: Path) -> Path:
    path.write_text("<html>404 Not Found</html>")
    return path


def without_template(path: Path) -> Path:
    return write_llama(path, template=None)


def embedding_model(path: Path) -> Path:
    return write_gguf(path, {"bert.context_length": 512, "bert.block_count": 1}, architecture="bert")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (truncated, "truncated"),
        (not_a_model, "not a GGUF"),
        # the error names both ways out
        (without_template, "mode: completion"),
        (without_template, "template"),
        (embedding_model, "embedding"),
    ],
)
def test_a_model_that_cannot_do_it(shell: Shell, tmp_path: Path, make: object, said: str) -> None:
    """Refused before a worker starts, and no run is left behind."""
    assert callable(make)
    model = make(tmp_path / "model.gguf")
    done = shell.run(*EVAL, "--model", model)
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    assert said.lower() in " ".join(done.stderr.lower().split())
    assert runs(shell) == []


def test_a_model_file_that_is_not_there(shell: Shell, tmp_path: Path) -> None:
    assert "absent.gguf" in shell.refused(*EVAL, "--model", tmp_path / "absent.gguf", code=1)


def test_a_report_folder_that_cannot_be_written(shell: Shell, tmp_path: Path) -> None:
    """Known before anything is generated; the remedy is named."""
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    error = shell.refused(*EVAL, *DEMO, "--out", blocked / "reports", code=1)
    assert str(blocked) in error
    assert "--out" in error
    assert blocked.read_text() == "not a folder"
    assert runs(shell) == []


@pytest.mark.parametrize("name", ["NIGHTJAR_MONGO_URL", "NIGHTJAR_REDIS_URL"])
def test_a_server_that_cannot_be_reached(shell: Shell, name: str) -> None:
    """The server is named with its address; its password is not, and nothing else is used in its place."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    scheme = "mongodb" if "MONGO" in name else "redis"
    error = shell.refused(*EVAL, *DEMO, code=1, env={name: f"{scheme}://user:hush-hush@127.0.0.1:{port}/"})
    assert f"127.0.0.1:{port}" in error
    assert "hush-hush" not in error


def test_no_free_port_for_an_embedded_server(shell: Shell, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports = {"NIGHTJAR_EMBEDDED_PORTS": f"{port}-{port}", "NIGHTJAR_HOME": str(tmp_path / "home")}
        assert "no free port" in shell.refused("services", "up", code=1, env=ports)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("NIGHTJAR_MODEL_CONTEXT", "NIGHTJAR_MODEL__CONTEXT"), ("NIGHTJAR_MONGO_URI", "NIGHTJAR_MONGO_URL")],
)
def test_a_misspelt_setting(shell: Shell, name: str, nearest: str) -> None:
    error = shell.refused("run", "list", env={name: "4096"})
    assert name in error
    assert nearest in error


DOUBLED = {"d0": {"type": "object"}} | {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n - 1}"}] * 2} for n in range(1, 25)}
ENDLESS = json.dumps({"$defs": DOUBLED, "$ref": "#/$defs/d24"})
FIELDS = f"{{expected: {{a: 1}}, schema: {ENDLESS}}}"
SUITE = "nightjar: 1\nname: s\n"
PROMPTFOO = f"""prompts: ["Say {{{{x}}}}"]
tests: [{{vars: {{x: a}}, assert: [{{type: is-json, value: {ENDLESS}}}]}}]
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("check.yaml", f"{SUITE}sequences: [{{id: a, turns: [{{prompt: x, expect: [{{json_schema: {ENDLESS}}}]}}]}}]"),
        ("fields.yaml", f"{SUITE}sequences: [{{id: a, turns: [{{prompt: x, expect: [{{fields: {FIELDS}}}]}}]}}]"),
        ("suite.yaml", f"{SUITE}parameters: {{json_schema: {ENDLESS}}}\nsequences: [{{id: a, turns: [x]}}]"),
        ("turn.yaml", f"{SUITE}sequences: [{{id: a, turns: [{{prompt: x, parameters: {{json_schema: {ENDLESS}}}}}]}}]"),
        ("promptfooconfig.yaml", PROMPTFOO),
    ],
)
def test_a_schema_that_would_never_end_is_refused_where_it_enters(shell: Shell, name: str, text: str) -> None:
    """2 KB that look at a value 16 million times: at 3cd5fd2 they were imported, and stopped the dispatcher."""
    file = shell.folder / name
    file.write_text(text)
    for command in (("suite", "validate", name), ("suite", "import", name)):
        error = shell.refused(*command)
        assert "applies more than 5,000 schemas to one value" in error
        assert "Write each alternative once" in error
        assert name in error
    assert shell.json("suite", "list")["suites"] == []
