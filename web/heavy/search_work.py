"""Of the child processes' work: search by meaning, and replies that are nearly the same."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

from nightjar.config.errors import NightjarError
from nightjar.config.home_id import home_id
from nightjar.jobs.mongo import Database
from nightjar.jobs.search.photo_homes import elsewhere_notice, photos_elsewhere
from nightjar.pipeline.search.duplicates import find_equal_replies
from nightjar.pipeline.search.question import SearchQuestion
from nightjar.pipeline.search.start import search
from nightjar.workers.embedder.client import SmallEmbedder
from nightjar.workers.embedder.spec import EmbedderSpec
from nightjar.workers.library.digests import DigestCache
from nightjar.workers.photos.picture_model import PictureModel
from nightjar.workers.photos.search import FoundPhoto, search_photos


async def write_answer(database: Database, asked: str, spec: str, home: str, photos: str, photo_model: str) -> str:
    """What a search finds, as JSON. `asked`: a `SearchQuestion`, `spec`: an `EmbedderSpec`, both as JSON.

    `photos`: how many are looked for as well; `photo_model`: the folder of a picture model, which may be none.
    """
    fields = json.loads(asked)
    like = fields.pop("like")
    question = SearchQuestion(**fields, like=None if like is None else (like[0], like[1]))
    embedder, most = _embedder(spec), int(photos)
    answer = asdict(await search(question, embedder, database, Path(home)))
    found: list[FoundPhoto] = []
    notices: list[str] = []
    if most and question.text:
        try:
            pictures = _pictures(photo_model, home) if photo_model else None
            found, notices = await search_photos(question.text, most, Path(home), embedder, pictures)
        except NightjarError as error:  # of the picture model, which is no reason to show nothing else
            notices = [str(error)]
        notices += [elsewhere_notice(other) for other in await photos_elsewhere(home_id(Path(home)), database)]
    return json.dumps(answer | {"photos": [asdict(photo) for photo in found], "photo_notices": notices})


async def write_duplicates(database: Database, run: str, least: str, spec: str, home: str) -> str:
    """The groups of a run's replies that are nearly the same, as JSON. `run`: its id."""
    groups = await find_equal_replies(run, float(least), _embedder(spec), database, Path(home))
    return json.dumps([asdict(group) for group in groups])


@lru_cache(maxsize=1)
def _embedder(spec: str) -> SmallEmbedder:
    """Kept open for as long as this child lives."""
    return SmallEmbedder(EmbedderSpec.model_validate_json(spec))


@lru_cache(maxsize=1)
def _pictures(folder: str, home: str) -> PictureModel:
    """Kept for as long as this child lives, with its encoder."""
    return PictureModel(Path(folder), DigestCache(Path(home) / "digests.json"))
