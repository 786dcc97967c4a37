"""States of models, removal, and cleanup."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nightjar.config.errors import ModelError, UnknownNameError
from nightjar.config.settings import Settings
from nightjar.jobs.status.workers import Serving
from nightjar.workers.library import usage
from nightjar.workers.library.cleanup import clear, plan_cleanup
from nightjar.workers.library.editing import add_entry
from nightjar.workers.library.inventory import Held, ModelState, inventory
from nightjar.workers.library.manifest import Manifest, PulledFile, write_manifest
from nightjar.workers.library.partial import pulling
from nightjar.workers.library.registry import read_registry
from nightjar.workers.library.removal import remove_model
from tests.gguf_files import write_gguf

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def project(tmp_path: Path) -> Settings:
    settings = Settings.model_validate(
        {
            "home": tmp_path / "home",
            "models_dir": tmp_path / "models",
            "models_file": tmp_path / "models.toml",
            "ollama_models": tmp_path / "none",
        }
    )
    settings.models_dir.mkdir()
    settings.models_file.touch()
    return settings


def pulled(settings: Settings, name: str, *, registered: bool = True) -> Path:
    """A model as a pull leaves it."""
    folder = settings.models_dir / name
    folder.mkdir()
    path = write_gguf(folder / f"{name}.gguf")
    file = PulledFile(name=path.name, bytes=path.stat().st_size, sha256="0" * 64)
    write_manifest(folder, Manifest(name=name, repo="a/b", commit="c" * 40, files=(file,), pulled_at="2026-01-01"))
    if registered:
        add_entry(settings.models_file, name, {"repo": "a/b"})
    return path


def state(settings: Settings, name: str, serving: Serving | None = None) -> Held:
    return next(held for held in inventory(settings, {name: serving} if serving else None) if held.name == name)


def test_states(project: Settings, tmp_path: Path) -> None:
    """Available, downloading, ready, loaded, failed; and a broken file is listed with what is wrong with it."""
    pulled(project, "here")
    add_entry(project.models_file, "away", {"repo": "a/c"})
    add_entry(project.models_file, "lost", {"path": "lost.gguf"})
    (tmp_path / "broken.gguf").write_bytes(b"GGUF")
    add_entry(project.models_file, "broken", {"path": str(tmp_path / "broken.gguf")})
    states = {held.name: held.state for held in inventory(project)}
    assert states == {
        "away": ModelState.AVAILABLE,
        "broken": ModelState.FAILED,
        "here": ModelState.READY,
        "lost": ModelState.FAILED,
    }
    assert "truncated" in str(state(project, "broken").reason)
    with pulling(project.models_dir / "away", "away"):
        assert state(project, "away").state is ModelState.DOWNLOADING
    loaded = state(project, "here", Serving(workers=("host CPU",), last_beat=NOW))
    assert (loaded.state, loaded.loaded_on, loaded.last_used) == (ModelState.LOADED, ("host CPU",), NOW)
    failed = state(project, "here", Serving(failure="out of memory"))
    assert (failed.state, failed.reason) == (ModelState.FAILED, "out of memory")


def test_last_use_is_kept_per_host(project: Settings) -> None:
    """Marked when a worker loads; forgotten with the model."""
    pulled(project, "m")
    assert state(project, "m").last_used is None
    usage.mark_used(project.home, "m")
    first = state(project, "m").last_used
    assert first is not None
    assert abs(datetime.now(UTC) - first) < timedelta(minutes=1)
    usage.forget(project.home, "m")
    assert state(project, "m").last_used is None


def test_removing_a_pulled_model_removes_its_folder(project: Settings) -> None:
    """Files and entry; a second time it is unknown."""
    path = pulled(project, "m")
    removed = remove_model("m", state(project, "m"), project, keep_file=False)
    assert removed.from_registry
    assert removed.deleted == (path,)
    assert not path.parent.exists()
    assert read_registry(project.models_file).models == {}
    with pytest.raises(UnknownNameError):
        remove_model("m", None, project, keep_file=False)


def test_keep_file_takes_it_off_the_list_only(project: Settings) -> None:
    """The file stays in `models/` and is found by its name."""
    path = pulled(project, "m")
    assert remove_model("m", state(project, "m"), project, keep_file=True).kept == (path,)
    assert path.exists()
    assert not state(project, "m").registered


def test_files_elsewhere_are_never_deleted(project: Settings, tmp_path: Path) -> None:
    """Nightjar did not create them."""
    path = write_gguf(tmp_path / "mine.gguf")
    add_entry(project.models_file, "mine", {"path": str(path)})
    removed = remove_model("mine", state(project, "mine"), project, keep_file=False)
    assert (removed.deleted, removed.kept) == ((), (path,))
    assert path.exists()


def test_a_model_in_use_stays(project: Settings) -> None:
    """Loaded by a worker, or being downloaded: refused with the reason, nothing changed."""
    path = pulled(project, "m")
    with pytest.raises(ModelError, match="is loaded by host GPU"):
        remove_model("m", state(project, "m", Serving(workers=("host GPU",))), project, keep_file=False)
    with pulling(path.parent, "m"), pytest.raises(ModelError, match="is being downloaded"):
        remove_model("m", state(project, "m"), project, keep_file=False)
    assert path.exists()
    assert "m" in read_registry(project.models_file).models


def test_a_split_model_with_a_part_missing_can_be_removed(project: Settings) -> None:
    """Its remaining parts are removed."""
    path = write_gguf(project.models_dir / "s-00001-of-00002.gguf")
    assert remove_model("s", state(project, "s"), project, keep_file=False).deleted == (path,)


def aged(path: Path, days: int) -> Path:
    moment = (NOW - timedelta(days=days)).timestamp()
    os.utime(path, (moment, moment))
    return path


def test_cleanup_plans_what_nobody_needs(project: Settings) -> None:
    """Unfinished downloads, stray files, old logs; whole models only on request, and only those the hub can bring."""
    model = pulled(project, "used")
    usage.mark_used(project.home, "used")
    old = pulled(project, "old")
    aged(old.parent / "nightjar.json", 90)
    stray = write_gguf(model.parent / "older-Q8_0.gguf")
    part = project.models_dir / "half" / ".cache" / "x.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes(1000))
    own = write_gguf(project.models_dir / "own.gguf")
    logs = project.home / "logs"
    logs.mkdir(parents=True)
    ancient, recent = logs / "worker-1.log", logs / "worker-2.log"
    for log in (ancient, recent):
        log.write_text("x")
    aged(ancient, 20)
    aged(recent, 2)

    def planned(unused_days: int | None) -> set[Path]:
        return {item.path for item in plan_cleanup(project, inventory(project), now=NOW, unused_days=unused_days)}

    assert planned(None) == {part.parent, stray, ancient}
    assert planned(30) == {part.parent, stray, ancient, old.parent}
    items = plan_cleanup(project, inventory(project), now=NOW, unused_days=30)
    clear(items, project)
    assert not any(item.path.exists() for item in items)
    assert all(path.exists() for path in (model, own, recent))
    assert {held.name: held.state for held in inventory(project)} == {
        "old": ModelState.AVAILABLE,  # its entry stays, to be pulled again
        "own": ModelState.READY,
        "used": ModelState.READY,
    }
    assert {item.path for item in plan_cleanup(project, inventory(project), now=NOW)} == {project.models_dir / "half"}


def test_cleanup_leaves_a_running_download_and_a_loaded_model(project: Settings) -> None:
    """Neither is removed while it is in use."""
    path = pulled(project, "m")
    aged(path.parent / "nightjar.json", 90)
    (path.parent / ".cache").mkdir()
    rows = inventory(project, {"m": Serving(workers=("host",))})
    with pulling(path.parent, "m"):
        assert plan_cleanup(project, rows, now=NOW, unused_days=1) == []


@pytest.mark.parametrize("name", ["../outside.gguf", "a/b.gguf", "..", ""])
@pytest.mark.parametrize("key", ["m", "m.gguf"])
def test_a_manifest_cannot_name_a_place_outside(project: Settings, key: str, name: str) -> None:
    """A copied folder is untrusted: a name that leads outside makes the manifest invalid and is never used."""
    folder = pulled(project, "m", registered=False).parent
    file = folder / "nightjar.json"
    original = file.read_text()
    file.write_text(re.sub(rf'"name": ?"{key}"', f'"name": "{name}"', original))
    assert file.read_text() != original
    [held] = inventory(project)
    assert (held.name, held.state) == ("m", ModelState.READY)  # by its file name
    remove_model("m", held, project, keep_file=False)
    assert list(project.models_dir.iterdir()) == []
