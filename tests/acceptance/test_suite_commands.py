"""Suites, enqueuing, runs and schedules, as a person types them."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.shell import PROJECT, Shell

QUESTIONS = [
    {"question_id": 81, "category": "writing", "turns": ["Compose a post.", "Rewrite it."]},
    {"question_id": 101, "category": "math", "turns": ["What is 1 + 1?", "Twice that?"], "reference": ["2", "4"]},
]
DEMO = ("--model", "nightjar-demo")


def questions(shell: Shell) -> Path:
    file = shell.folder / "question.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in QUESTIONS), encoding="utf-8")
    return file


def test_a_suite_from_file_to_store_and_back_to_a_file(shell: Shell) -> None:
    file = questions(shell)
    assert "2 sequences, 4 turns" in shell.ok("suite", "validate", file)
    imported = shell.json("suite", "import", file, "--format", "mt-bench", "--name", "mt-bench")["suite"]
    assert (imported["version"], imported["created"], imported["sequences"], imported["turns"]) == (1, True, 2, 4)
    assert "Nothing to do" in shell.ok("suite", "import", file, "--name", "mt-bench")

    exported = shell.folder / "exported.yaml"
    shell.ok("suite", "export", "mt-bench", "--out", exported)
    assert shell.json("suite", "validate", exported)["suite"]["id"] == imported["id"]
    assert shell.json("suite", "import", exported)["suite"]["created"] is False

    exported.write_text(exported.read_text(encoding="utf-8").replace("Rewrite it.", "Shorten it."), encoding="utf-8")
    assert shell.json("suite", "import", exported)["suite"]["version"] == 2
    said = shell.ok("suite", "import", file, "--name", "mt-bench")
    assert "The newest version is 2; name this one mt-bench@1" in said

    listed = shell.json("suite", "list")
    assert [(s["name"], s["version"]) for s in listed["suites"]] == [("mt-bench", 2)]
    assert {"story-starters", "checkable"} <= set(listed["bundled"])
    shown = shell.ok("suite", "show", "mt-bench@1", "--sequence", "101")
    assert "What is 1 + 1?" in shown
    assert "reference: 4" in shown


def test_a_suite_that_is_wrong_says_where_and_stores_nothing(shell: Shell) -> None:
    file = questions(shell)
    file.write_text(file.read_text(encoding="utf-8").replace("Twice that?", ""), encoding="utf-8")
    assert "question.jsonl, line 2, field [1].turns[1]: the text is empty." in shell.refused("suite", "import", file)
    empty = shell.folder / "empty.yaml"
    empty.write_text("nightjar: 1\nsequences: []\n", encoding="utf-8")
    assert "line 2, field sequences: the list is empty" in shell.refused("suite", "import", empty)
    assert "Did you mean 'mt-bench'" in shell.refused("suite", "import", file, "--format", "mtbench")
    assert "No such file" in shell.refused("suite", "validate", "none.yaml")
    assert shell.json("suite", "list")["suites"] == []
    assert "Did you mean 'checkable'" in shell.refused("suite", "show", "checkabel")
    assert "cannot be written" in shell.refused("suite", "export", "checkable", "--out", "no/such/folder.yaml", code=1)
    assert not (shell.folder / "no").exists()


def test_a_run_is_enqueued_found_again_grown_and_refused(shell: Shell) -> None:
    what = ("--suite", "story-starters", *DEMO, "--name", "nightly-{date}", "--seed", "7")
    first = shell.ok("enqueue", *what)
    assert "Imported the suite 'story-starters'" in first
    run = shell.json("enqueue", *what)["run"]
    assert run.keys() >= {"id", "name", "created", "jobs_total", "jobs_added"}
    assert (run["created"], run["jobs_total"], run["jobs_added"]) == (False, 8, 0)
    assert re.fullmatch(r"nightly-\d{4}-\d\d-\d\d", run["name"])
    assert "grew by 8 jobs to 16" in shell.ok("enqueue", *what, "--repeats", "2")
    conflict = shell.refused("enqueue", *what[:-1], "8", "--set", "temperature=0")
    assert "the seed is 8, was 7; --set temperature is 0, was not set" in conflict

    shown = shell.json("run", "show", run["name"])["run"]
    assert (shown["status"], shown["seed"], shown["repeats"]) == ("ACTIVE", 7, 2)
    assert shown["jobs"] == {"PENDING": 16, "RUNNING": 0, "DONE": 0, "DEAD": 0, "CANCELLED": 0}
    assert run["name"] in shell.ok("run", "list")
    job = shell.json("run", "show", run["name"], "--job", "fox-and-star:nightjar-demo:1")["job"]
    assert (job["sequence"], job["repeat"], job["attempts"]) == ("fox-and-star", 1, [])
    assert "0 of 3 turns" in shell.ok("run", "show", run["name"], "--job", job["id"])


def test_bad_requests_are_refused_before_anything_is_written(shell: Shell) -> None:
    suite = ("--suite", "checkable")
    for arguments, said in [
        (("--suite", "checkabel", *DEMO), "Did you mean 'checkable'"),
        ((*suite, "--model", "nightjar-dmo"), "Did you mean 'nightjar-demo'"),
        ((*suite, *DEMO, "--repeats", "0"), "--repeats is 0"),
        ((*suite, *DEMO, "--only", "smal"), "Did you mean 'small'"),
        ((*suite, *DEMO, "--name", "../../etc/cron"), "not allowed"),
        ((*suite, *DEMO, "--set", "temprature=1"), "Did you mean 'temperature'"),
    ]:
        assert said in shell.refused("enqueue", *arguments)
    assert shell.json("run", "list")["runs"] == []
    assert "no run 'nightly'" in shell.refused("run", "show", "nightly").lower()


def test_a_run_is_paused_resumed_waited_for_cancelled_and_removed(shell: Shell) -> None:
    shell.ok("enqueue", "--suite", "checkable", *DEMO, "--name", "trial", "--limit", "2")
    shell.ok("run", "pause", "trial")
    waited = shell.run("run", "wait", "trial", "--json")
    assert (waited.returncode, json.loads(waited.stdout)["run"]["status"]) == (1, "PAUSED")
    shell.ok("run", "resume", "trial")
    assert "is ACTIVE: 2 PENDING" in shell.run("run", "wait", "trial", "--timeout", "0.2").stdout
    assert "Cancel it first" in shell.refused("run", "rm", "trial", "--yes")
    assert "No dead job" in shell.ok("run", "retry", "trial", "--dead")
    shell.ok("run", "cancel", "trial")
    assert shell.json("run", "show", "trial")["run"]["jobs"]["CANCELLED"] == 2
    assert "with 2 jobs" in shell.ok("run", "rm", "trial", "--yes")
    assert "no run 'trial'" in shell.refused("run", "cancel", "trial").lower()


def test_ctrl_c_while_waiting_says_how_to_go_on(shell: Shell) -> None:
    """The run stays; the message names the command that waits again."""
    command = ["enqueue", "--suite", "checkable", *DEMO, "--limit", "1", "--name", "left-alone", "--wait"]
    with subprocess.Popen(
        [sys.executable, "-m", "nightjar", *command],
        cwd=shell.folder,
        env=shell.environ(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as waiting:
        try:
            assert waiting.stdout is not None
            assert "Imported the suite 'checkable'" in waiting.stdout.readline()
            assert "left-alone" in waiting.stdout.readline()
            time.sleep(1)  # past the print and into the wait
            waiting.send_signal(signal.SIGINT)
            _, said = waiting.communicate(timeout=60)
        finally:
            waiting.kill()
    assert waiting.returncode == 130
    assert "nightjar run wait left-alone" in said
    assert "Traceback" not in said
    assert shell.json("run", "show", "left-alone")["run"]["status"] == "ACTIVE"


def test_a_schedule_is_added_listed_and_removed(shell: Shell) -> None:
    when = ("--cron", "30 2 * * *", "--timezone", "Europe/Berlin")
    added = shell.ok("schedule", "add", "nightly", *when, "--suite", "checkable", *DEMO, "--repeats", "2")
    assert re.search(r"first run is at \d{4}-\d\d-\d\d 02:30 CES?T \(\d{4}-\d\d-\d\d 0[01]:30 UTC\)", added)
    (listed,) = shell.json("schedule", "list")["schedules"]
    assert (listed["name"], listed["suite"], listed["models"]) == ("nightly", "checkable", "nightjar-demo")
    assert listed["enqueue"]["repeats"] == 2
    assert "Europe/Berlin" in shell.ok("schedule", "list").replace("\n", "") or listed["timezone"] == "Europe/Berlin"
    assert "five fields" in shell.refused("schedule", "add", "x", "--cron", "@daily", "--suite", "checkable", *DEMO)
    assert "Did you mean 'nightly'" in shell.refused("schedule", "rm", "nightl")
    shell.ok("schedule", "rm", "nightly")
    assert shell.json("schedule", "list")["schedules"] == []


def test_the_crontab_command_finds_its_project_from_anywhere(tmp_path: Path) -> None:
    """Called by a link, from another folder, as cron does; it runs the project's own nightjar in the project."""
    project = tmp_path / "a project"
    (project / "scripts").mkdir(parents=True)
    script = shutil.copy(PROJECT / "scripts" / "enqueue", project / "scripts")
    assert os.access(script, os.X_OK)
    link = tmp_path / "link"
    link.symlink_to(script)
    bare = {"PATH": os.environ["PATH"]}

    missing = subprocess.run([link, "--suite", "s"], cwd="/", env=bare, capture_output=True, text=True, check=False)
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "Install Nightjar first" in missing.stderr

    program = project / ".venv" / "bin" / "nightjar"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\npwd\nprintf "[%s]" "$@"\nexit 3\n', encoding="utf-8")
    program.chmod(0o755)
    done = subprocess.run([link, "--name", "n {date}"], cwd="/", env=bare, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, f"{project}\n[enqueue][--name][n {{date}}]")


