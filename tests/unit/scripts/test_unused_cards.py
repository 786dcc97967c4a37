"""A card that this build of llama.cpp can't use is said first of all, with the command that mends it."""

from __future__ import annotations

import sys

import pytest

from nightjar.scripts.cli import main
from nightjar.workers.engine.llama import devices
from nightjar.workers.process import gpus
from nightjar.workers.process.gpus import Card

CARDS = [Card(index=str(n), uuid=f"GPU-{n}{n}{n}{n}", name="Example 9000", memory_bytes=None) for n in range(2)]

# Each ends by a mistake right after: what comes before it is what is said first.
COMMANDS = [
    ("eval", "--suite", "s", "--model", "m", "--format", "nonsense"),
    ("worker", "--model", "no-such-model"),
]


def first_line(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    assert end.value.code == 2
    return capsys.readouterr().err.splitlines()[0]


@pytest.mark.parametrize("arguments", COMMANDS)
def test_the_first_line_says_so(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpus, "list_cards", lambda: CARDS)
    monkeypatch.setattr(devices, "gpu_backends", list)
    said = first_line(arguments, capsys)
    assert said.startswith("nightjar: Example 9000 cannot be used: this build of llama.cpp computes on the CPU only.")
    assert f'CMAKE_ARGS="-DGGML_CUDA=on" {sys.executable} -m pip install' in said
    assert "Example" not in first_line((*arguments, "--gpu", "none"), capsys), "who asks for the CPU knows"
    monkeypatch.setattr(devices, "gpu_backends", lambda: ["CUDA"])
    assert "Example" not in first_line(arguments, capsys)


def test_this_build_says_what_it_computes_on() -> None:
    """The real library: it knows no GPU, or one of these."""
    assert set(devices.gpu_backends()) <= {"CUDA", "Metal", "MTL", "Vulkan", "ROCm", "SYCL", "HIP", "MUSA", "OpenCL"}
