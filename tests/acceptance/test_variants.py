"""System prompt A against B on one model, as a person does it: variants in a suite, --system, two suites by id."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from tests.shell import Shell

KINDS = "fox bear cat dog bird hare duck frog goat lamb mouse owl".split()
MIRA = "Every story is about a fox called Mira."
VARIANTS = [{"name": "plain"}, {"name": "named", "system": MIRA}]


def suite(name: str, ask: str, **fields: Any) -> str:
    """Twelve sequences that want Mira in the story; JSON is YAML, too."""
    turn = {"prompt": f"{ask} Its friend is a {{{{kind}}}}.", "expect": [{"includes": "Mira"}]}
    rows = [{"kind": kind} for kind in KINDS]
    sequences = [{"id": "s", "variables": rows, "turns": [turn]}]
    parameters = {"temperature": 0.7, "max_tokens": 16}
    return json.dumps({"nightjar": 1, "name": name, "parameters": parameters, "sequences": sequences, **fields})


def test_two_system_prompts_on_one_model_are_ranked_and_compared(shell: Shell, tmp_path: Path) -> None:
    """One run whose report tells the variants apart; and a run over another suite compared with it by id."""
    tried, other, mira, out = (tmp_path / name for name in ("ab.json", "other.json", "mira.txt", "out"))
    tried.write_text(suite("ab", "Tell me a short story.", variants=VARIANTS), "utf-8")
    other.write_text(suite("other", "Tell me a story."), "utf-8")
    mira.write_text(MIRA + "\n", "utf-8")

    printed = shell.ok(
        "eval", "-s", tried, "-m", "nightjar-demo", "--name", "ab", "--out", out, "-f", "html,json,csv,md"
    )
    assert "nightjar-demo+named" in printed
    assert "nightjar-demo+plain" in printed
    report = json.loads((out / "ab.json").read_text("utf-8"))
    assert [(place["model"], place["rank"]) for place in report["ranking"]["places"]] == [
        ("nightjar-demo+named", 1),
        ("nightjar-demo+plain", 2),
    ]
    models = {model["name"]: model for model in report["models"]}
    assert {model["model"] for model in models.values()} == {"nightjar-demo"}
    assert models["nightjar-demo+named"]["variant"]["system"] == MIRA
    assert {(job["model"], job["variant"]) for job in report["jobs"]} == {
        (f"nightjar-demo+{name}", name) for name in ("plain", "named")
    }
    assert {job["turns"][0]["seed"] for job in report["jobs"] if job["variant"] == "plain"} == {
        job["turns"][0]["seed"] for job in report["jobs"] if job["variant"] == "named"
    }
    rows = list(csv.DictReader(io.StringIO((out / "ab.csv").read_text("utf-8"))))
    assert {(row["model"], row["from.variant"]) for row in rows} == {
        ("nightjar-demo+plain", "plain"),
        ("nightjar-demo+named", "named"),
    }
    page = (out / "ab.html").read_text("utf-8")
    assert "nightjar-demo+named (" in page  # the answer
    assert "beats nightjar-demo+plain" in page
    assert "1 model, 2 variants" in page
    assert "<h3>Variants</h3>" in page
    assert MIRA in page
    assert "nightjar-demo\\+named" in (out / "ab.md").read_text("utf-8")
    compared = shell.json("compare", "ab:nightjar-demo+plain", "ab:nightjar-demo+named")["comparisons"]
    assert [(c["shared"], c["metrics"][0]["verdict"]) for c in compared] == [(12, "better")]

    shown = shell.json("show", "ab", "--prompt", "1", "--model", "nightjar-demo+named")["conversations"]
    assert [(conversation["variant"], conversation["system"]) for conversation in shown] == [("named", MIRA)]
    assert len(shell.json("show", "ab", "--prompt", "1", "--model", "nightjar-demo")["conversations"]) == 2
    assert "Did you mean 'nightjar-demo+named'" in shell.refused("show", "ab", "--model", "nightjar-demo+namd")

    shell.ok("eval", "-s", other, "-m", "nightjar-demo", "--system", f"told={mira}", "--name", "other", "--out", out)
    pair = ("compare", "ab:nightjar-demo+plain", "other")
    assert "--pair-by id compares those" in shell.refused(*pair)
    by_id = shell.ok(*pair, "--pair-by", "id")
    assert "other:nightjar-demo+told against ab:nightjar-demo+plain, over 12 shared sequences" in by_id
    assert "paired by id; 12 of 12 ask otherwise" in by_id
    assert shell.refused(*pair, "--pair-by", "name") == "nightjar: --pair-by is 'name'; it is content or id."
    assert "There is no variant 'naemd'. Did you mean 'named'?" in shell.refused(
        "enqueue", "-s", "ab", "-m", "nightjar-demo", "--variant", "naemd"
    )
