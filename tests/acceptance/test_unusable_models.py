"""Models that llama.cpp loads and Nightjar cannot use: each way to one is refused, with the reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.demo_engine import DEMO
from tests.encoder_files import RANK, write_bert, write_t5
from tests.shell import Shell


def reranker(path: Path) -> Path:
    return write_bert(path, pooling=RANK)


def encoder_decoder(path: Path) -> Path:
    return write_t5(path, decoder=True)


@pytest.mark.parametrize(
    ("make", "said"), [(reranker, "is a reranker"), (encoder_decoder, "is an encoder-decoder (t5)")]
)
def test_such_a_model_is_refused_everywhere(
    shell: Shell, tmp_path: Path, make: Callable[[Path], Path], said: str
) -> None:
    """`eval` of it, `eval` that embeds by it, `try`, `model add`, `model info` and `worker`."""
    model = make(tmp_path / "other.gguf")
    registry = {"NIGHTJAR_MODELS_FILE": str(shell.folder / "models.toml")}
    suite = ("--suite", "story-starters", "--limit", "1")
    assert said in shell.refused("try", "--model", model, "Hello.", env=registry)
    for command in (
        ("eval", *suite, "--model", model),
        ("eval", *suite, "--model", DEMO, "--embed-model", model),
        ("model", "add", model, "--name", "other"),
        ("model", "info", model),
        ("worker", "--model", model, "--burst", "--gpu", "none"),
    ):
        assert said in shell.refused(*command, code=1, env=registry), command
    assert not (shell.folder / "models.toml").exists()


def test_a_context_beyond_the_table_of_positions_is_refused_everywhere(shell: Shell, tmp_path: Path) -> None:
    """128 positions and `context` 4096, as a project may set it for all its models."""
    model = write_bert(tmp_path / "embedder.gguf")
    long = {"NIGHTJAR_MODEL__CONTEXT": "4096", "NIGHTJAR_MODELS_FILE": str(shell.folder / "models.toml")}
    suite = ("--suite", "story-starters", "--limit", "1")
    for command in (
        ("eval", *suite, "--model", DEMO, "--embed-model", model),
        ("worker", "--model", model, "--burst", "--gpu", "none"),
        ("model", "add", model, "--name", "embedder", "--context", "129"),
    ):
        error = shell.refused(*command, code=1, env=long)
        assert "128 positions" in error, command
    assert not (shell.folder / "models.toml").exists()
