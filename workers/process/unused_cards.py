"""GPUs that this build of llama.cpp can't use: what is said of them, and the command that mends it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from importlib import metadata, util

from nightjar.workers.process.gpus import Card


def unused_cards(cards: Sequence[Card]) -> str | None:
    """Names the cards where no process of this installation can compute on them; None where all is well, or none is
    there. Touches no card.
    """
    if not cards:
        return None
    from nightjar.workers.engine.llama.devices import gpu_backends

    if gpu_backends():
        return None
    names = " and ".join(dict.fromkeys(card.name for card in cards))
    return f"{names} cannot be used: this build of llama.cpp computes on the CPU only. {cuda_remedy()}"


def cuda_remedy() -> str:
    """How this installation gets a build of llama.cpp for NVIDIA cards, in a sentence."""
    version = metadata.version("llama-cpp-python")
    tools = " --no-build-isolation" if util.find_spec("scikit_build_core") else ""
    return (
        f'Build it again with CUDA: CMAKE_ARGS="-DGGML_CUDA=on" {shlex.quote(sys.executable)} -m pip install{tools} '
        f"--no-deps --force-reinstall --no-binary llama-cpp-python llama-cpp-python=={version}"
    )
