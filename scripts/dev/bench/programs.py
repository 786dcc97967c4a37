"""llama.cpp's own program for perplexity, where one was named."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from nightjar.config.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class PerplexityProgram:
    """A `llama-perplexity` binary, built of the llama.cpp that comes with llama-cpp-python (docs/benchmarks.md)."""

    path: Path

    def command(self, model: Path, text: Path, *options: str) -> list[str]:
        return [str(self.path), "-m", str(model), "-f", str(text), *options]


def find_perplexity(given: str | None) -> PerplexityProgram | None:
    """The named program; None where none is named. Raises UsageError for one that is not there."""
    if given is None:
        return None
    found = shutil.which(given)
    if found is None:
        raise UsageError(f"--llama-perplexity: there is no program {given}.")
    return PerplexityProgram(path=Path(found))
