"""A model that is named by a folder, a repository or an address: what is offered instead; a folder's files listed."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pytest

from nightjar.config.errors import ModelFileError, NightjarError
from nightjar.config.settings import Settings
from nightjar.scripts.cli import main
from nightjar.workers.library.find import find_model
from nightjar.workers.library.inventory import folder_inventory

DEMO = Path(__file__).resolve().parents[3] / "config" / "models" / "nightjar-demo.gguf"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "mine"
    (place / "old").mkdir(parents=True)
    shutil.copy(DEMO, place / "story.gguf")
    shutil.copy(DEMO, place / "old" / "story.gguf")
    (place / "broken.gguf").write_bytes(b"GGUF")
    return place


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Qwen/Qwen3-4B-GGUF", "`nightjar model pull Qwen/Qwen3-4B-GGUF`"),
        ("Qwen/Qwen3-4B-GGUF:Q4_K_M", "`nightjar model pull Qwen/Qwen3-4B-GGUF`"),
        ("https://huggingface.co/Qwen/Qwen3-4B-GGUF/tree/main", "`nightjar model pull Qwen/Qwen3-4B-GGUF`"),
        ("hf.co/Qwen/Qwen3-4B-GGUF", "`nightjar model pull Qwen/Qwen3-4B-GGUF`"),
        ("https://example.net/a/model.gguf", "`curl -LO https://example.net/a/model.gguf`"),
        ("http://localhost:8080/v1", "`nightjar endpoint list`"),
        ("ftp://example.net/models", "such an address is http(s)://HOST[:PORT]/PATH"),
        ("http://[broken/v1", "such an address is http(s)://HOST[:PORT]/PATH"),
        ("./Qwen/Qwen3-4B-GGUF", "There is no file"),  # a path, and nothing else
        ("models/gone.gguf", "There is no file"),
    ],
)
def test_what_is_no_file_is_told_what_to_do(text: str, words: str, settings: Settings) -> None:
    with pytest.raises(ModelFileError) as error:
        find_model(text, settings)
    assert words in str(error.value)


# An address as people have it at hand, and what `endpoint add` is to be given.
ADDRESSES = [
    ("http://localhost:8080/v1", "http://localhost:8080/v1 --allow-private"),
    ("http://192.168.1.7:8000/v1/chat/completions", "http://192.168.1.7:8000/v1 --allow-private"),  # with a call
    ("http://localhost:11434", "http://localhost:11434/v1 --allow-private"),  # no path at all
    ("https://api.example.org/v1/", "https://api.example.org/v1"),
    ("https://ann:word@api.example.org/v1?key=word", "https://api.example.org/v1"),  # what may be secret is not said
]


@pytest.mark.parametrize(("address", "given"), ADDRESSES)
def test_an_address_is_told_the_commands_with_which_its_model_is_evaluated(
    address: str, given: str, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands are typed as they are told, with names of one's own: the model is found then."""
    registry = tmp_path / "models.toml"
    monkeypatch.setenv("NIGHTJAR_MODELS_FILE", str(registry))
    with pytest.raises(ModelFileError) as error:
        find_model(address, settings)
    commands = [line.strip() for line in str(error.value).splitlines() if line.startswith("  nightjar ")]
    assert commands[0] == f"nightjar endpoint add ENDPOINT {given}"
    assert "word" not in str(error.value)
    for command in commands:
        with pytest.raises(SystemExit) as end:
            main(shlex.split(command.removeprefix("nightjar ")))
        assert end.value.code == 0, command
    found = find_model("NAME", settings.model_copy(update={"models_file": registry}))
    assert found.remote is not None
    assert found.remote.at.base_url == given.removesuffix(" --allow-private")


