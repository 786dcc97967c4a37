"""What `nightjar model info` says about a model."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from nightjar.config.settings import Settings
from nightjar.scripts.views.models import show_info
from nightjar.workers.library import describe as module
from nightjar.workers.library.describe import describe
from nightjar.workers.library.find import find_model
from nightjar.workers.library.fit.fit import Room
from tests.gguf_files import write_llama

KEYS = (
    "name digest file_name file_bytes kind architecture parameters quantisation vocabulary context_train layers "
    "template_digest licence sampling_defaults registry_parameters adapters path context embedding_width load "
    "template_source reasoning tags memory fit"
).split()
MEMORY_KEYS = "weights_bytes kv_bytes_per_1000_tokens kv_bytes_per_slot cache_type_k cache_type_v".split()
FIT_KEYS = "fits offloaded_layers context slots cache_type_k memory_bytes tokens_per_s speed compromises".split()


def settings_with(tmp_path: Path) -> Settings:
    (tmp_path / "models").mkdir()
    write_llama(tmp_path / "models" / "story.gguf")
    registry = tmp_path / "models.toml"
    registry.write_text("")
    return Settings(home=tmp_path / "home", models_dir=tmp_path / "models", models_file=registry)


def test_the_keys_of_json_are_stable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Scripts rely on them: none renamed, none moved."""
    model = describe(find_model("story", settings_with(tmp_path)))
    data = asdict(model)
    assert list(data) == KEYS
    assert list(data["memory"]) == MEMORY_KEYS
    assert list(data["fit"]) == FIT_KEYS
    show_info(model, as_json=False)
    printed = capsys.readouterr().out
    assert "on the CPU" in printed or "on the GPU" in printed


def test_a_model_that_does_not_fit_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "room_of", lambda machine: Room(host=1_000))
    model = describe(find_model("story", settings_with(tmp_path)))
    assert list(asdict(model.fit)) == ["fits", "reason"]
    assert model.fit.fits is False
    show_info(model, as_json=False)
    assert model.fit.reason.split()[0] in capsys.readouterr().out
