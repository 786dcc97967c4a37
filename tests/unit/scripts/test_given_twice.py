"""Nothing that is given twice is dropped in silence."""

from __future__ import annotations

import pytest

from nightjar.config.errors import ParameterError, UsageError
from nightjar.jobs.assignments import read_assignments
from nightjar.scripts.cli import main
from nightjar.scripts.options.gates import GateOptions
from nightjar.scripts.options.run import RunOptions, request_options


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("eval -s a -s b -m x", "--suite is given 2 times and takes one value. One run takes one suite"),
        ("enqueue --suite a --suite=b -m x", "One run takes one suite"),
        ("eval -s a -m x --seed 1 --seed 2", "--seed is given 2 times"),
        ("eval -s a -m x --probe --no-probe", "--probe/--no-probe is given 2 times"),
        ("schedule add n --cron x --cron y -s a -m x", "--cron is given 2 times"),
        ("suite validate a.yaml -f native -f inspect", "--format is given 2 times"),
    ],
)
def test_two_values_for_one_option_are_refused(line: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(line.split())
    assert end.value.code == 2
    assert words in capsys.readouterr().err


def test_the_same_value_twice_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main("compare a b --fail-below checks:x --fail-below checks:x --json --json".split())
    shown = capsys.readouterr().err
    assert "Note: --fail-below checks:x is given 2 times and counts once." in shown
    assert "--json" not in shown


def test_two_values_for_one_parameter_are_refused() -> None:
    with pytest.raises(ParameterError, match="--set gives temperature twice"):
        read_assignments(["temperature=0", "temperature=1"])
    assert read_assignments(["temperature=0", "m:temperature=1", "temperature=0"]) == (
        {"temperature": 0},
        {"m": {"temperature": 1}},
    )
    with pytest.raises(UsageError, match="--measure gives mattr twice"):
        request_options(RunOptions(measures=['mattr={"window": 9}', "mattr"]), GateOptions())
