"""`nightjar try`, as a person types it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from nightjar.scripts.dev.bench.models import TINY, build

ROOT = Path(__file__).parents[3]
DEMO = "config/models/nightjar-demo.gguf"


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "nightjar", "try", *arguments]


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "NIGHTJAR_HOME": str(home)}


def tried(home: Path, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command(*arguments), cwd=ROOT, env=environment(home), capture_output=True, input=given, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of random weights: one without a chat template, an embedding model; and a file that is none."""
    folder = tmp_path_factory.mktemp("models")
    build(replace(TINY, context=131_072), folder).rename(folder / "base.gguf")
    build(TINY, folder, extra={"llama.pooling_type": 1}).rename(folder / "embedding.gguf")
    (folder / "text.gguf").write_text("This is a text.")
    return folder


def test_the_reply_goes_to_standard_output_and_what_it_took_to_standard_error(tmp_path: Path) -> None:
    done = tried(tmp_path, "-m", DEMO, "Tell me a story.", "--set", "max_tokens=12", "--gpu", "none")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    told = done.stderr.decode()
    assert "12 generated (length)" in told
    assert "first token after" in told
    assert " 0.0" not in told, "times under a second are milliseconds"
    assert len(told.splitlines()) == 1


def test_the_prompt_comes_from_standard_input_and_parameters_may_name_the_model(tmp_path: Path) -> None:
    done = tried(tmp_path, "-m", DEMO, "-", "--set", "nightjar-demo:max_tokens=2", given=b"Tell me a story.\n")
    assert done.returncode == 0, done.stderr
    assert b"2 generated (length)" in done.stderr


def test_a_base_model_continues_the_text_with_completion(tmp_path: Path, files: Path) -> None:
    done = tried(tmp_path, "-m", str(files / "base.gguf"), "Hi", "--completion", "--set", "max_tokens=3")
    assert done.returncode == 0, done.stderr
    assert b"generated" in done.stderr


def test_reproducible_says_what_it_costs(tmp_path: Path) -> None:
    done = tried(tmp_path, "-m", DEMO, "Hi", "--reproducible", "--set", "max_tokens=2", "--gpu", "none")
    assert done.returncode == 0, done.stderr
    assert b"reproducible: costs " in done.stderr
    assert b"% of the decode rate here" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-m", "no-such-model", "Hi"), "no-such-model"),  # unknown model
        (("-m", "no-such-file.gguf", "Hi"), "no file"),  # a path that leads nowhere
        (("-m", "FILES/text.gguf", "Hi"), "not a GGUF file"),
        (("-m", "FILES/base.gguf", "Hi"), "--completion"),  # no chat template: the option, not a suite's key
        (("-m", "FILES/embedding.gguf", "Hi", "--completion"), "embedding model"),
        (("-m", DEMO, ""), "empty"),
        (("-m", DEMO, " \n\t"), "empty"),
        (("-m", DEMO, "-"), "Standard input is empty"),
        (("-m", DEMO, "Hi", "there"), '"Hi there"'),  # the quotes forgotten
        (("-m", DEMO, "Hi", "--gpu", "banana"), "not a card of this machine"),
        (("-m", DEMO, "Hi", "--gpu", "97"), "not a card of this machine"),
        (("-m", DEMO, "Hi", "--seed", "-1"), "from 0 to 2147483647"),
        (("-m", DEMO, "Hi", "--seed", "2147483648"), "from 0 to 2147483647"),
        (("-m", DEMO, "Hi", "--set", "temperatur=1"), "temperature"),  # misspelt parameter, with the nearest
        (("-m", DEMO, "Hi", "--set", "other:max_tokens=5"), "'other'"),  # a parameter of another model
    ],
)
def test_bad_input_is_refused_with_exit_code_2_and_one_line(
    tmp_path: Path, files: Path, arguments: tuple[str, ...], said: str
) -> None:
    """No traceback, no log lines, and no name that only the code knows."""
    done = tried(tmp_path, *(argument.replace("FILES", str(files)) for argument in arguments))
    told = done.stderr.decode()
    assert done.returncode == 2, told
    assert done.stdout == b""
    assert said in told
    assert told.startswith("nightjar: ")
    assert len(told.splitlines()) == 1
    for internal in ("Traceback", "should not have happened", "equence", "'try'", "suite"):
        assert internal not in told


def test_a_prompt_that_does_not_fit_is_refused_with_the_numbers(tmp_path: Path) -> None:
    done = tried(tmp_path, "-m", DEMO, "fox " * 100, "--context", "32")
    told = done.stderr.decode()
    assert done.returncode == 1
    assert "the context holds 32" in told
    assert "--context" in told
    assert "equence" not in told
    assert len(told.splitlines()) == 1


def test_ctrl_c_while_the_reply_streams_ends_with_130_and_no_traceback(tmp_path: Path, files: Path) -> None:
    arguments = ("-m", str(files / "base.gguf"), "Hi", "--completion", "--set", 'logit_bias={"2": -100}')
    endless = (*arguments, "--set", "max_tokens=1000000", "--context", "100000")
    with subprocess.Popen(
        command(*endless), cwd=ROOT, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        begun = child.stdout.read(4)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert err == b""
    assert (begun + out).endswith(b"\n")
