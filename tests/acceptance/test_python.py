"""`import nightjar` in programs of a user's: the page docs/python.md, and a typed program that calls everything."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.encoder_files import write_bert
from tests.shell import PROJECT, Shell

PAGE = PROJECT / "docs/python.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def run(program: str | Path, shell: Shell, *arguments: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", *([program] if isinstance(program, Path) else ["-c", program]), *arguments],
        cwd=shell.folder,
        env=shell.environ(),
        capture_output=True,
        text=True,
        timeout=shell.limit_s,
        check=False,
    )


@pytest.fixture(scope="module")
def shell(acceptance_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    environment = {"NIGHTJAR_HOME": str(acceptance_home), "NIGHTJAR_MONGO_DATABASE": f"t{uuid.uuid4().hex[:12]}"}
    return Shell(folder=tmp_path_factory.mktemp("program"), environment=environment)


@pytest.fixture(scope="module")
def said(shell: Shell) -> dict[str, Any]:
    """What the typed program printed; nothing else is printed, and it ends though a model is open and generates."""
    done = run(PROJECT / "tests/user_program.py", shell)
    assert (done.returncode, done.stderr) == (0, "")
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts


def test_every_way_to_ask_gives_the_same_text(said: dict[str, Any]) -> None:
    """Plain, streamed, from threads, inside a running loop, in batches, by another load: one seed, one text."""
    texts = {said["chat"], said["streamed"], *said["threads"], *said["loop"]["texts"]}
    assert len(texts) == 1
    assert len(said["threads"]) == 4
    assert said["chat"].startswith(said["first"][:10])
    assert said["loop"]["ended"] == "CancelledError"


def test_the_model_is_what_the_command_tries(said: dict[str, Any], shell: Shell) -> None:
    """The same seed through `nightjar try`: one implementation."""
    model = ("--model", "nightjar-demo", "--gpu", "none", "--set", "max_tokens=24")
    tried = shell.ok("try", *model, "Tell me a story about a fox.")
    assert tried.strip() == said["chat"].strip()


def test_tokens_are_counted(said: dict[str, Any]) -> None:
    text, ids = said["counts"]
    assert text == ids > 0
    counted, computed = said["prompt"]
    assert counted == computed > text, "the template's tokens count"
    assert said["text"] == "a fox"
    assert said["generated"]
    assert said["name"] == ["nightjar-demo", 2048, 4]


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ("no message", "UsageError: There are no messages"),
        ("no role", "UsageError: Message 1 of 1 has the role None"),
        ("assistant last", "UsageError: The last message is the assistant's"),
        ("no text", "UsageError: Message 1 of 1: content must be text, and is int"),
        ("parameter", "ParameterError: Unknown parameter 'temprature'"),
        ("value", "ParameterError: Parameter 'temperature'"),
        ("seed", "UsageError: The seed is -1"),
        ("too long", "ContextError: The prompt has "),
        ("embed", "ModelError: nightjar-demo generates text"),
        ("setting", "SettingsError: The load setting 'contxt'"),
        ("no model", "UnknownNameError: There is no model 'nightjar-dmo'. Did you mean 'nightjar-demo'"),
        ("report", "UsageError: "),
        ("option", "UsageError: evaluate() has no option 'limt'. Did you mean 'limit'"),
    ],
)
def test_errors_are_nightjars_and_say_what_to_do(call: str, told: str, said: dict[str, Any]) -> None:
    assert said["wrong"][call].startswith(told)


def test_a_closed_model_says_so(said: dict[str, Any]) -> None:
    assert said["closed"] == "The model is closed; load it again."


CHECKS = """
import json, logging
rows = report.scores()
facts = {
    "run": report.run,
    "failed": report.failed,
    "gates": [gate["outcome"] for gate in report.gates],
    "same": saved.scores() == rows and saved.data == report.data,
    "columns": sorted(rows[0]),
    "turns": len(report.turns()),
    "values": [row["value"] for row in rows if row["metric"] == "checks"],
    "mean": next(row["mean"] for row in report.metrics() if row["metric"] == "checks"),
    "sequences": len({row["sequence"] for row in rows}),
    "root": [type(handler).__name__ for handler in logging.getLogger().handlers],
    "workers": [worker.model for worker in nightjar.Manager().stats()],
    "file": report.files[0].name,
    "answer": report.answer,
}
print("=====" + json.dumps(facts))
"""


def test_the_page_runs_as_one_program(shell: Shell) -> None:
    """Every block in order, and then: the report in memory is the one in the file, the command knows the run, workers
    have ended, and the program's own logging was left alone."""
    blocks = BLOCK.findall(PAGE.read_text("utf-8"))
    assert len(blocks) >= 8
    done = run("\n".join([*blocks, CHECKS]), shell)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout.partition("=====")[2])
    assert (facts["run"], facts["file"], facts["gates"]) == ("from-python", "from-python.json", ["passed"])
    assert (facts["failed"], facts["same"], facts["sequences"]) == (False, True, 3)
    assert facts["turns"] == len(facts["values"])
    assert facts["mean"] == pytest.approx(sum(facts["values"]) / len(facts["values"]), abs=0.2)
    wanted = {
        "run",
        "model",
        "variant",
        "sequence",
        "tags",
        "repeat",
        "turn",
        "metric",
        "value",
        "state",
        "answer",
        "reason",
    }
    assert set(facts["columns"]) == wanted
    assert (facts["root"], facts["workers"]) == ([], [])
    assert facts["answer"].isascii()
    told = shell.json("report", "from-python", "--format", "json")
    assert told["answer"] == facts["answer"]
    assert told["models"][0]["metrics"]["checks"]["mean"] == facts["mean"]
    assert [gate["measured"] for gate in told["gates"]] == [facts["mean"]]
    what = ("-s", "story-starters", "-m", "nightjar-demo", "--limit", "3", "--fail-below", "checks:0.5")
    again = shell.json("eval", *what, "--name", "from-python")
    assert (again["run"]["name"], again["answer"]) == ("from-python", facts["answer"])
    assert again["files"] == again["reports"]


