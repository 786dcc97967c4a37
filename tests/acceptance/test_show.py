"""`nightjar show` after `nightjar eval`: the answer in a sentence, and the replies of all models beside each other."""

from __future__ import annotations

import shutil
from pathlib import Path

from nightjar import config
from tests.shell import Shell

DEMO_MODEL = Path(config.__file__).parent / "models" / "nightjar-demo.gguf"


def test_the_answer_and_the_replies_behind_it(shell: Shell, tmp_path: Path) -> None:
    """Two models that are one can not be told apart, and what to do; prompts as the template wrote them.

    Each of two prompts has three turns, and both models reply to each.
    """
    twin = tmp_path / "twin.gguf"
    shutil.copy(DEMO_MODEL, twin)
    printed = shell.ok(
        *("eval", "--suite", "story-starters", "--limit", "2", "--set", "max_tokens=24", "--name", "first"),
        *("--model", "nightjar-demo", "--model", twin, "--out", tmp_path / "out"),
    )
    said = " ".join(printed.split())
    assert "can't be separated over 2 sequences" in said
    assert "at least 6 sequences are needed to compare at all. `--suite stories` has 48." in said
    assert "`nightjar judge first --judge MODEL`" in said
    assert "`nightjar show first`" in said

    shown = shell.ok("show", "first")
    assert shown.count("\nTurn ") == 3
    replies = [line.partition("  (")[0] for line in shown.splitlines() if "tokens, ended by" in line]
    assert replies == ["nightjar-demo", "twin"] * 3, "in the order of the run, as they are alike"
    assert "Best by" not in shown
    assert "Checks met: " in shown

    one = shell.json("show", "first", "--prompt", "2", "--model", "twin", "--rendered")
    assert one["prompt"] == "bear-and-bread"
    assert one["notes"] == []
    [conversation] = one["conversations"]
    assert (conversation["model"], conversation["repeat"]) == ("twin", 1)
    turns = conversation["turns"]
    assert [turn["number"] for turn in turns] == [1, 2, 3]
    assert all(turn["checks"] and set(turn["checks"]) <= turn["scores"].keys() for turn in turns)
    assert turns[0]["prompt"] in turns[0]["rendered"]
    assert all(part in turns[1]["rendered"] for part in (turns[0]["rendered"], turns[0]["reply"], turns[1]["prompt"]))
    assert conversation["system"] in turns[2]["rendered"]

    twin.unlink()
    gone = shell.json("show", "first", "--prompt", "bear-and-bread", "--model", "twin", "--rendered")
    assert "can't be rendered here" in gone["notes"][0]
    assert gone["conversations"][0]["turns"][0]["reply"] == turns[0]["reply"]
    assert "a number from 1 to 2" in shell.refused("show", "first", "--prompt", "bear-and-bred")
    assert "'twin'" in shell.refused("show", "first", "--model", "twins")
