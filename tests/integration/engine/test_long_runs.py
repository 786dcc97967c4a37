"""Texts of many characters of one kind: llama.cpp's pre-tokenisers go a call deeper with each."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nightjar.config.errors import ModelError
from nightjar.workers.engine.llama.deep_stack import DEEPEST, with_room_for
from nightjar.workers.engine.llama.model import LlamaModel
from tests.gguf_files import write_llama

KINDS = ("a", "A", "7", "!", " ", "\n", "\u4f60", "\u0939\u093f", "a ", "aB3+/", "\U0001f98a")
TOKENISE = """
import sys
from pathlib import Path
from threading import Thread
from nightjar.workers.engine.llama.model import LlamaModel

model = LlamaModel(Path(sys.argv[1]), gpu_layers=0, mmap=True, mlock=False)
length = int(sys.argv[2])

def tokenise():
    for kind in sys.argv[3:]:
        text = (kind * length)[:length]
        ids = model.tokenizer.tokenize(text, parse_special=False)
        assert model.tokenizer.detokenize(ids) == text, kind
    print("all")

thread = Thread(target=tokenise)
thread.start()
thread.join()
"""


def tokenised(model: Path, length: int, kinds: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Each kind of text on a thread of a process of its own, which would end with the stack."""
    command = [sys.executable, "-c", TOKENISE, str(model), str(length), *kinds]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.parametrize("pre", ["falcon", "tekken", "gpt-4o", "deepseek-llm", "exaone-moe", "bloom", "default"])
def test_forty_thousand_characters_of_one_kind(tmp_path: Path, pre: str) -> None:
    """Whatever the model's pre-tokeniser, the process lives and the text comes back."""
    done = tokenised(write_llama(tmp_path / "m.gguf", pre=pre), 40_000, KINDS)
    assert (done.returncode, done.stdout) == (0, "all\n"), done.stderr


def test_the_most_that_a_stack_is_made_for(tmp_path: Path) -> None:
    """With the pattern that goes deepest."""
    done = tokenised(write_llama(tmp_path / "m.gguf", pre="gpt-4o"), DEEPEST, ("a", "A"))
    assert (done.returncode, done.stdout) == (0, "all\n"), done.stderr


def test_more_than_that_is_refused_with_the_numbers(tmp_path: Path) -> None:
    """One character more; a text of a million in words and lines is none of it."""
    model = LlamaModel(write_llama(tmp_path / "m.gguf"), gpu_layers=0, mmap=True, mlock=False)
    with pytest.raises(ModelError, match=r"200,001 characters.*200,000.*Break it into lines"):
        model.tokenizer.tokenize("a" * (DEEPEST + 1), parse_special=False)
    words = "some words, and more.\n" * 50_000
    assert model.tokenizer.tokenize(words, parse_special=False)
    model.close()


def test_an_error_of_the_call_is_the_callers() -> None:
    """It is raised where the call was asked for, not in the thread that made it."""

    def fail() -> int:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        with_room_for("a" * 10_000, fail)
