"""Which words complete a command line, and what the shells are told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from nightjar.scripts.cli import COMMANDS, app
from nightjar.scripts.completion.candidates import BY_METAVAR, BY_NAME, BY_PLACE, FILES, Completion, Wanted, next_words
from nightjar.scripts.completion.names import _READERS
from nightjar.scripts.completion.shells import SHELLS, after_breaks, answer_lines, words_of

NAMES = {
    Wanted.RUNS: ["nightly", "night-two"],
    Wanted.MODELS: ["story", "llama3.2:1b"],
    Wanted.SUITES: ["mt-bench"],
    Wanted.SCHEDULES: ["every-night"],
}


def answer(*words: str) -> Completion:
    return next_words(typer.main.get_command(app), words, lambda wanted: NAMES.get(wanted, [wanted.name]))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["su"], ["suite"]),
        (["suite", "va"], ["validate"]),
        (["help", "suite", "va"], ["validate"]),
        (["--debug", "ru"], ["run"]),
        (["run", "show", "ni"], ["nightly", "night-two"]),
        (["run", "show", "nightly", ""], []),  # it takes one run
        (["status", "nightl"], ["nightly"]),
        (["compare", "nightly", "night-"], ["night-two"]),  # any number of runs
        (["eval", "--suite", ""], ["mt-bench"]),
        (["eval", "--suite=mt"], ["--suite=mt-bench"]),
        (["eval", "-s", "mt-bench", "-m", "st"], ["story"]),
        (["eval", "--judge", "ll"], ["llama3.2:1b"]),
        (["eval", "--json", "--emb"], ["--embed-model"]),  # a flag takes no value
        (["eval", "--no-p"], ["--no-probe"]),
        (["enqueue", "--baseline", "nightly"], ["nightly"]),
        (["schedule", "rm", ""], ["every-night"]),
        (["schedule", "add", ""], []),  # a new name
        (["report", "nightly", "--format", ""], ["REPORT_FORMATS"]),
        (["suite", "import", "--format", ""], ["SUITE_FORMATS"]),
        (["suite", "import", "--name", ""], []),
        (["model", "list", "--for", ""], ["USES"]),
        (["completion", ""], ["SHELLS"]),
        (["nosuch", "x"], []),
    ],
)
def test_words_that_can_come_next(words: list[str], expected: list[str]) -> None:
    assert list(answer(*words).words) == expected


def test_paths_where_a_file_may_stand() -> None:
    assert answer("suite", "import", "").files
    assert answer("eval", "--model", "").files
    assert not answer("run", "show", "").files


def _parameters(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    for child in getattr(command, "commands", {}).values():
        yield from _parameters(child, f"{path} {child.name}")
    yield from ((path, parameter) for parameter in command.params)


def test_the_tables_name_parameters_that_there_are() -> None:
    """A parameter that is renamed would otherwise be completed by nothing."""
    root = typer.main.get_command(app)
    every = [pair for name in COMMANDS for pair in _parameters(root.get_command(None, name), name)]  # type: ignore[attr-defined]
    assert set(BY_METAVAR) <= {parameter.metavar for _, parameter in every}
    assert set(BY_NAME) | FILES <= {parameter.name for _, parameter in every}
    assert set(BY_PLACE) <= {(path, parameter.name) for path, parameter in every}
    assert set(_READERS) == set(Wanted)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("nightjar ", [""]),
        ("nightjar run  show ni", ["run", "show", "ni"]),
        ("nightjar eval --model ./my\\ mod", ["eval", "--model", "./my mod"]),
        ("nightjar eval --model 'my mod", ["eval", "--model", "my mod"]),
        ('nightjar try "" ', ["try", "", ""]),
    ],
)
def test_a_line_is_read_as_bash_reads_it(line: str, words: list[str]) -> None:
    assert words_of(line) == words


def test_bash_is_given_what_follows_its_own_breaks() -> None:
    """It takes `llama3.2:1b` for two words; the rest of the second is what it puts in."""
    found = Completion(words=("llama3.2:1b", "llama3.2:3b"))
    assert after_breaks(found, "llama3.2:", ":=").words == ("1b", "3b")
    assert after_breaks(found, "llama3.2:", "").words == found.words


def test_a_name_with_a_control_character_is_left_out() -> None:
    assert answer_lines(Completion(words=("a", "b\x1b[2J", "c\nd"), files=True)) == ["a", "//files"]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_says_how_it_is_used(shell: str) -> None:
    assert f"nightjar completion {shell}" in SHELLS[shell]