def test_what_cannot_be_enforced_is_refused_before_the_night(shell: Shell) -> None:
    """By `suite validate` and `import`, and by `enqueue` where it comes from the command line: with the reason."""
    head = (
        "nightjar: 1\nname: held\nsequences:\n  - id: a\n    turns:\n      - x\n      - prompt: y\n        parameters: "
    )
    schema, grammar = "{json_schema: {type: array, uniqueItems: true}}", "{grammar: 'root ::= answer'}"
    for parameters, reason in [(schema, "/uniqueItems is a keyword"), (grammar, "answer (line 1)' not found")]:
        file = shell.folder / "held.yaml"
        file.write_text(head + parameters + "\n", encoding="utf-8")
        for command in ("validate", "import"):
            told = shell.refused("suite", command, file)
            assert "sequence 'a', turn 2" in told
            assert reason in " ".join(told.split())
    assert shell.json("suite", "list")["suites"] == []
    file.write_text(head + "{json_schema: {type: integer, minimum: 0, maximum: 9}}\n", encoding="utf-8")
    assert "Fine" in shell.ok("suite", "validate", file)
    shell.ok("suite", "import", file)
    told = shell.refused("enqueue", "--suite", "held", *DEMO, "--set", "grammar=root ::= (", code=2)
    assert "turn 1" in told
    assert shell.json("run", "list")["runs"] == []


def test_files_as_they_are_published(shell: Shell) -> None:
    """A category with a slash makes a tag; a field that somebody added is passed over and told."""
    file = shell.folder / "creative_writing_prompts_v3.json"
    prompt = {"category": "contemporary romance / drama", "title": "T", "writing_prompt": "A scene. <SEED>"}
    file.write_text(json.dumps({"31": {**prompt, "seed_modifiers": ["It rains."], "extra": 1}}), encoding="utf-8")
    said = shell.ok("suite", "import", file, "--name", "writing")
    assert "Note: The field 'extra' of 1 prompts is passed over" in said
    assert shell.json("suite", "validate", file)["suite"]["notes"]
    assert "contemporary romance - drama" in shell.ok("suite", "show", "writing")
