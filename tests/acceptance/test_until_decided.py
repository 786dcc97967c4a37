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
