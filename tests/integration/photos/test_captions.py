"""Captions by a vision model: llama.cpp's real path with a tiny projector, and what becomes of what a model says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from nightjar.config.errors import ContextError, ModelError, ModelFileError, UnknownNameError, UsageError
from nightjar.config.load_settings import LoadSettings
from nightjar.config.settings import Settings
from nightjar.workers.engine.llama.vision import MARKER, VisionModel
from nightjar.workers.library.digests import DigestCache
from nightjar.workers.library.editing import add_entry
from nightjar.workers.library.find import ModelEntry, find_model
from nightjar.workers.photos import captions, store
from nightjar.workers.photos.caption_child import rendered_prompt
from nightjar.workers.photos.captions import AskedPicture, LocalCaptioner, caption_photos
from nightjar.workers.photos.index import index_photos
from nightjar.workers.photos.search import search_photos
from nightjar.workers.photos.store import read_indexes
from tests.demo_engine import DEMO
from tests.gguf_files import CHATML, write_llama
from tests.projector_file import write_projector
from tests.word_embedder import WordEmbedder

DEMO_WIDTH = 160


class ColourCaptioner:
    """Says of which colour a picture is; nothing of a black one."""

    def __init__(self, name: str = "seer") -> None:
        self.name = name
        self.digest = name * 8
        self.sizes: list[tuple[int, int]] = []

    def caption(self, picture: AskedPicture) -> str:
        self.sizes.append((picture.width, picture.height))
        assert len(picture.pixels) == 3 * picture.width * picture.height
        if not any(picture.pixels[:3]):
            return " ... "
        colour = ("crimson", "green", "azure")[max(range(3), key=lambda plane: picture.pixels[plane])]
        return f"A {colour}\n\nsquare, says {self.name}.  "

    def close(self) -> None:
        """Nothing to end."""


@pytest.fixture
def album(tmp_path: Path) -> Path:
    folder = tmp_path / "album"
    folder.mkdir()
    for name, colour, size in (
        ("a", (200, 0, 0), (60, 40)),
        ("IMG_1", (0, 0, 200), (4000, 10)),
        ("c", (0, 0, 0), (9, 9)),
    ):
        Image.new("RGB", size, colour).save(folder / f"{name}.png")
    (folder / "a.txt").write_text("Our new flag.")
    return folder


async def test_a_caption_is_a_part_of_what_is_known(album: Path, tmp_path: Path) -> None:
    """Found by it, marked, asked once for each picture and model; a large picture is made smaller before."""
    home, embedder, seer = tmp_path / "home", WordEmbedder(), ColourCaptioner()
    await index_photos(album, home, embedder, None)
    done = await caption_photos(album, home, seer, embedder)
    assert (done.made, done.before, done.refused) == (2, 0, {"c.png": "it said nothing about the picture"})
    assert seer.sizes == [(1024, 3), (60, 40), (9, 9)]
    photos, _ = await search_photos("crimson flag", 1, home, embedder)
    assert (photos[0].exact, photos[0].caption_by) == (True, "seer")
    assert photos[0].text == "Our new flag. A crimson square, says seer."
    [other] = (await search_photos("azure", 1, home, embedder))[0]
    assert other.text == "A azure square, says seer.", "nothing else is known of it"
    again = await caption_photos(album, home, seer, embedder)
    assert (again.made, again.before, len(seer.sizes)) == (0, 2, 4), "only the one that got none is asked about again"


async def test_another_model_and_another_picture(album: Path, tmp_path: Path) -> None:
    """Another model's caption takes the place, and the first one's is kept; a changed picture has none."""
    home, embedder, seer = tmp_path / "home", WordEmbedder(), ColourCaptioner()
    await index_photos(album, home, embedder, None)
    await caption_photos(album, home, seer, embedder)
    await caption_photos(album, home, ColourCaptioner("oracle"), embedder)
    assert "says oracle" in (await search_photos("flag", 1, home, embedder))[0][0].text
    asked = len(seer.sizes)
    assert (await caption_photos(album, home, seer, embedder)).before == 2
    (album / "a.txt").write_text("Our old flag.")
    await index_photos(album, home, embedder, None)
    [photo] = (await search_photos("old flag", 1, home, embedder))[0]
    assert photo.text == "Our old flag. A crimson square, says oracle."
    Image.new("RGB", (60, 40), (0, 200, 0)).save(album / "a.png")
    os.utime(album / "a.png", (1, 1))
    await index_photos(album, home, embedder, None)
    assert (await search_photos("old flag", 1, home, embedder))[0][0].text == "Our old flag"
    await caption_photos(album, home, seer, embedder)
    assert "A green square" in (await search_photos("old flag", 1, home, embedder))[0][0].text
    assert len(seer.sizes) == asked + 3, "the new one, and twice the one that never gets any"


async def test_an_interrupted_captioning_goes_on(album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captions, "BATCH", 1)
    home, embedder, seer = tmp_path / "home", WordEmbedder(), ColourCaptioner()
    await index_photos(album, home, embedder, None)

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await caption_photos(album, home, seer, embedder, stop)
    assert sum(bool(record.made) for record in read_indexes(home)[0].records) == 1
    assert (await caption_photos(album, home, seer, embedder)).before == 1


async def test_folders_that_get_no_captions(album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is not indexed, that another host serves, or whose texts another model embedded."""
    home, embedder, seer = tmp_path / "home", WordEmbedder(), ColourCaptioner()
    with pytest.raises(UnknownNameError, match="Index it first"):
        await caption_photos(album, home, seer, embedder)
    await index_photos(album, home, embedder, None)
    with pytest.raises(UsageError, match="Index it again"):
        await caption_photos(album, home, seer, WordEmbedder("b" * 64))
    monkeypatch.setattr(store.socket, "gethostname", lambda: "cellar")
    with pytest.raises(UsageError, match="Caption them there"):
        await caption_photos(album, home, seer, embedder)
    assert seer.sizes == []


