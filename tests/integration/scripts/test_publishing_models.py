"""What lies on a machine is published when its page begins, so that it may be asked for before anybody loaded it."""

from __future__ import annotations

from pathlib import Path

from nightjar.config.settings import Settings
from nightjar.jobs.mongo import Database
from nightjar.jobs.published import all_published
from nightjar.scripts.publishing_models import publish_known
from tests.gguf_files import write_llama


async def test_what_is_here_is_published_once(tmp_path: Path, database: Database) -> None:
    """A file that is no model, or is missing, keeps none of the others."""
    write_llama(tmp_path / "good.gguf")
    (tmp_path / "bad.gguf").write_bytes(b"GGUF and nothing behind it")
    registry = "".join(f'[{name}]\npath = "{tmp_path / name}.gguf"\n' for name in ("bad", "good", "gone"))
    (tmp_path / "models.toml").write_text(registry, encoding="utf-8")
    settings = Settings(home=tmp_path / "home", models_file=tmp_path / "models.toml", models_dir=tmp_path / "models")
    assert await publish_known(settings, database) == ["good"]
    [model] = await all_published(database)
    assert (model.id, len(model.facts.digest)) == ("good", 64)
    assert await publish_known(settings, database) == []
