"""The main job, end to end, on the bundled model: real servers, real inference, real reports."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

from nightjar import config
from tests.shell import Shell

DEMO_MODEL = Path(config.__file__).parent / "models" / "nightjar-demo.gguf"
QUESTIONS = [
    {"question_id": 81, "category": "writing", "turns": ["Tell a story about a fox named Mira.", "What happens next?"]},
    {"question_id": 101, "category": "reasoning", "turns": ["Is seven more than five?", "Why do you think so?"]},
    {"question_id": 121, "category": "coding", "turns": ["Write a loop.", "Now write it again, shorter."]},
]


def read_report(folder: Path) -> Any:
    (path,) = folder.glob("*.json")
    return json.loads(path.read_text())


def texts(report: Any) -> dict[str, list[str]]:
    return {f"{job['sequence']}/{job['repeat']}": [turn["reply"] for turn in job["turns"]] for job in report["jobs"]}


def test_a_model_no_registry_knows_is_evaluated_by_its_path(shell: Shell, tmp_path: Path) -> None:
    """`nightjar eval` with a bare GGUF file: every turn of every sequence is there, and none of the later is empty."""
    model = tmp_path / "somebody-elses.gguf"
    shutil.copy(DEMO_MODEL, model)
    out = tmp_path / "reports"

    printed = shell.ok("eval", "--suite", "story-starters", "--model", model, "--out", out, "--format", "json")

    assert "somebody-elses" in printed
    report = read_report(out)
    assert [m["name"] for m in report["models"]] == ["somebody-elses"]
    assert report["models"][0]["failed"] == 0
    assert {job["status"] for job in report["jobs"]} == {"DONE"}
    later = [turn for job in report["jobs"] for turn in job["turns"] if turn["index"] > 0]
    assert later
    assert all(turn["reply_tokens"] > 1 and turn["reply"].strip() for turn in later)
    assert all(turn["reused_tokens"] > 0 for turn in later)


def test_mt_bench_questions_from_import_to_four_reports(shell: Shell, tmp_path: Path) -> None:
    """Import, enqueue, a worker, a report in every format; second turns compute only what is new."""
    questions = shell.folder / "question.jsonl"
    questions.write_text("\n".join(map(json.dumps, QUESTIONS)) + "\n")
    shell.ok("suite", "import", questions, "--format", "mt-bench", "--name", "mt-bench")

    what = ("--suite", "mt-bench", "--model", "nightjar-demo", "--repeats", "2", "--seed", "7")
    run = shell.json("enqueue", *what)["run"]
    assert (run["created"], run["jobs_total"], run["jobs_added"]) == (True, 6, 6)
    out = tmp_path / "reports"
    formats = [flag for form in ("html", "json", "csv", "md") for flag in ("--format", form)]
    shell.ok("eval", *what, "--name", run["name"], *formats, "--out", out)

    report = read_report(out)
    turns = [turn for job in report["jobs"] for turn in job["turns"]]
    assert len(turns) == 12
    for job in report["jobs"]:
        first, second = job["turns"]
        known = first["prompt_tokens"] + first["reply_tokens"]
        # All of it where a repeat had the same conversation before: then its logits are shared.
        assert known - 1 <= second["reused_tokens"] <= second["prompt_tokens"], "only the new tokens are computed"
    (table,) = out.glob("*.csv")
    with table.open(newline="") as rows:
        assert len(list(csv.DictReader(rows))) == 12
    (page,) = out.glob("*.html")
    assert "<script src" not in page.read_text()
    (text,) = out.glob("*.md")
    assert "nightjar-demo" in text.read_text()


def test_one_slot_and_one_seed_give_the_same_texts_again(shell: Shell, tmp_path: Path) -> None:
    """With flash attention off and one slot, two runs with one seed write the same replies, word for word."""
    seen = []
    for number in (1, 2):
        out = tmp_path / f"out{number}"
        shell.ok(
            "eval",
            "--suite",
            "story-starters",
            "--limit",
            "3",
            "--model",
            "nightjar-demo",
            "--seed",
            "7",
            "--slots",
            "1",
            "--format",
            "json",
            "--out",
            out,
            "--set",
            "temperature=0.8",
            env={"NIGHTJAR_MODEL__FLASH_ATTENTION": "false"},
        )
        seen.append(texts(read_report(out)))
    assert seen[0] == seen[1]
    assert all(reply for replies in seen[0].values() for reply in replies)


def test_the_same_name_goes_on_instead_of_starting_again(shell: Shell) -> None:
    """Enqueueing the same content under the same name adds nothing; another seed is refused with the difference."""
    first = shell.json("enqueue", "--suite", "story-starters", "--model", "nightjar-demo", "--name", "nightly")["run"]
    again = shell.json("enqueue", "--suite", "story-starters", "--model", "nightjar-demo", "--name", "nightly")["run"]
    assert (again["id"], again["created"], again["jobs_added"]) == (first["id"], False, 0)
    error = shell.refused(
        "enqueue", "--suite", "story-starters", "--model", "nightjar-demo", "--name", "nightly", "--seed", "8"
    )
    assert "seed" in error
    assert "8" in error
