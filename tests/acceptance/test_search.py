"""Searching as a user does: after an evaluation, by meaning, with the small embedder; and photos of a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.minilm import WHEEL_SHA256, cached_gguf
from tests.shell import Shell

EVAL = ("eval", "--suite", "story-starters", "--limit", "2", "--slots", "2", "--set", "max_tokens=24")


@pytest.fixture
def memory(request: pytest.FixtureRequest) -> dict[str, str]:
    assert request.config.cache is not None
    path = cached_gguf(request.config.cache.mkdir(f"minilm-{WHEEL_SHA256[:12]}"))[1]
    return {"NIGHTJAR_MEMORY_MODEL": str(path)}


def test_what_an_evaluation_said_is_found(shell: Shell, memory: dict[str, str]) -> None:
    """By its meaning, until the run is removed; without a model it says what to pull."""
    assert "nightjar model pull" in shell.refused("search", "fox", code=1)
    assert "generates text" in shell.refused("search", "fox", code=1, env={"NIGHTJAR_MEMORY_MODEL": "nightjar-demo"})
    shell.environment.update(memory)
    assert "Nothing is indexed yet" in shell.ok("search", "an animal of the woods")
    assert "10,000 words" in shell.refused("search", "word " * 10_000)
    assert "--run" in shell.refused("search", "--duplicates")
    shell.ok(*EVAL, "--model", "nightjar-demo", "--name", "first")
    answer = shell.json("search", "tell me about an animal of the woods", "--run", "first")
    assert answer["texts"] >= 4
    assert {place["run"] for hit in answer["hits"] for place in hit["places"]} == {"first"}
    assert len(answer["model_digest"]) == 64
    place = next(hit["places"][0] for hit in answer["hits"] if hit["places"][0]["part"] == "reply")
    like = shell.json("search", "--like", f"{place['job']}:{place['turn']}")
    here = {"job": place["job"], "turn": place["turn"], "part": "reply"}
    found = [{name: there[name] for name in here} for hit in like["hits"] for there in hit["places"]]
    assert found
    assert here not in found
    assert {there["part"] for hit in like["hits"] for there in hit["places"]} == {"reply"}
    assert "every conversation is indexed" in shell.run("search", "--index").stderr
    assert "Did you mean 'nightjar-demo'?" in shell.refused("search", "fox", "--model", "nightjar-dem")
    assert "groups" in shell.json("search", "--run", "first", "--duplicates")
    pairs = shell.json("suite", "same", "story-starters", "story-starters")["pairs"]
    assert pairs
    assert {pair["similarity"] for pair in pairs} == {None}
    shell.ok("run", "rm", "first", "--yes")
    assert shell.json("search", "an animal")["texts"] == 0


def test_photos_of_a_folder_are_found(shell: Shell, memory: dict[str, str]) -> None:
    album = shell.folder / "album"
    album.mkdir()
    for name, colour in (("sea", (30, 30, 200)), ("forest", (30, 160, 30))):
        Image.new("RGB", (80, 60), colour).save(album / f"{name}.jpg")
    Path(album / "sea.txt").write_text("A lighthouse on the coast.")
    shell.environment.update(memory)
    assert "2 photos" in shell.ok("photos", "index", album)
    photos = shell.json("photos", "search", "a beacon for ships")["photos"]
    assert Path(photos[0]["path"]).name == "sea.jpg"
    assert "NIGHTJAR_PHOTO_MODEL" in shell.refused("photos", "search", "--like", album / "sea.jpg")
    assert "is no folder" in shell.refused("photos", "index", shell.folder / "nowhere")
    assert [found["photos"] for found in shell.json("photos", "list")["folders"]] == [2]
    shell.ok("photos", "forget", album)
    assert shell.json("photos", "list") == {"folders": [], "notices": []}
