"""A model on first use: fetched where that is allowed; and loaded smaller where memory is short."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from nightjar.config.errors import HubError, ModelFileError, ModelFitError, UnknownNameError
from nightjar.config.settings import Settings
from nightjar.workers.library.editing import add_entry
from nightjar.workers.library.find import find_model
from nightjar.workers.library.obtain import obtain
from nightjar.workers.process import load_model
from nightjar.workers.process.load_model import WorkerOptions, load_engine
from tests.factories import load_facts
from tests.gguf_files import write_llama
from tests.hub import LocalHub, Repository

REPO = "acme/Story-GGUF"


class Silent:
    """Progress that says nothing."""

    def start(self, label: str, total_bytes: int) -> None:
        pass

    def advance(self, count: int) -> None:
        pass


@contextmanager
def silent() -> Iterator[Silent]:
    yield Silent()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LocalHub]:
    server = LocalHub()
    server.repositories[REPO] = Repository(files={"story.gguf": write_llama(tmp_path / "m.gguf").read_bytes()})
    with server.running():
        yield server


@pytest.fixture
def project(tmp_path: Path, hub: LocalHub) -> Settings:
    settings = Settings.model_validate(
        {
            "home": tmp_path / "home",
            "models_dir": tmp_path / "models",
            "models_file": tmp_path / "models.toml",
            "ollama_models": tmp_path / "none",
            "hf_endpoint": hub.endpoint,
        }
    )
    add_entry(settings.models_file, "story", {"repo": REPO})
    return settings


def test_a_registered_model_is_fetched_on_first_use(project: Settings, hub: LocalHub) -> None:
    """Once; the second use asks nobody."""
    entry = obtain("story", project, silent)
    assert entry.path.is_file()
    hub.seen.clear()
    assert obtain("story", project, silent).path == entry.path
    assert hub.seen == []


@pytest.mark.parametrize("forbidden", [{"pull_on_use": False}, {"offline": True}])
def test_it_is_not_fetched_where_that_is_forbidden(project: Settings, hub: LocalHub, forbidden: dict[str, Any]) -> None:
    """The error names the command; the hub is not asked."""
    settings = Settings.model_validate({**dict(project), **forbidden})
    with pytest.raises(ModelFileError, match="nightjar model pull story"):
        obtain("story", settings, silent)
    assert hub.seen == []


def test_other_errors_are_not_mended_by_a_pull(project: Settings, hub: LocalHub) -> None:
    """An unknown name, a local file that is gone, a pulled file that was deleted, a hub that refuses."""
    add_entry(project.models_file, "local", {"path": "gone.gguf"})
    with pytest.raises(UnknownNameError):
        obtain("stori", project, silent)
    with pytest.raises(ModelFileError, match=r"gone\.gguf"):
        obtain("local", project, silent)
    assert hub.seen == []
    hub.repositories[REPO].gated = True
    with pytest.raises(HubError, match="is gated"):
        obtain("story", project, silent)


async def test_a_model_that_does_not_fit_is_loaded_smaller_where_that_is_automatic(
    project: Settings, hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it gives up is logged and recorded. What was set is kept, and named where nothing else fits."""
    monkeypatch.setattr("nightjar.workers.library.inspect.default_digests", lambda: _cache(project))
    entry = obtain("story", project, silent)
    tried: list[Any] = []

    engine: Any = SimpleNamespace(load=load_facts(1.0))

    async def load(path: Path, **given: Any) -> Any:
        tried.append(given["settings"])
        if len(tried) == 1:
            raise ModelFitError("too large")
        return engine

    monkeypatch.setattr(load_model, "load", load)
    options = WorkerOptions(model="story", gpu="none", load={"slots": 8}, started_ms=0)
    with structlog.testing.capture_logs() as logs:
        loaded: Any = await load_engine(entry, options, project)
    assert loaded is engine
    assert [(settings.slots, settings.cache_type_k) for settings in tried] == [(8, "f16"), (8, "q8_0")]
    [said] = [log for log in logs if log["event"] == "model_loaded_smaller"]
    assert said["given_up"] == "a q8_0 cache instead of f16"
    assert loaded.load.given_up == ("a q8_0 cache instead of f16",)

    async def never(path: Path, **given: Any) -> Any:
        tried.append(given["settings"])
        raise ModelFitError("too large")

    tried.clear()
    monkeypatch.setattr(load_model, "load", never)
    fixed = replace(options, load={"slots": 8, "context": 512})
    with pytest.raises(ModelFitError, match=r"too large What was set is kept: context 512, slots 8\."):
        await load_engine(entry, fixed, project)
    assert {settings.context for settings in tried} == {512}


def _cache(settings: Settings) -> Any:
    from nightjar.workers.library.digests import DigestCache

    return DigestCache(settings.home / "digests.json")


def test_find_model_alone_never_fetches(project: Settings, hub: LocalHub) -> None:
    """Looking is not taking."""
    with pytest.raises(ModelFileError):
        find_model("story", project)
    assert hub.seen == []
