"""A folder of generated photos, with EXIF and captions: found by their texts and by what they show; and bad ones."""

from __future__ import annotations

import base64
import io
import json
import os
from pathlib import Path

import pytest
from PIL import Image

from nightjar.config.errors import ModelFileError, UnknownNameError, UsageError
from nightjar.workers.library.digests import DigestCache
from nightjar.workers.photos import decode, index, store
from nightjar.workers.photos.index import index_photos
from nightjar.workers.photos.picture_model import PictureModel
from nightjar.workers.photos.search import photos_like, search_photos
from nightjar.workers.photos.store import folder_id, forget_folder, read_indexes, thumbnail
from tests.onnx_file import HEIGHT, PREPARATION, WIDTH, write_colour_model
from tests.word_embedder import WordEmbedder

RED, BLUE, GREEN = (220, 30, 30), (30, 30, 220), (30, 200, 30)


def save(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (60, 40), **exif: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", size, colour)
    found = image.getexif()
    for tag, value in ((270, exif.get("description")), (272, exif.get("camera")), (274, exif.get("orientation"))):
        if value is not None:
            found[tag] = value
    if "taken" in exif:
        found.get_ifd(0x8769)[36867] = exif["taken"]
    found.get_ifd(0x8825)[2] = (52.0, 31.0, 0.0)  # the place
    image.save(path, exif=found)


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Three photos that open, and what does not."""
    folder = tmp_path / "album"
    save(folder / "IMG_0001.jpg", RED, description="A red lighthouse at the sea", taken="2024:11:03 10:00:00")
    save(folder / "holiday in Norway/fjord_boat.png", BLUE, camera="Box 3000")
    save(folder / "IMG_0002.jpg", GREEN, orientation=6)
    (folder / "IMG_0002.txt").write_text("Our garden after the rain.")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    (folder / "empty.png").touch()
    (folder / "notes.md").write_text("no photo")
    os.symlink("/etc/hostname", folder / "link.jpg")
    os.symlink(folder, folder / "loop")
    os.mkfifo(folder / "pipe.jpg")
    return folder


@pytest.fixture
def colours(tmp_path: Path) -> PictureModel:
    return PictureModel(write_colour_model(tmp_path / "model"), DigestCache(tmp_path / "digests.json"))


async def test_photos_are_found_by_their_texts(album: Path, tmp_path: Path) -> None:
    """By EXIF, by a caption beside, by names; the file's number from a camera is no name."""
    home, embedder = tmp_path / "home", WordEmbedder()
    done = await index_photos(album, home, embedder, None)
    assert (done.photos, done.opened, sorted(done.refused), done.unreadable) == (3, 3, ["broken.jpg", "empty.png"], ())
    for question, name in (
        ("lighthouse", "IMG_0001.jpg"),
        ("garden rain", "IMG_0002.jpg"),
        ("norway", "fjord_boat.png"),
    ):
        photos, notices = await search_photos(question, 3, home, embedder)
        assert Path(photos[0].path).name == name, question
        assert photos[0].exact
        assert notices == []
    assert photos[0].similarity == max(photo.similarity for photo in photos)
    [album_index] = read_indexes(home)
    by_place = {record.place: record for record in album_index.records}
    assert by_place["IMG_0001.jpg"].taken == "2024:11:03 10:00:00"
    assert by_place["holiday in Norway/fjord_boat.png"].camera == "Box 3000"
    rotated = by_place["IMG_0002.jpg"]
    assert (rotated.width, rotated.height) == (40, 60), "as it is looked at"


async def test_only_what_changed_is_opened_again(album: Path, tmp_path: Path) -> None:
    """A new caption counts as a change; what is gone is forgotten, its thumbnail too; another model begins anew."""
    home, embedder = tmp_path / "home", WordEmbedder()
    await index_photos(album, home, embedder, None)
    count = len(embedder.texts)
    assert (await index_photos(album, home, embedder, None)).opened == 0
    assert len(embedder.texts) == count
    (album / "IMG_0002.txt").write_text("A hedgehog.")
    (album / "IMG_0001.jpg").unlink()
    done = await index_photos(album, home, embedder, None)
    assert (done.photos, done.opened) == (2, 1)
    assert (await search_photos("hedgehog", 1, home, embedder))[0][0].exact
    assert len(list(home.rglob("*.jpg"))) == 2
    (album / "IMG_0002.txt").unlink()
    assert (await index_photos(album, home, embedder, None)).opened == 1
    assert "hedgehog" not in next(home.rglob("index.json")).read_text().lower(), "a caption that is gone"
    (album / "IMG_0002.txt").write_text("A hedgehog.")
    await index_photos(album, home, embedder, None)
    other = WordEmbedder("b" * 64)
    photos, notices = await search_photos("hedgehog", 1, home, other)
    assert photos == []
    assert "nightjar photos index" in notices[0]
    assert (await index_photos(album, home, other, None)).photos == 2
    assert (await search_photos("hedgehog", 1, home, other))[0][0].exact


async def test_an_interrupted_index_goes_on(album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was opened up to then is kept and found."""
    monkeypatch.setattr(index, "BATCH", 2)

    def stop(done: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    home, embedder = tmp_path / "home", WordEmbedder()
    with pytest.raises(KeyboardInterrupt):
        await index_photos(album, home, embedder, None, stop)
    [before] = read_indexes(home)
    done = await index_photos(album, home, embedder, None)
    assert (done.photos, done.opened) == (3, 3 - len(before.records))
    assert 0 < len(before.records) < 3
    places = [record.place for record in read_indexes(home)[0].records]
    assert places == ["IMG_0001.jpg", "IMG_0002.jpg", "holiday in Norway/fjord_boat.png"], "in the order of the folder"
    for question in ("lighthouse", "garden", "norway"):
        assert (await search_photos(question, 1, home, embedder))[0][0].exact, question


async def test_each_photo_is_found_once_and_by_whole_words(album: Path, tmp_path: Path) -> None:
    """Where a folder and one below it are indexed; a word's part is no exact hit, and a question mark no word."""
    home, embedder = tmp_path / "home", WordEmbedder()
    await index_photos(album, home, embedder, None)
    await index_photos(album / "holiday in Norway", home, embedder, None)
    photos, _ = await search_photos("fjord?", 10, home, embedder)
    assert len({photo.path for photo in photos}) == len(photos) == 3
    assert [photo.exact for photo in photos] == [True, False, False]
    assert not any(photo.exact for photo in (await search_photos("house", 10, home, embedder))[0])


async def test_photos_are_found_by_what_they_show(album: Path, tmp_path: Path, colours: PictureModel) -> None:
    """A real onnxruntime on a model of our own: its vector is the mean colour."""
    home, embedder = tmp_path / "home", WordEmbedder()
    await index_photos(album, home, embedder, colours)
    save(tmp_path / "asked.png", (20, 20, 180))
    photos, notices = await photos_like(tmp_path / "asked.png", 3, home, colours)
    assert Path(photos[0].path).name == "fjord_boat.png"
    assert photos[0].similarity > 0.99
    assert notices == []
    with pytest.raises(UsageError, match="cannot be opened as a photo"):
        await photos_like(album / "broken.jpg", 3, home, colours)
    assert (await index_photos(album, home, embedder, None)).opened == 3, "it was indexed with another picture model"
    assert "another model" in (await photos_like(tmp_path / "asked.png", 3, home, colours))[1][0]


@pytest.mark.parametrize("kind", ["clip", "siglip"])
async def test_words_find_what_photos_show(album: Path, tmp_path: Path, kind: str) -> None:
    """Though nothing that is known of the photo says it; what its text says in so many words still comes first."""
    model = PictureModel(write_colour_model(tmp_path / "model", kind=kind), DigestCache(tmp_path / "digests.json"))
    home, embedder = tmp_path / "home", WordEmbedder()
    await index_photos(album, home, embedder, model)
    photos, notices = await search_photos("Blue", 3, home, embedder, model)
    assert Path(photos[0].path).name == "fjord_boat.png"
    assert (photos[0].exact, notices) == (False, [])
    assert photos[0].shows == max(photo.shows or 0 for photo in photos) > 0.9
    photos, _ = await search_photos("sea", 3, home, embedder, model)
    assert [Path(photo.path).name for photo in photos][:2] == ["IMG_0001.jpg", "fjord_boat.png"], (
        "a red one, at the sea"
    )
    assert (await search_photos("sea " * 5_000, 1, home, embedder, model))[0], "a long text is cut"
    assert {photo.shows for photo in (await search_photos("blue", 3, home, embedder))[0]} == {None}


async def test_a_model_that_takes_no_words(album: Path, tmp_path: Path) -> None:
    """It says so; so does one that was not indexed with; encoders of two models are no model."""
    digests, home, embedder = DigestCache(tmp_path / "digests.json"), tmp_path / "home", WordEmbedder()
    silent = PictureModel(write_colour_model(tmp_path / "silent", words=False), digests)
    await index_photos(album, home, embedder, silent)
    assert "no text encoder" in (await search_photos("blue", 3, home, embedder, silent))[1][0]
    other = PictureModel(write_colour_model(tmp_path / "other", image_mean=[0.5, 0.5, 0.5]), digests)
    photos, notices = await search_photos("blue", 3, home, embedder, other)
    assert {photo.shows for photo in photos} == {None}
    assert "another model" in notices[0]
    for file, text, why in (
        ("config.json", '{"model_type": "bert"}', "'bert'"),
        ("tokenizer.json", "{", "cannot be read"),
        ("config.json", '{"model_type": "siglip"}', "no pooler_output"),
    ):
        broken = write_colour_model(tmp_path / why)
        (broken / file).write_text(text)
        with pytest.raises(ModelFileError, match=why):
            PictureModel(broken, digests).embed_words("blue")


async def test_one_host_serves_a_folder(album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On another one that shares the home nothing is found, and it says where it is."""
    home, embedder = tmp_path / "home", WordEmbedder()
    monkeypatch.setattr(store.socket, "gethostname", lambda: "attic")
    await index_photos(album, home, embedder, None)
    monkeypatch.setattr(store.socket, "gethostname", lambda: "cellar")
    photos, notices = await search_photos("lighthouse", 3, home, embedder)
    assert photos == []
    assert "served by the host attic" in notices[0]
    with pytest.raises(UsageError, match="indexed by the host attic"):
        await index_photos(album, home, embedder, None)
    done = await index_photos(album, home, embedder, None, take_over=True)
    assert (done.photos, done.opened) == (3, 0)
    assert (await search_photos("lighthouse", 3, home, embedder))[1] == []


async def test_a_thumbnail_holds_no_place(album: Path, tmp_path: Path) -> None:
    """Nor any other EXIF; it is had by ids alone, and forgotten with its folder."""
    home = tmp_path / "home"
    await index_photos(album, home, WordEmbedder(), None)
    [kept] = read_indexes(home)
    for record in kept.records:
        data = thumbnail(home, kept.id, record.id)
        assert data is not None
        small = Image.open(io.BytesIO(data))
        assert (small.format, dict(small.getexif())) == ("JPEG", {})
        assert max(small.size) <= decode.THUMBNAIL
    assert "52.0" not in (home / "photos" / kept.id / "index.json").read_text()
    assert thumbnail(home, "..", "index") is None
    assert thumbnail(home, kept.id, "../../../etc/pa") is None
    assert thumbnail(home, kept.id, "0" * 16) is None
    forget_folder(home, str(album))
    assert read_indexes(home) == []
    assert (album / "IMG_0001.jpg").exists()
    with pytest.raises(UnknownNameError):
        forget_folder(home, str(album))
    await index_photos(album, home, WordEmbedder(), None)
    (home / "photos" / folder_id(str(album)) / "index.json").write_text("{")
    forget_folder(home, str(album))
    assert list((home / "photos").iterdir()) == [], "one whose index is broken"


def test_heic_and_what_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HEIC opens; too many pixels, links at any height and other things than files do not."""
    from pillow_heif import from_pillow

    heic = tmp_path / "photo.heic"
    from_pillow(Image.new("RGB", (64, 48), BLUE)).save(heic)
    made = decode.read_photo(str(heic), {"width": 8, "height": 8, "shortest": None, "resample": 3})
    assert (made["width"], made["height"]) == (64, 48)
    assert len(base64.b64decode(made["pixels"])) == 8 * 8 * 3
    (tmp_path / "folder").mkdir()
    save(tmp_path / "folder/photo.png", RED)
    (tmp_path / "way").symlink_to(tmp_path / "folder")
    for path, why in ((tmp_path / "way/photo.png", "link"), (tmp_path / "folder", "no file")):
        with pytest.raises((ValueError, OSError), match=why):
            decode.read_photo(str(path), None)
    for form in ("EPS", "PPM"):  # the first would be run by another program
        Image.new("RGB", (8, 8), RED).save(tmp_path / "other.jpg", format=form)
        with pytest.raises(ValueError, match="cannot be read as a picture"):
            decode.read_photo(str(tmp_path / "other.jpg"), None)
    monkeypatch.setattr(decode, "MOST_PIXELS", 100)
    with pytest.raises(ValueError, match="60 x 40 pixels"):
        decode.read_photo(str(tmp_path / "folder/photo.png"), None)


async def test_folders_that_cannot_be_indexed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None at all, a file, one without permission; a folder without a picture model."""
    (tmp_path / "file").touch()
    for folder in (tmp_path / "nowhere", tmp_path / "file"):
        with pytest.raises(UsageError, match="is no folder"):
            await index_photos(folder, tmp_path / "home", WordEmbedder(), None)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(UsageError, match="may not be read"):
        await index_photos(tmp_path, tmp_path / "home", WordEmbedder(), None)
    with pytest.raises(ModelFileError, match=r"vision_model\.onnx"):
        PictureModel(tmp_path, DigestCache(tmp_path / "digests.json"))
    (tmp_path / "vision_model.onnx").write_bytes(b"no model")
    with pytest.raises(ModelFileError, match=r"has no preprocessor_config\.json"):
        PictureModel(tmp_path, DigestCache(tmp_path / "digests.json"))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(PREPARATION))
    with pytest.raises(ModelFileError, match="cannot be loaded"):
        PictureModel(tmp_path, DigestCache(tmp_path / "digests.json")).embed(bytes(WIDTH * HEIGHT * 3))
