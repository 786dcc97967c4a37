"""Memories as a person types them, and runs that ask for what there is not."""

from __future__ import annotations

from tests.shell import Shell

ENQUEUE = ("enqueue", "--suite", "checkable", "--model", "nightjar-demo", "--only", "echo")


def test_a_memory_by_hand(shell: Shell) -> None:
    added = shell.json("memory", "add", "shared/house", "The cat  is called Minka.")["fact"]
    assert added["fact"] == "The cat is called Minka."
    shell.ok("memory", "add", "shared/house", "The door is green.")
    assert shell.json("memory", "list")["memories"] == [{"name": "shared/house", "facts": 2}]
    edited = shell.json("memory", "edit", "shared/house", added["id"][:6], "The cat is called Mia.")["fact"]
    assert (edited["id"], edited["fact"], edited["edited_at"] is None) == (added["id"], "The cat is called Mia.", False)
    assert "Mia" in shell.ok("memory", "show", "shared/house")
    shell.ok("memory", "rm", "shared/house", added["id"])
    facts = shell.json("memory", "show", "shared/house")["facts"]
    assert [(fact["fact"], fact["job"], fact["model"]) for fact in facts] == [("The door is green.", None, None)]

    assert "301 characters" in shell.refused("memory", "add", "shared/house", "x" * 301)
    assert "Did you mean 'shared/house'" in shell.refused("memory", "show", "shared/hose")
    assert "shared/house" in shell.refused("memory", "rm", "shared/house", "none")
    assert "1 fact removed" in shell.ok("memory", "rm", "shared/house")
    assert shell.json("memory", "list")["memories"] == []


def test_what_is_found_by_meaning_needs_a_small_embedding_model(shell: Shell) -> None:
    """Said when a run is enqueued, with what to do, and not found out at night."""
    for options in (("--set", "policy=recall"), ("--set", "nightjar-demo:policy=recall"), ("--memory", "notes")):
        said = shell.refused(*ENQUEUE, *options, code=1)
        assert "memory_model" in said
        assert "turn 1" in said
    assert "shared/hose" in shell.refused(*ENQUEUE, "--memory", "shared/hose")
    assert "memory" in shell.refused(*ENQUEUE, "--memory", "user/ann/notes")