def test_a_folder_offers_what_is_in_it(folder: Path, settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError) as error:
        find_model(str(folder), settings)
    message = str(error.value)
    assert f"\n  --model {folder}/story.gguf\n" in message
    assert f"\n  --model {folder}/old/story.gguf\n" in message
    assert f"`nightjar model list {folder}`" in message
    (tmp_path / "bare").mkdir()
    with pytest.raises(ModelFileError, match=r"without any \.gguf file"):
        find_model(str(tmp_path / "bare"), settings)


def test_a_repository_that_was_pulled_is_found_by_its_own_name(settings: Settings) -> None:
    """The error is that of a registered model, which names the command with its name."""
    settings.models_file.parent.mkdir(parents=True, exist_ok=True)
    settings = settings.model_copy(update={"models_file": settings.home / "models.toml"})
    settings.home.mkdir(exist_ok=True)
    settings.models_file.write_text('[qwen]\nrepo = "Qwen/Qwen3-4B-GGUF"\n')
    with pytest.raises(ModelFileError, match="nightjar model pull qwen"):
        find_model("Qwen/Qwen3-4B-GGUF", settings)


def test_the_files_of_a_folder(folder: Path, settings: Settings) -> None:
    """Each under the name that it would have, told apart by its folder; a broken one with the reason."""
    rows = {row.source.removeprefix(f"{folder}/"): row for row in folder_inventory(folder, settings)}
    assert {source: (row.state, row.kind) for source, row in rows.items()} == {
        "broken.gguf": ("failed", None),
        "old/story.gguf": ("ready", "chat"),
        "story.gguf": ("ready", "chat"),
    }
    assert len({row.name for row in rows.values()}) == 3
    assert all(find_model(str(row.path), settings) for source, row in rows.items() if "broken" not in source)
    for wrong in (folder / "gone", folder / "story.gguf"):
        with pytest.raises(ModelFileError, match="There is no folder"):
            folder_inventory(wrong, settings)


def test_model_list_takes_a_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["model", "list", str(folder), "--json"])
    assert {Path(row["source"]).name for row in json.loads(capsys.readouterr().out)} == {"story.gguf", "broken.gguf"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{folder}/broken.gguf"], "broken.gguf"),
        (["{folder}/story.gguf", "--template", "gone.jinja"], "gone.jinja"),
        (["{folder}/story.gguf", "--name", "no/slash"], "cannot be a model's name"),
        (["ollama:gone"], "gone"),
        (["not a source"], "no model source"),
        (["http://localhost:8080/v1"], "nightjar endpoint add ENDPOINT http://localhost:8080/v1 --allow-private"),
        (["https://api.example.org/openai/v1"], "nightjar endpoint add ENDPOINT https://api.example.org/openai/v1"),
    ],
)
def test_add_writes_nothing_that_cannot_be(
    words: list[str],
    said: str,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    registry = tmp_path / "models.toml"
    monkeypatch.setenv("NIGHTJAR_MODELS_FILE", str(registry))
    with pytest.raises(SystemExit) as end:
        main(["model", "add", *(word.format(folder=folder) for word in words)])
    assert end.value.code
    assert said in capsys.readouterr().err
    assert not registry.exists()


def test_add_says_where_a_repository_was_not_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Offline it is written all the same; a name that is known only later is no mistake."""
    monkeypatch.setenv("NIGHTJAR_MODELS_FILE", str(tmp_path / "models.toml"))
    monkeypatch.setenv("NIGHTJAR_OFFLINE", "true")
    with pytest.raises(SystemExit) as end:
        main(["model", "add", "Qwen/Qwen3-4B-GGUF:Q4_K_M"])
    shown = capsys.readouterr()
    assert end.value.code == 0
    assert "Note: Qwen/Qwen3-4B-GGUF was not looked up. NIGHTJAR_OFFLINE is set" in shown.err
    assert 'repo = "Qwen/Qwen3-4B-GGUF"' in (tmp_path / "models.toml").read_text()


def test_errors_of_models_are_ours(settings: Settings) -> None:
    with pytest.raises(NightjarError):
        find_model("~nobody/at/all.gguf", settings)
