"""Where a model came from, for another machine: never a local path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nightjar.config.load_settings import LoadSettings
from nightjar.config.settings import Settings
from nightjar.workers.library.find import ModelEntry
from nightjar.workers.library.manifest import Manifest, PulledFile, write_manifest
from nightjar.workers.library.origin import origin

PULLED = Manifest(
    name="m",
    repo="o/r",
    revision=None,
    commit="a" * 40,
    files=(PulledFile(name="m.gguf", bytes=1, sha256="d" * 64),),
    pulled_at="2026-11-20",
)
FROM_HUB = {
    "repo": "o/r",
    "revision": None,
    "commit": "a" * 40,
    "file": "m.gguf",
    "files": [{"name": "m.gguf", "bytes": 1, "sha256": "d" * 64}],
}


@pytest.mark.parametrize(
    ("registry", "manifest", "told"),
    [
        ("", None, {"file": "m.gguf"}),  # a bare file
        ("", PULLED, FROM_HUB),
        (
            "",
            PULLED.model_copy(update={"files": (PulledFile(name="x.gguf", bytes=1, sha256="d" * 64),)}),
            {"file": "m.gguf"},
        ),
        ("", "damaged", {"file": "m.gguf"}),  # the file beside it is sound
        ('[m]\nrepo = "o/r"\nfile = "*Q4*"\n', None, {"repo": "o/r", "file": "*Q4*"}),
        ('[m]\nollama = "llama3.2:1b"\n', None, {"ollama": "llama3.2:1b"}),
        ('[m]\npath = "/secret/place/m.gguf"\n', None, {"file": "m.gguf"}),
    ],
)
def test_what_is_told(tmp_path: Path, registry: str, manifest: Manifest | str | None, told: dict[str, Any]) -> None:
    (tmp_path / "models.toml").write_text(registry)
    if isinstance(manifest, Manifest):
        write_manifest(tmp_path, manifest)
    elif manifest is not None:
        (tmp_path / "nightjar.json").write_text(manifest)
    entry = ModelEntry(
        name="m", path=tmp_path / "m.gguf", load=LoadSettings(), parameters={}, template=None, reasoning=None
    )
    found = origin(entry, Settings(home=tmp_path, models_file=tmp_path / "models.toml"))
    assert found == told
    assert str(tmp_path) not in str(found)
