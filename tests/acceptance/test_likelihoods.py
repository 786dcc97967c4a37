"""Suites of given texts, end to end on the bundled model: choices with their accuracy, texts with their perplexity."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from tests.hub import COMMIT, LocalHub, Repository
from tests.shell import PROJECT, Shell

REPORT = Draft202012Validator(json.loads((PROJECT / "docs/report.schema.json").read_text("utf-8")))
CHOICES = """\
nightjar: 1
name: endings
primary_metric: acc
pools:
  said:
    - {prompt: "The fox was", answer: red.}
    - {prompt: "The owl was", answer: wise.}
examples: {pool: said, count: 1}
sequences:
"""
TEXTS = """\
nightjar: 1
name: texts
mode: perplexity
primary_metric: word_perplexity
sequences:
"""
STORIES = [
    "Once upon a time a fox named Mira lived in the forest.",
    "The old owl sat on a branch and looked at the moon. It was a quiet night.",
    "A small mouse found a big red apple near the river and shared it with a friend.",
    "Every morning the bear walked to the hill.",
    "The rabbit was happy. The rabbit ran home. The sun was warm and the day was long.",
]


def report_of(folder: Path) -> Any:
    (path,) = folder.glob("*.json")
    return json.loads(path.read_text())


def test_choices_are_scored_and_accuracy_has_an_interval(shell: Shell, tmp_path: Path) -> None:
    """enqueue, a worker, a report: words against letters, so that any model of stories is right most of the time."""
    nouns = "fox bear owl mouse rabbit deer".split()
    lines = [
        f'  - {{id: {noun}, turns: [{{prompt: "The {noun} went to the", choices: [forest, zqxvj wv], answer: 0}}]}}\n'
        for noun in nouns
    ]
    suite = shell.folder / "endings.yaml"
    suite.write_text(CHOICES + "".join(lines))
    shell.ok("suite", "import", suite)
    run = shell.json("enqueue", "--suite", "endings", "--model", "nightjar-demo")["run"]
    printed = shell.ok(
        "eval",
        "--suite",
        "endings",
        "--model",
        "nightjar-demo",
        "--name",
        run["name"],
        "--out",
        tmp_path / "out",
        "--format",
        "json",
        "--format",
        "html",
    )

    assert "acc" in printed
    report = report_of(tmp_path / "out")
    metrics = report["models"][0]["metrics"]
    assert {"acc", "acc_norm", "acc_bytes", "acc_tokens"} <= metrics.keys()
    assert "words" not in metrics, "nothing was written that could be measured"
    assert metrics["acc"]["n"] == len(nouns)
    assert metrics["acc"]["mean"] > 0.5
    low, high = metrics["acc"]["interval"]["low"], metrics["acc"]["interval"]["high"]
    assert low < metrics["acc"]["mean"] <= high
    turns = [turn for job in report["jobs"] for turn in job["turns"]]
    assert {turn["reply_tokens"] for turn in turns} == {0}
    assert all(turn["scores"]["acc"]["answer"] in ("forest", "zqxvj wv") for turn in turns)
    assert {turn["likelihoods"]["layout"] for turn in turns} <= {"resumed", "branches"}
    assert [error.message for error in REPORT.iter_errors(report)] == []
    (page,) = (tmp_path / "out").glob("*.html")
    assert "forest" in page.read_text()


def test_a_corpus_has_one_perplexity_and_the_gate_reads_it(shell: Shell, tmp_path: Path) -> None:
    """The mean is that of all words together, lower is better, and a limit above it trips."""
    lines = [f"  - {{id: story-{at}, turns: [{json.dumps(text)}]}}\n" for at, text in enumerate(STORIES)]
    suite = shell.folder / "texts.yaml"
    suite.write_text(TEXTS + "".join(lines))
    gated = shell.run(
        "eval",
        "--suite",
        f"./{suite.name}",
        "--model",
        "nightjar-demo",
        "--out",
        tmp_path / "out",
        "--format",
        "json",
        "--format",
        "html",
        "--fail-below",
        "word_perplexity:1.01",
    )
    assert gated.returncode == 1, gated.stderr
    assert "word_perplexity" in gated.stderr + gated.stdout

    report = report_of(tmp_path / "out")
    metrics = report["models"][0]["metrics"]
    turns = {job["sequence"]: job["turns"][0] for job in report["jobs"]}
    words = {f"story-{at}": len(text.split()) for at, text in enumerate(STORIES)}
    nats = {name: words[name] * math.log(turn["scores"]["word_perplexity"]["value"]) for name, turn in turns.items()}
    assert math.isclose(metrics["word_perplexity"]["mean"], math.exp(sum(nats.values()) / sum(words.values())))
    assert metrics["word_perplexity"]["interval"]["low"] > 0
    assert 0 < metrics["bits_per_byte"]["mean"] < 8
    assert report["ranking"]["metric"] == "word_perplexity"
    (page,) = (tmp_path / "out").glob("*.html")
    assert "word_perplexity" in page.read_text()
    assert "beginning-of-text" in turns["story-0"]["scores"]["perplexity"]["answer"]


def test_what_no_texts_can_be_scored_of_is_refused_with_all_of_it(shell: Shell) -> None:
    """Each mistake of the file is named with its line, at once."""
    suite = shell.folder / "bad.yaml"
    suite.write_text(
        "nightjar: 1\nsequences:\n"
        "  - {id: a, turns: [{prompt: Q, choices: [x, y]}]}\n"
        "  - {id: b, turns: [{prompt: Q, choices: [x, x], answer: 0}]}\n"
        '  - {id: c, turns: [{prompt: Q, continuation: " "}]}\n'
    )
    told = shell.refused("suite", "validate", suite)

    for line, words in [(3, "no choice is right"), (4, "choices 0 and 1 are equal"), (5, "the continuation is empty")]:
        assert f"line {line}" in told
        assert words in told


def test_a_benchmark_is_pulled_and_a_ladder_is_made(shell: Shell) -> None:
    """What would be fetched is shown before; what was fetched says where it is from."""
    hub = LocalHub()
    lines = "".join(json.dumps({"text": f"it rained cats and {word}"}) + "\n" for word in ("dogs", "mice"))
    hub.repositories["EleutherAI/lambada_openai"] = Repository(files={"data/lambada_test_en.jsonl": lines.encode()})
    with hub.running():
        asked = {"HF_ENDPOINT": hub.endpoint}
        shown = shell.ok("suite", "pull", "lambada", "--show", env=asked)
        assert f"at {COMMIT}, 1 file, 0.0 MB, licence: apache-2.0" in shown
        assert hub.downloads() == []
        assert "Imported. Suite 'lambada' version 1" in shell.ok("suite", "pull", "lambada", env=asked)

    suite = shell.json("suite", "show", "lambada")["suite"]
    assert suite["source"].startswith(f"EleutherAI/lambada_openai at {COMMIT}: data/lambada_test_en.jsonl (SHA-256 ")
    assert suite["sequences"][0]["turns"][0]["choices"]["texts"] == ["dogs"]
    assert "5 sequences, 5 turns" in shell.ok("suite", "ladder", "needle", "--up-to", "1024")


TASK = """\
task: {name}
dataset_path: local/rows
output_type: multiple_choice
test_split: test
doc_to_text: "The {{{{noun}}}} went to the"
doc_to_choice: ["forest", "{wrong}"]
doc_to_target: right
metric_list: [{{metric: acc}}]
"""


def test_imported_tasks_are_joined_and_their_average_has_a_gate(shell: Shell, tmp_path: Path) -> None:
    """Two tasks of lm-evaluation-harness of different sizes: the average of both counts each alike."""
    for name, wrong, nouns in (
        ("large", "zqxvj wv", "fox bear owl mouse rabbit deer hen cat".split()),
        ("small", "kzzq xw", "dog wolf".split()),
    ):
        (shell.folder / f"{name}.yaml").write_text(TASK.format(name=name, wrong=wrong))
        rows = [{"noun": noun, "right": int(name == "small")} for noun in nouns]
        (shell.folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        shell.ok("suite", "import", f"{name}.yaml", "--format", "lm-eval", "--data", f"{name}.jsonl")
    shell.ok("suite", "join", "both", "large", "small")
    assert "Averages: acc.macro over 2 parts." in shell.ok("suite", "show", "both")
    gated = shell.run(
        "eval",
        "--suite",
        "both",
        "--model",
        "nightjar-demo",
        "--out",
        tmp_path / "out",
        "--format",
        "json",
        "--format",
        "html",
        "--fail-below",
        "acc:0.7",
        "--fail-below",
        "acc.macro:0.7",
    )
    assert gated.returncode == 1, gated.stderr

    report = report_of(tmp_path / "out")
    metrics = report["models"][0]["metrics"]
    assert metrics["acc"]["mean"] == 0.8, "the large task is answered rightly, the small one names the wrong word"
    assert metrics["acc.macro"]["mean"] == 0.5
    assert report["ranking"]["metric"] == "acc.macro"
    outcomes = {result["gate"]: result["outcome"] for result in report["gates"]["results"]}
    assert outcomes == {"--fail-below acc:0.7": "passed", "--fail-below acc.macro:0.7": "tripped"}
    assert [error.message for error in REPORT.iter_errors(report)] == []
    (page,) = (tmp_path / "out").glob("*.html")
    assert "acc.macro" in page.read_text()
    assert "first token" not in page.read_text().partition('id="models"')[2].partition("</table>")[0]


def test_a_ladder_says_score_and_speed_by_length(shell: Shell, tmp_path: Path) -> None:
    """To the context that the model was made for; in the terminal, on the page and in the JSON."""
    asked = ("suite", "ladder", "needle", "--context-of", "nightjar-demo", "--each", "2")
    assert "4 sequences, 4 turns" in shell.ok(*asked)
    assert "Leave one out" in shell.refused(*asked, "--up-to", "1024")
    printed = shell.ok(
        *("eval", "--suite", "ladder-needle", "--model", "nightjar-demo", "--name", "l"),
        *("--set", "max_tokens=8", "--out", tmp_path, "-f", "html,json"),
    )
    assert "By length of the context" in printed
    assert "By length of the context" in (tmp_path / "l.html").read_text("utf-8")
    steps = json.loads((tmp_path / "l.json").read_text("utf-8"))["depths"]
    assert [(step["length"], step["sequences"]) for step in steps] == [("1k", 2), ("2k", 2)]
    assert steps[0]["prompt_tokens"] < steps[1]["prompt_tokens"]
    assert all(step["prefill_tokens_per_s"] > 0 for step in steps)
