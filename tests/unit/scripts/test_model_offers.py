"""`nightjar eval` without a model: what is offered, and how one is taken."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from nightjar.config.settings import Settings
from nightjar.scripts import model_offers as offers_module
from nightjar.scripts.commands.evaluate import EvalOptions, _named
from nightjar.scripts.completion import names
from nightjar.scripts.model_offers import choose_offered, model_offers
from nightjar.scripts.views import asking, model_recommend

DEMO = Path(__file__).parents[3] / "config" / "models" / "nightjar-demo.gguf"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with models that are near, and some that are not looked for."""
    place = tmp_path / "work"
    for name in ("b.gguf", "a/one.gguf", "a/b/two.gguf", "a/b/c/deep.gguf", ".cache/hidden.gguf", "a/notes.txt"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(b"GGUF")
    (place / "big-00001-of-00002.gguf").write_bytes(b"GGUF")
    (place / "big-00002-of-00002.gguf").write_bytes(b"GGUF")
    os.symlink(DEMO, place / "demo-again.gguf")
    monkeypatch.chdir(place)
    monkeypatch.setattr(names, "names_in_mongo", lambda collection: ["nightjar-demo", "elsewhere-70b"])
    monkeypatch.setattr(model_recommend, "recommended", lambda *given: [])
    return place


def test_known_models_come_first_then_files_in_the_folder_and_a_little_below(folder: Path, settings: Settings) -> None:
    """Each model once: a link to a registered file is that file."""
    found = [(offer.given, offer.where) for offer in model_offers(settings, folder)]
    assert found == [
        ("nightjar-demo", "registered"),
        ("b.gguf", "in this folder"),
        ("big-00001-of-00002.gguf", "in this folder"),
        ("a/one.gguf", "in this folder"),
        ("a/b/two.gguf", "in this folder"),
    ]


def test_a_folder_without_an_end_is_left_in_time(
    folder: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offers_module, "MOST_FOLDERS", 1)
    given = [offer.given for offer in model_offers(settings, folder)]
    assert given == ["nightjar-demo", "b.gguf", "big-00001-of-00002.gguf"]


def test_without_a_terminal_it_says_what_to_type(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        choose_offered("mine.yaml")
    said = capsys.readouterr().err
    assert end.value.code == 2
    assert "a/b/two.gguf" in said
    assert "their files not found here: elsewhere-70b." in said
    assert said.endswith("Evaluate one:\n  nightjar eval --suite mine.yaml --model nightjar-demo\n")


@pytest.mark.parametrize(("typed", "taken"), [("1", "nightjar-demo"), (" 2 ", "b.gguf")])
def test_at_a_terminal_a_number_takes_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: str, taken: str
) -> None:
    monkeypatch.setattr(asking, "can_ask", lambda: True)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{typed}\n"))
    assert _named(EvalOptions(), as_json=False) == ("story-starters", [taken])
    assert f"nightjar eval --suite story-starters --model {taken}" in capsys.readouterr().err


@pytest.mark.parametrize("typed", ["", "0", "99", "b.gguf"])
def test_anything_else_takes_none(folder: Path, monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    monkeypatch.setattr(asking, "can_ask", lambda: True)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{typed}\n"))
    with pytest.raises(SystemExit):
        choose_offered(None)
