"""The command line as a whole: help without heavy imports, and errors of one paragraph."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import nightjar
from nightjar.config.errors import NightjarError
from nightjar.scripts import cli
from nightjar.scripts.cli import COMMANDS, main

HEAVY = "arq beanie huggingface_hub jinja2 jsonschema llama_cpp numpy psutil pymongo redis scipy vl_convert".split()
LOOK = f"""
import sys
from nightjar.config.errors import NightjarError
from nightjar.scripts import cli
for name in cli.COMMANDS:
    try:
        cli.app([name, "--help"], prog_name="nightjar")
    except SystemExit as end:
        assert not end.code, name
    heavy = [module for module in {HEAVY} if module in sys.modules]
    assert not heavy, f"nightjar {{name}} --help imports {{heavy}}"
"""


def test_no_help_waits_for_a_heavy_import() -> None:
    """`--help` of every command stays quick: what takes long to import is imported where it is used."""
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(f"Usage: nightjar {name}" in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_has_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One example each, so that nobody has to guess the first call; a group's commands have theirs."""
    with pytest.raises(SystemExit):
        main([name, "--help"])
    shown = capsys.readouterr().out
    assert "xample" in shown or "Commands:" in shown


def _leaves(command: Any, words: list[str]) -> Iterator[list[str]]:
    children = getattr(command, "commands", {})
    for name, child in children.items():
        yield from _leaves(child, [*words, name])
    if not children:
        yield words


LEAVES = [words for name in COMMANDS for words in _leaves(cli.LazyCommands().get_command(None, name), [name])]


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_all_help_has_one_look(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """No boxes, no types of Python's, the example on a line of its own that can be copied, what comes first first."""
    with pytest.raises(SystemExit):
        main(["help", *words])
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: nightjar {' '.join(words)} ")
    assert not set("╭│╰─") & set(shown)
    assert not re.search(r"<(str|int|bool|float|list)", shown)
    assert "install-completion" not in shown
    assert re.search(r"^  Example:\n    nightjar ", shown, re.M)
    assert shown.index("Example:") < shown.index("Options:")


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_the_version(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([option])
    assert (end.value.code, capsys.readouterr().out) == (0, f"nightjar {nightjar.__version__}\n")


@pytest.mark.parametrize("words", [["help"], ["help", "run"], ["help", "run", "list"]])
def test_help_is_a_word_too(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(words)
    by_word = capsys.readouterr().out
    with pytest.raises(SystemExit):
        main([*words[1:], "--help"])
    assert by_word == capsys.readouterr().out


def test_an_error_nobody_thought_of_is_one_paragraph(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A traceback reaches the user only with --debug."""

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(cli, "app", broken)
    with pytest.raises(SystemExit) as end:
        main(["status"])
    shown = capsys.readouterr().err
    assert end.value.code == 1
    assert "ZeroDivisionError: division by zero" in shown
    assert "--debug" in shown
    assert "Traceback" not in shown
    with pytest.raises(ZeroDivisionError):
        main(["status", "--debug"])


def test_a_misspelt_command_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["enqueu"])
    assert end.value.code == 2
    assert "'enqueue'" in capsys.readouterr().err


def test_an_error_holds_neither_secrets_nor_terminal_controls(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names come from files and models, addresses from drivers."""

    def broken(*_: object, **__: object) -> None:
        raise NightjarError("cannot reach mongodb://user:hunter2@host/ for model \x1b[2Jx")

    monkeypatch.setattr(cli, "app", broken)
    with pytest.raises(SystemExit) as end:
        main(["status"])
    assert end.value.code == 1
    assert capsys.readouterr().err == "nightjar: cannot reach mongodb://user:***@host/ for model [2Jx\n"
