"""What `make bench` takes, and which server it compares with."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import pytest

from nightjar.config.errors import NightjarError, UsageError
from nightjar.scripts.dev.bench import server
from nightjar.scripts.dev.bench.__main__ import main
from nightjar.scripts.dev.bench.server import ServerProgram, find_server


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--rounds", "0"), "at least 1"),
        (("--rounds", "-3"), "at least 1"),
        (("--rounds", "many"), "at least 1"),
        (("--threads", "0"), "at least 1"),
        (("--only", "everything"), "invalid choice"),
        (("--size", "70b"), "invalid choice"),
        (("--server", "/no/such/llama-server"), "there is no program"),
        (("--xllamacpp", "/no/such/python"), "there is no program"),
    ],
)
def test_wrong_usage_ends_with_2(
    arguments: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--folder", str(tmp_path)])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        (True, ServerProgram(path=Path(sys.executable), is_python=True)),
        (False, None),
    ],
)
def test_the_wheel_of_this_environment_is_the_server_by_default(
    installed: bool, expected: ServerProgram | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "find_spec", lambda name: object() if installed else None)
    assert find_server(None, None) == expected


def test_a_named_server_must_run(tmp_path: Path) -> None:
    """The error comes now, not after an hour of measuring the other rows."""
    broken = tmp_path / "llama-server"
    broken.write_text("#!/bin/sh\necho no such library >&2\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(NightjarError, match="no such library"):
        find_server(str(broken), None)
    with pytest.raises(UsageError, match="there is no program"):
        find_server(None, tmp_path / "python")


def test_both_kinds_of_server_are_told_the_same_settings() -> None:
    told = {"model": Path("m.gguf"), "port": 4000, "slots": 16, "context": 2048, "threads": 3}
    binary = ServerProgram(path=Path("llama-server"), is_python=False).command(**told)  # type: ignore[arg-type]
    options = dict(pairwise(binary))
    assert options["-np"] == "16"
    assert options["-c"] == str(16 * 2048)
    assert options["-t"] == options["-tb"] == "3"
    wheel = ServerProgram(path=Path("python"), is_python=True).command(**told)  # type: ignore[arg-type]
    for expected in ('"slots": 16', '"context": 2048', '"threads": 3', '"port": 4000'):
        assert expected in wheel[-1]
