"""A run that stops when it is decided, as a person does it: two system prompts on the bundled model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.shell import Shell

KINDS = "fox bear cat dog bird hare duck frog goat lamb mouse owl pig hen wolf bee ant crow swan seal".split()
PLACES = ("by the sea", "in the hills")
MIRA = "Every story is about a fox called Mira."
VARIANTS = [{"name": "plain"}, {"name": "named", "system": MIRA}]


def suite(sequences: int = 40, **fields: Any) -> str:
    """Forty sequences that want Mira in the story; JSON is YAML, too."""
    turn = {"prompt": "Tell a short story {{place}}. A friend is a {{kind}}.", "expect": [{"includes": "Mira"}]}
    rows = [{"kind": kind, "place": place} for kind in KINDS for place in PLACES][:sequences]
    parameters = {"temperature": 0.7, "max_tokens": 16}
    listed = [{"id": "s", "variables": rows, "turns": [turn]}]
    return json.dumps({"nightjar": 1, "name": "mira", "parameters": parameters, "sequences": listed, **fields})


def test_it_stops_early_and_says_what_it_left_out(shell: Shell, tmp_path: Path) -> None:
    """Nothing is asked after the look that decides; asking again changes nothing."""
    file, out = tmp_path / "mira.json", tmp_path / "out"
    file.write_text(suite(variants=VARIANTS), "utf-8")
    command = ("eval", "-s", file, "-m", "nightjar-demo", "--name", "d", "--out", out, "-f", "json,html")
    printed = shell.ok(*command, "--until", "decided", "--primary", "checks")
    assert "Stopped when decided, at look" in printed
    report = json.loads((out / "d.json").read_text("utf-8"))
    waves = report["waves"]
    assert waves["over"]
    assert waves["asked"] in (20, 30)
    assert waves["asked"] + waves["left_out"] == 40
    assert len(report["jobs"]) == 2 * waves["asked"]
    (pair,) = waves["looks"][-1]["pairs"]
    assert (pair["first"], pair["second"], pair["state"]) == ("nightjar-demo+plain", "nightjar-demo+named", "worse")
    assert f"the other {waves['left_out']} were left out" in (out / "d.html").read_text("utf-8")
    assert f"{waves['left_out']} are left out" in shell.ok("run", "show", "d").replace("\n", " ")
    assert "are left out" in shell.ok("run", "wait", "d").replace("\n", " ")
    again = shell.ok(*command, "--until", "decided", "--primary", "checks")
    assert "Stopped when decided, at look" in again
    assert "it asks all sequences, was --until decided --primary checks" in shell.refused(*command)


def test_what_cannot_be_decided_is_refused_before_anything_is_loaded(shell: Shell, tmp_path: Path) -> None:
    few, many = tmp_path / "few.json", tmp_path / "many.json"
    few.write_text(suite(12, variants=VARIANTS), "utf-8")
    many.write_text(suite(), "utf-8")
    for options, says in (
        ((few, "--primary", "checks"), "needs at least 20 sequences for its first look, and this run has 12"),
        ((many, "--primary", "checks"), "compares the models of a run, and this one has only one"),
    ):
        assert says in shell.refused("eval", "-m", "nightjar-demo", "--until", "decided", "-s", *options)


def test_the_nights_of_a_schedule_stop_when_decided(shell: Shell, tmp_path: Path) -> None:
    """Each run that it makes asks in waves and ends early; the trend and the reports say what was left out."""
    file = tmp_path / "mira.json"
    file.write_text(suite(variants=VARIANTS, primary_metric="checks"), "utf-8")
    shell.ok("suite", "import", file)
    schedule = ("schedule", "add", "nightly", "--cron", "0 2 * * *", "--suite", "mira", "--model", "nightjar-demo")
    assert "goes from end to end" in shell.refused(*schedule, "--until", "decided", "--margin", "7")
    shell.ok(*schedule, "--until", "decided", "--margin", "0.05")
    for seed in ("1", "2"):
        shell.ok("schedule", "edit", "nightly", "--seed", seed)
        name = shell.json("schedule", "run", "nightly")["run"]["name"]
        shell.ok("worker", "--model", "nightjar-demo", "--burst")
        ended = shell.json("run", "wait", name)["run"]
        assert ended["status"] == "DONE"
        shell.ok("report", name, "-f", "json", "--out", tmp_path / "out")
        report = json.loads((tmp_path / "out" / f"{name}.json").read_text("utf-8"))
        waves = report["waves"]
        assert (waves["over"], waves["margin"], waves["asked"] + waves["left_out"]) == (True, 0.05, 40)
        assert waves["left_out"] >= 10
        assert len(report["jobs"]) == 2 * waves["asked"]
