"""What `nightjar uninstall --data` would remove of a home, and what it leaves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from nightjar.config.errors import UsageError
from nightjar.config.project import Project
from nightjar.config.settings import Settings
from nightjar.scripts import uninstalling
from nightjar.scripts.uninstalling import carry_out, plan_removal
from nightjar.workers.library.manifest import Manifest, PulledFile, write_manifest
from tests.gguf_files import write_gguf


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Of somebody who has Nightjar installed: the home is the user's data folder."""
    home = tmp_path / "user" / "nightjar"
    (home / "services").mkdir(parents=True)
    found = Project(why="your data folder", folder=home, home=home)
    monkeypatch.setattr(uninstalling, "current_project", lambda: found)
    monkeypatch.setattr(uninstalling, "is_checkout", lambda: False)
    for name, folder in (("user_config", tmp_path / "config"), ("user_data", home)):
        monkeypatch.setattr(uninstalling, name, lambda folder=folder: folder)
    monkeypatch.setattr(uninstalling, "listed_projects", list)
    return found


def settings_of(project: Project, **more: object) -> Settings:
    """As they are read where nothing is set: only `more` counts as given."""
    made = Settings.model_validate({"home": project.home, "models_dir": project.folder / "models", **more})
    return Settings.model_construct(_fields_set={"home", *more}, **dict(made))


def pulled(models: Path, name: str) -> Path:
    folder = models / name
    folder.mkdir(parents=True)
    path = write_gguf(folder / f"{name}.gguf")
    file = PulledFile(name=path.name, bytes=path.stat().st_size, sha256="0" * 64)
    write_manifest(folder, Manifest(name=name, repo="a/b", commit="c" * 40, files=(file,), pulled_at="2026-01-01"))
    return folder


def test_own_files_stay_and_are_named_with_the_command_that_removes_them(project: Project, tmp_path: Path) -> None:
    """Reports, logs, registry and pulled models go; a model put there by hand, another file and settings stay."""
    home = project.home
    for name in ("logs", "reports"):
        (home / name).mkdir()
        (home / name / "file").write_text("x")
    (home / "models.toml").write_text("")
    fetched = pulled(home / "models", "story")
    mine = write_gguf(home / "models" / "mine.gguf")
    (home / "my notes.txt").write_text("mine")
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "nightjar.toml").write_text("")
    settings = settings_of(project)

    removal = plan_removal(settings)
    gone = {Path(found.where) for found in removal.removes}
    assert gone == {home / "services", home / "logs", home / "reports", home / "models.toml", fetched}
    left = {found.where: found.how for found in removal.leaves}
    assert left == {
        str(home / "models"): f"rm -r {home / 'models'}",
        str(home / "my notes.txt"): f"rm '{home / 'my notes.txt'}'",
        str(tmp_path / "config"): f"rm -r {tmp_path / 'config'}",
    }
    assert all(found.bytes for found in removal.removes if found.where == str(fetched))
    carry_out(removal, settings)
    assert sorted(home.rglob("*")) == [home / "models", mine, home / "my notes.txt"]


def test_nothing_is_left_of_a_home_that_held_only_ours(project: Project) -> None:
    pulled(project.home / "models", "story")
    settings = settings_of(project)
    carry_out(plan_removal(settings), settings)
    assert not project.home.exists()
    assert plan_removal(settings).removes == []


def test_models_of_a_folder_that_was_named_stay(project: Project, tmp_path: Path) -> None:
    """Another home may use them too."""
    fetched = pulled(tmp_path / "shared", "story")
    removal = plan_removal(settings_of(project, models_dir=tmp_path / "shared"))
    assert str(fetched) not in {found.where for found in removal.removes}
    assert f"rm -r {tmp_path / 'shared'}" in {found.how for found in removal.leaves}


def test_what_a_url_names_stays_and_its_password_is_not_told(project: Project) -> None:
    url = SecretStr("mongodb://user:hunter2@mongo.example:27017/")
    settings = settings_of(project, mongo_url=url, redis_url=SecretStr("redis://:hunter2@redis.example/0"))
    told = {found.where: f"{found.what} {found.how}" for found in plan_removal(settings).leaves}
    assert "db.dropDatabase()" in told["mongo.example:27017"]
    assert "redis.example" in told
    assert "hunter2" not in str(told)


def test_a_folder_that_is_no_home_is_left_alone(project: Project, tmp_path: Path) -> None:
    """NIGHTJAR_HOME may name any folder, and its `logs` and `reports` are somebody's; a whole account even if used."""
    folder = tmp_path / "work"
    (folder / "reports").mkdir(parents=True)
    assert plan_removal(settings_of(replace(project, home=folder))).removes == []


def test_a_whole_account_is_refused(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(project.home))
    with pytest.raises(UsageError, match="may be yours"):
        plan_removal(settings_of(project))
    assert (project.home / "services").is_dir()