JUDGED = """
import asyncio, json
import nightjar

async def main():
    seen = []
    options = dict(self_judging=True, limit=1, name="judged", formats=["json"], rubric="rubric.yaml")
    options |= dict(judge="nightjar-demo", parameters={"max_tokens": 16}, on_progress=seen.append)
    options |= dict(variants=[{"name": "plain"}, {"name": "brief", "system": "Be brief."}, {"name": "long"}])
    options |= dict(only_variants=["plain", "brief"])
    task = asyncio.create_task(nightjar.aevaluate("story-starters", "nightjar-demo", **options))
    turns = 0
    while not task.done():  # the loop goes on
        turns += 1
        await asyncio.sleep(0.05)
    report = await task
    judging = report.data["judging"]
    print(json.dumps({
        "variants": sorted({row["model"] for row in report.turns()}),
        "turns": turns, "rubric": judging["rubric"]["name"],
        "longest": max(turn["reply_tokens"] for turn in report.turns()), "failed": report.failed,
    }))

asyncio.run(main())
"""
RUBRIC = """
name: short
criteria:
  - {name: plot, description: Is there a plot?, scale: {1: no, 2: some, 3: yes}}
"""


def test_a_judged_evaluation_in_a_running_loop(shell: Shell) -> None:
    """It holds up nothing, says how far it is, and takes parameters, rubric and variants as the command does."""
    (shell.folder / "rubric.yaml").write_text(RUBRIC)
    done = run(JUDGED, shell)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert (facts["rubric"], facts["longest"]) == ("short", 16)
    assert facts["variants"] == ["nightjar-demo+brief", "nightjar-demo+plain"]
    assert facts["turns"] > 10


EMBEDS = """
import asyncio, json, math, sys
import nightjar
with nightjar.load(sys.argv[1], gpu="none", threads=1) as model:
    fox, hen = model.embed_batch(["the fox sat", "the hen ran"])
    alone = asyncio.run(model.aembed("the fox sat"))
    try:
        model.chat("the fox")
    except nightjar.ModelError as error:
        refused = str(error)
near, far = math.dist(fox, alone), math.dist(fox, hen)
print(json.dumps({"length": math.hypot(*fox), "near": near, "far": far, "refused": refused}))
"""


def test_an_embedding_model_embeds(shell: Shell, tmp_path: Path) -> None:
    done = run(EMBEDS, shell, write_bert(tmp_path / "bert.gguf"))
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["length"] == pytest.approx(1)
    assert facts["near"] < 1e-4 < facts["far"]
    assert "is an embedding model" in facts["refused"]


def test_importing_is_quick_and_reads_no_folder(tmp_path: Path) -> None:
    """Nothing heavy comes with `import nightjar`, and `python -m nightjar` is still the command."""
    heavy = ("numpy", "pydantic", "beanie", "typer", "rich", "asyncio")
    looked = f"import sys, nightjar; print([name for name in {heavy} if name in sys.modules])"
    shell = Shell(folder=tmp_path)
    assert run(looked, shell).stdout == "[]\n"
    every = "import nightjar as n; print(len(dir(n)), [name for name in n.__all__ if getattr(n, name, None) is None])"
    known, _, lacking = run(every, shell).stdout.partition(" ")
    assert int(known) > 30
    assert lacking == "[]\n"
    assert "Evaluate local GGUF" in shell.ok("--help")