@pytest.fixture(scope="module")
def projector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_projector(tmp_path_factory.mktemp("projector") / "mmproj-demo.gguf", DEMO_WIDTH)


def test_a_picture_reaches_the_model(tmp_path: Path) -> None:
    """The real libmtmd: the same picture gives the same words, another one others; what does not fit is refused."""
    eyes = write_projector(tmp_path / "mmproj.gguf", 64)
    model = VisionModel(write_llama(tmp_path / "seeing.gguf"), eyes, context=256, threads=1)
    try:
        prompt = rendered_prompt(model, None, "Tell me about this.")
        red, blue = (bytes(colour) * 400 for colour in ((255, 0, 0), (0, 0, 255)))
        said = [model.reply(prompt, pixels, 20, 20, 24) for pixels in (red, blue, red)]
        assert said[0] == said[2] != said[1]
        assert all(said)
        with pytest.raises(ContextError, match="the context holds 256"):
            model.reply(prompt, red, 20, 20, 250)
        broken = CHATML.replace("message['content']", "'hidden'")
        with pytest.raises(ModelError, match="no place for a picture"):
            rendered_prompt(model, broken, "What is it?")
        typed = CHATML.replace("message['content']", "message['content'][0]['text']")
        assert MARKER in rendered_prompt(model, typed, "What is it?")
    finally:
        model.close()
        model.close()


def test_files_that_do_not_belong_together(projector: Path, tmp_path: Path) -> None:
    other = write_llama(tmp_path / "other.gguf")
    for path, eyes in (
        (other, projector),
        (DEMO, other),
        (DEMO, write_projector(tmp_path / "x.gguf", 160, kind="none")),
    ):
        with pytest.raises(ModelFileError, match="cannot be used as the projector"):
            VisionModel(path, eyes, context=256, threads=1)


async def test_captions_by_the_real_path(album: Path, tmp_path: Path, projector: Path) -> None:
    """Registered with its projector, in its own process; the weights are random, so that only the way is tested."""
    settings = Settings(home=tmp_path / "home")
    add_entry(settings.models_file, "eyes", {"path": str(DEMO), "projector": str(projector), "load": {"context": 256}})
    digests = DigestCache(tmp_path / "digests.json")
    captioner = LocalCaptioner(find_model("eyes", settings), digests, threads=1)
    embedder = WordEmbedder()
    await index_photos(album, settings.home, embedder, None)
    try:
        done = await caption_photos(album, settings.home, captioner, embedder)
    finally:
        captioner.close()
    records = read_indexes(settings.home)[0].records
    assert (done.made, done.refused) == (3, {})
    assert {record.made_by for record in records} == {"eyes"}
    assert {*records[0].made.values()} == {"Hello!"}, "all that it ever says to strangers"
    blind = ModelEntry(name="blind", path=DEMO, load=LoadSettings(), parameters={}, template=None, reasoning=None)
    with pytest.raises(ModelError, match=r"projector = FILE under \[blind\]"):
        LocalCaptioner(blind, digests)
