"""Options that several commands share become options of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from nightjar.scripts.options.gates import GateOptions
from nightjar.scripts.options.run import QueuedRunOptions, request_options
from nightjar.scripts.options.takes import takes


@dataclass(frozen=True, kw_only=True)
class Size:
    height: Annotated[int, typer.Option("--height")] = 3
    width: Annotated[int, typer.Option("--width")]


def run(*arguments: str) -> tuple[int, list[Any]]:
    app, got = typer.Typer(), []

    @app.command()
    @takes(Size)
    def draw(name: Annotated[str, typer.Argument()], size: Size, flag: bool = False) -> None:
        got.append((name, size, flag))

    return CliRunner().invoke(app, list(arguments)).exit_code, got


def test_the_command_gets_the_options_as_one_value() -> None:
    assert run("x", "--width", "5", "--flag") == (0, [("x", Size(width=5, height=3), True)])


def test_what_has_no_default_is_required() -> None:
    assert run("x") == (2, [])


def test_only_what_was_given_is_asked_for() -> None:
    """So that a run that is there keeps what nobody speaks of."""
    options = QueuedRunOptions(suite="s", models=["m"])
    given = request_options(options, GateOptions())
    assert (given["suite"], given["models"]) == ("s", ("m",))
    assert not given.keys() & {
        "priority",
        "max_tries",
        "gates",
        "strict",
        "baseline",
        "deadline",
        "on_finish",
        "formats",
    }


def test_everything_reaches_the_request() -> None:
    options = QueuedRunOptions(
        suite="s", models=["m"], stalled_after="10m", report_formats=["html,csv"], on_finish=["https://host/x", "true"]
    )
    given = request_options(options, GateOptions(fail_below=["checks:0.5"], max_missing="3"), name="n")
    assert [str(gate) for gate in given["gates"]] == ["--fail-below checks:0.5", "--max-missing 3"]
    assert (given["stalled_after_s"], given["formats"], given["name"]) == (600, ("html", "csv"), "n")
    assert [hook.kind for hook in given["on_finish"]] == ["webhook", "command"]


@pytest.mark.parametrize("gates", [GateOptions(fail_below=["checks"]), GateOptions(max_missing="1.5")])
def test_what_is_no_gate_is_refused_at_once(gates: GateOptions) -> None:
    with pytest.raises(Exception, match="--"):
        request_options(QueuedRunOptions(suite="s", models=["m"]), gates)
