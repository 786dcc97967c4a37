"""A picture model is pulled like other models: named in the recommended list, checked, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nightjar.config.errors import HubError, ModelFileError, UnknownNameError, UsageError
from nightjar.config.settings import Settings
from nightjar.scripts.views.photo_models import pull_for_photos
from nightjar.workers.library.cleanup import plan_cleanup
from nightjar.workers.library.fit.curated import curated_list
from nightjar.workers.library.inventory import inventory
from nightjar.workers.photos.pull import MANIFEST, open_picture_model, pull_picture_model, remove_picture_model
from tests.hub import COMMIT, Faults, LocalHub, Repository
from tests.integration.library.test_pull import Counted
from tests.onnx_file import write_colour_model

NAME = "clip-vit-base-patch32"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LocalHub]:
    """Every recommended picture model, laid out as its publisher does it."""
    folder = write_colour_model(tmp_path / "published")
    files = {("onnx/" if f.suffix == ".onnx" else "") + f.name: f.read_bytes() for f in folder.iterdir()}
    files |= {"README.md": b"# CLIP", "onnx/vision_model_quantized.onnx": b"other"}
    server = LocalHub()
    for photo in curated_list().photo_models:
        server.repositories[photo.repo] = Repository(files=files)
    with server.running():
        yield server


@pytest.fixture
def configured(hub: LocalHub, tmp_path: Path) -> Settings:
    settings = Settings(home=tmp_path / "home", models_dir=tmp_path / "models", photo_model=NAME)
    return settings.model_copy(update={"hf_endpoint": hub.endpoint})


def test_each_recommended_one_can_be_pulled(
    hub: LocalHub, configured: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its name, and used by it; again it is there already; a chat model it never is."""
    with pytest.raises(UnknownNameError, match=f"nightjar model pull {NAME}"):
        open_picture_model(configured)
    for photo in curated_list().photo_models:
        pull_for_photos(photo.name, None, None, None, configured, force=False)
        assert f"at {COMMIT[:12]}" in capsys.readouterr().out
    model = open_picture_model(configured)
    assert model is not None
    assert model.embed_words("red") @ model.embed(bytes([255, 20, 20]) * 64) > 0.99
    assert sorted(path.name for path in model.folder.iterdir() if not path.name.startswith(".")) == sorted(
        (
            *"vision_model.onnx text_model.onnx preprocessor_config.json".split(),
            *"tokenizer.json tokenizer_config.json config.json".split(),
            MANIFEST,
        )
    )
    fetched = len(hub.downloads())
    pull_for_photos(NAME, None, None, None, configured, force=False)
    assert len(hub.downloads()) == fetched
    assert "Already here" in capsys.readouterr().out
    assert not {held.name for held in inventory(configured)} & {photo.name for photo in curated_list().photo_models}
    assert plan_cleanup(configured, [], now=datetime.now(UTC)) == []
    assert remove_picture_model(NAME, configured) == model.folder
    assert remove_picture_model(NAME, configured) is None


def test_an_interrupted_pull_goes_on(hub: LocalHub, configured: Settings) -> None:
    """Until it is whole there is no model; a damaged file is never taken."""
    repo = curated_list().photo_models[0].repo
    hub.faults = Faults(cut_after=1, cuts=-1)
    with pytest.raises(HubError):
        pull_picture_model(NAME, repo, configured, progress=Counted())
    with pytest.raises(ModelFileError, match="holds no picture model"):
        open_picture_model(configured)
    hub.faults = Faults(corrupt=True)
    with pytest.raises(HubError, match="damaged"):
        pull_picture_model(NAME, repo, configured, progress=Counted())
    hub.faults = Faults()
    counted = Counted()
    done = pull_picture_model(NAME, repo, configured, progress=counted)
    assert (done.fetched, done.takes_words, counted.done) == (True, True, counted.total)
    assert hub.downloads()[-1].path.startswith("/storage/")


def test_what_cannot_be_pulled(hub: LocalHub, configured: Settings) -> None:
    """A repository without an encoder; one that asks for a preparation nobody knows; a name that is another model's."""
    hub.repositories["acme/chat"] = Repository(files={"model.gguf": b"GGUF"})
    with pytest.raises(UnknownNameError, match="recommend --for photos"):
        pull_for_photos("acme/chat", None, None, None, configured, force=False)
    repository = hub.repositories[curated_list().photo_models[0].repo]
    repository.files["preprocessor_config.json"] = b'{"image_processor_type": "OwlImageProcessor"}'
    with pytest.raises(HubError, match="OwlImageProcessor"):
        pull_for_photos(NAME, None, None, None, configured, force=False)
    with pytest.raises(UnknownNameError):
        pull_for_photos("nobody", None, None, None, configured, force=False)
    for wrong in ({"quant": "Q4_K_M"}, {"name": "../x"}):
        with pytest.raises(UsageError):
            pull_for_photos(NAME, wrong.get("name"), None, wrong.get("quant"), configured, force=False)
    (configured.models_dir / "taken").mkdir(parents=True)
    (configured.models_dir / "taken/nightjar.json").touch()
    with pytest.raises(UsageError, match="another model"):
        pull_for_photos(NAME, "taken", None, None, configured, force=False)
