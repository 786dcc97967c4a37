"""LoRA adapters of a registry entry: what a model with them is, and that llama.cpp applies them."""

from __future__ import annotations

from pathlib import Path

import pytest

from nightjar.config.errors import ModelFileError
from nightjar.config.load_settings import LoadSettings
from nightjar.config.settings import Settings
from nightjar.jobs.parameters import Parameters
from nightjar.workers.engine.loading import load
from nightjar.workers.engine.request import Request
from nightjar.workers.library.digests import DigestCache
from nightjar.workers.library.find import find_model
from nightjar.workers.library.inspect import entry_facts
from tests.gguf_files import write_gguf, write_llama, write_lora

WIDTH = 64


@pytest.fixture
def project(tmp_path: Path) -> Settings:
    (tmp_path / "models").mkdir()
    write_llama(tmp_path / "models" / "m.gguf", width=WIDTH)
    write_lora(tmp_path / "models" / "style.gguf")
    return Settings.model_validate(
        {"home": tmp_path, "models_dir": tmp_path / "models", "models_file": tmp_path / "models.toml"}
    )


def register(settings: Settings, adapters: str) -> None:
    settings.models_file.write_text(f'[m]\npath = "m.gguf"\nadapters = [{adapters}]\n')


async def reply(settings: Settings) -> tuple[str, tuple[int, ...]]:
    """The model's digest and its greedy reply."""
    entry = find_model("m", settings)
    facts = entry_facts(entry, DigestCache(settings.home / "d.json"))
    how = LoadSettings(threads=1, slots=1)
    engine = await load(entry.path, settings=how, facts=facts, gpu="none", adapters=entry.adapters)
    try:
        parameters = Parameters(temperature=0)
        prompt = tuple(engine.tokenizer.tokenize("Once upon a time", parse_special=False))
        done = await engine.generate(Request(id="r", prompt=prompt, max_tokens=12, parameters=parameters, seed=1))
    finally:
        await engine.close()
    return facts.digest, done.token_ids


async def test_an_adapter_makes_another_model(project: Settings) -> None:
    """Another digest and another reply; at scale 0 the reply of the model alone, under a digest of its own."""
    register(project, "")
    plain = await reply(project)
    register(project, '{path = "style.gguf"}')
    adapted = await reply(project)
    register(project, '{path = "style.gguf", scale = 0.0}')
    muted = await reply(project)
    assert adapted[1] != plain[1]
    assert muted[1] == plain[1]
    assert len({plain[0], adapted[0], muted[0]}) == 3


def test_adapters_are_part_of_the_facts(project: Settings) -> None:
    """File, digest and scale, as a run records them."""
    register(project, '{path = "style.gguf", scale = 0.5}')
    [adapter] = entry_facts(find_model("m", project), DigestCache(project.home / "d.json")).file_facts.adapters
    assert (adapter.file_name, adapter.scale, len(adapter.digest)) == ("style.gguf", 0.5, 64)


async def test_adapters_that_do_not_fit(project: Settings) -> None:
    """Missing, no adapter, of another architecture, of another width: one paragraph naming the file."""
    models = project.models_dir
    write_gguf(models / "plain.gguf")
    write_lora(models / "other.gguf", architecture="qwen2")
    cache = DigestCache(project.home / "d.json")
    for file, says in (("none", "There is no file"), ("plain", "is no LoRA adapter"), ("other", "qwen2; m is llama")):
        register(project, f'{{path = "{file}.gguf"}}')
        with pytest.raises(ModelFileError, match=says):
            entry_facts(find_model("m", project), cache)
    write_lora(models / "wide.gguf", width=2 * WIDTH)
    register(project, '{path = "wide.gguf"}')
    with pytest.raises(ModelFileError, match=r"cannot put the adapter .*wide\.gguf on this model"):
        await reply(project)
