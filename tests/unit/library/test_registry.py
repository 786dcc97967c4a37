"""models.toml: its keys, errors, edits that keep comments, and finding a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from nightjar.config.errors import ModelFileError, SettingsError, UnknownNameError, UsageError
from nightjar.config.load_settings import LoadSettings
from nightjar.config.settings import Settings
from nightjar.workers.library.editing import add_entry, remove_entry, update_entry
from nightjar.workers.library.find import find_model, shelf_files, told_apart
from nightjar.workers.library.names import name_of_file
from nightjar.workers.library.registry import parse_registry, read_registry
from nightjar.workers.library.sources import read_source
from tests.gguf_files import CHATML, write_gguf

FILE = Path("config/models.toml")


@pytest.fixture
def project(tmp_path: Path) -> Settings:
    """A separate project with an empty registry."""
    (tmp_path / "config").mkdir()
    (tmp_path / "models").mkdir()
    return Settings(
        home=tmp_path / "home",
        models_dir=tmp_path / "models",
        models_file=tmp_path / "config" / "models.toml",
        model=LoadSettings(context=1024, slots=4),
    )


def test_the_projects_own_registry_is_valid() -> None:
    """The committed file, with the bundled model in it."""
    registry = read_registry(Path(__file__).parents[3] / "config" / "models.toml")
    assert registry.models["nightjar-demo"].path == "config/models/nightjar-demo.gguf"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[m", "not valid TOML"),
        ("m = 1", "expected a table"),
        ("[m]\n", "exactly one source"),
        ('[m]\npath="a"\nrepo="x/y"', "given are path and repo"),
        ('[m]\npath="a"\nrevision="main"', "belong to a repo"),
        ('[m]\nrepo="no-slash"', "repo is 'no-slash'"),
        ('[m]\npath="a"\npth="b"', "unknown key 'pth'. Did you mean 'path'?"),
        ('[m]\npath="a"\ncontext=5', "'context' is a load setting; it belongs under [m.load]"),
        ('[m]\npath="a"\ntemperature=1', "belongs under [m.parameters]"),
        ('[m]\npath="a"\n[m.load]\ncontxt=99', "unknown key 'contxt'. Did you mean 'context'?"),
        ('[m]\npath="a"\n[m.load]\ntemperature=1', "belongs under [m.parameters]"),
        ('[m]\npath="a"\n[m.load]\ncontext=4', "context is 4"),
        ('[m]\npath="a"\n[m.parameters]\ntemprature=1', "Did you mean 'temperature'"),
        ('[m]\npath="a"\n[m.parameters]\ntop_p=3', "top_p"),
        ('[m]\npath="a"\nreasoning=["<think>"]', "reasoning"),
        ('[m]\npath="a"\n[[m.adapters]]\nfile="x"', "adapters"),
        ('[llama-3.2-1b]\npath="a"', 'quoted: ["llama-3.2-1b"]'),  # TOML reads the dot as a table
        ('["a b"]\npath="a"', "letters, digits"),
        ('[m]\npath="a"\nsha256="12"', "sha256"),
    ],
)
def test_wrong_registries_are_refused(text: str, says: str) -> None:
    """The error names the file, the model and the key, with the nearest known one."""
    with pytest.raises(SettingsError) as caught:
        parse_registry(text, FILE)
    assert says in str(caught.value)
    assert "models.toml" in str(caught.value)


def test_a_full_entry(project: Settings) -> None:
    """Every key, and where its values end up."""
    write_gguf(project.models_dir / "story.gguf")
    (project.models_file.parent / "own.jinja").write_text(CHATML)
    project.models_file.write_text(
        '["story-1.1"]\npath = "story.gguf"\ntemplate = "own.jinja"\nreasoning = ["<think>", "</think>"]\n'
        'tags = ["judge"]\nadapters = [{path = "a.gguf", scale = 0.5}]\n'
        '["story-1.1".load]\ncontext = 2048\ncache_type_k = "q8_0"\n["story-1.1".parameters]\ntemperature = 0.2\n'
    )
    entry = find_model("story-1.1", project)
    assert entry.path == project.models_dir / "story.gguf"
    assert entry.load == LoadSettings(context=2048, slots=4, cache_type_k="q8_0")  # over settings.model
    assert entry.parameters == {"temperature": 0.2}
    assert (entry.template, entry.reasoning, entry.tags) == (CHATML, ("<think>", "</think>"), ("judge",))
    assert entry.adapters == ((project.models_dir / "a.gguf", 0.5),)


def test_finding_by_name_path_and_shelf(project: Settings, tmp_path: Path) -> None:
    """A name, an unregistered path, a registered path, and a file in models/ by its stem."""
    (project.models_dir / "deep").mkdir()
    shelf = write_gguf(project.models_dir / "deep" / "A model (v2).gguf")
    known = write_gguf(tmp_path / "known.gguf")
    other = write_gguf(tmp_path / "other.gguf")
    project.models_file.write_text(f'[k]\npath = "{known}"\n[k.parameters]\ntop_k = 1\n')
    assert find_model("k", project).path == known
    assert find_model(str(known), project).name == "k"
    assert find_model(str(known), project).parameters == {"top_k": 1}
    assert find_model(str(other), project).name == "other"
    assert find_model(str(other), project).load == project.model
    assert find_model("A-model-v2-", project).path == shelf
    assert list(shelf_files(project.models_dir)) == ["A-model-v2-"]


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("nightja", UnknownNameError, "Did you mean 'nightjar'?"),
        ("none.gguf", ModelFileError, "There is no file"),
        ("/", ModelFileError, "is a folder"),
        ("gone", ModelFileError, "no such file"),
        ("hub", ModelFileError, "nightjar model pull hub"),
    ],
)
def test_what_is_not_there(project: Settings, name: str, kind: type[Exception], says: str) -> None:
    """The error for an unknown name suggests the nearest; the one for a missing file names the remedy."""
    project.models_file.write_text('[nightjar]\npath = "x"\n[gone]\npath = "gone.gguf"\n[hub]\nrepo = "a/b"\n')
    with pytest.raises(kind) as caught:
        find_model(name, project)
    assert says in str(caught.value)


def test_later_parts_and_hidden_files_are_no_models(project: Settings) -> None:
    """Only the first part of a split model is listed, and nothing from a download cache."""
    write_gguf(project.models_dir / "m-00001-of-00002.gguf")
    write_gguf(project.models_dir / "m-00002-of-00002.gguf")
    (project.models_dir / ".cache").mkdir()
    write_gguf(project.models_dir / ".cache" / "half.gguf")
    assert list(shelf_files(project.models_dir)) == ["m"]


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("Story-7B.Q4_K_M.gguf", "Story-7B.Q4_K_M"),
        ("m-00001-of-00002.gguf", "m"),
        ("A model (v2).gguf", "A-model-v2-"),
    ],
)
def test_names_made_of_files(file: str, name: str) -> None:
    """Always a name the registry accepts."""
    assert name_of_file(Path(file)) == name


def test_two_files_never_share_a_name(project: Settings, tmp_path: Path) -> None:
    """In `models/`, outside it, and beside a registered name; each is found again by its name or path."""
    files = [project.models_dir / "a" / "x.gguf", project.models_dir / "b" / "x.gguf", tmp_path / "x.gguf"]
    for file in (*files, tmp_path / "r.gguf", tmp_path / "far" / "r.gguf"):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_gguf(file)
    project.models_file.write_text(f'[r]\npath = "{tmp_path}/r.gguf"\n')
    assert shelf_files(project.models_dir) == {"x": files[0], "x-b": files[1]}
    names = [find_model(str(file), project).name for file in files]
    assert names == ["x", "x-b", f"x-{tmp_path.name}"]
    assert [find_model(name, project).path for name in names[:2]] == files[:2]
    assert find_model(str(tmp_path / "far" / "r.gguf"), project).name == "r-far"

    strangers = [tmp_path / folder / "s.gguf" for folder in ("one", "two")]
    for file in strangers:
        file.parent.mkdir()
        write_gguf(file)
    asked = [find_model(str(file), project) for file in (*strangers, strangers[0], files[0])]
    assert [entry.name for entry in told_apart(asked)] == ["s-one", "s-two", "s-one", "x"]


def test_edits_keep_comments_and_order(project: Settings) -> None:
    """Adding, changing and removing touch their own lines only."""
    original = '# mine\n\n[a]\npath = "a.gguf"  # first\n\n# between\n[b]\npath = "b.gguf"\n'
    project.models_file.write_text(original)
    add_entry(project.models_file, "c.1", {"repo": "x/y", "tags": ["judge"], "load": {"context": 512}})
    update_entry(project.models_file, "a", {"load": {"slots": 2}, "description": "text"})
    text = project.models_file.read_text()
    assert all(line in text for line in ("# mine", 'path = "a.gguf"  # first', "# between", '["c.1"]'))
    registry = read_registry(project.models_file)
    assert registry.models["a"].load == {"slots": 2}
    assert registry.models["c.1"].load == {"context": 512}
    update_entry(project.models_file, "a", {"load": {"slots": None}, "description": None})
    remove_entry(project.models_file, "c.1")
    assert read_registry(project.models_file).models.keys() == {"a", "b"}
    assert "description" not in project.models_file.read_text()


def test_an_edit_that_would_break_the_registry_is_not_written(project: Settings) -> None:
    """Refused names, taken names and bad content leave the file as it was."""
    original = '[a]\npath = "a.gguf"\n'
    project.models_file.write_text(original)
    with pytest.raises(UsageError, match="already"):
        add_entry(project.models_file, "a", {"path": "x"})
    with pytest.raises(UsageError, match="cannot be a model's name"):
        add_entry(project.models_file, "a b", {"path": "x"})
    with pytest.raises(SettingsError, match="Nothing was written"):
        add_entry(project.models_file, "c", {"path": "x", "load": {"context": -1}})
    assert project.models_file.read_text() == original
    project.models_file.write_text("broken = [")
    with pytest.raises(SettingsError, match="not valid TOML"):
        remove_entry(project.models_file, "a")
    assert project.models_file.read_text() == "broken = ["


@pytest.mark.parametrize(
    ("text", "name", "keys"),
    [
        ("Org/Story-1B-GGUF", "story-1b", {"repo": "Org/Story-1B-GGUF"}),
        ("hf.co/Org/Story-GGUF:Q4_K_M", "story", {"repo": "Org/Story-GGUF", "file": "*Q4_K_M*.gguf"}),
        ("Org/S@v1.0:s-q8.gguf", "s", {"repo": "Org/S", "revision": "v1.0", "file": "s-q8.gguf"}),
        ("ollama:llama3.2:1b", "llama3.2:1b", {"ollama": "llama3.2:1b"}),
    ],
)
def test_sources(project: Settings, text: str, name: str, keys: dict[str, str]) -> None:
    """What a person writes becomes the keys of a registry entry."""
    source = read_source(text, project)
    assert (source.name, source.keys) == (name, keys)


def test_file_sources_are_kept_relative_where_they_can_be(project: Settings, tmp_path: Path) -> None:
    """Files under models/ and under the project stay usable when the folder is copied."""
    shelf = write_gguf(project.models_dir / "s.gguf")
    inside = write_gguf(tmp_path / "i.gguf")
    assert read_source(str(shelf), project).keys == {"path": "s.gguf"}
    assert read_source(str(inside), project).keys == {"path": "i.gguf"}
    with pytest.raises(UsageError, match="no model source"):
        read_source(str(tmp_path / "none.gguf"), project)
