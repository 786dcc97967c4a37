"""Hosts that share a database tell each other who serves photos, and nothing else of them."""

from __future__ import annotations

from nightjar.jobs.mongo import Database
from nightjar.jobs.search.photo_homes import announce_photos, elsewhere_notice, forget_photo_host, photos_elsewhere


async def test_each_home_says_what_it_serves(database: Database) -> None:
    """The newest word counts, whatever the host is called by then; a home is not told of itself."""
    await announce_photos("home1", "attic", 1, 1_200, database)
    await announce_photos("home2", "cellar", 2, 30, database)
    await announce_photos("home1", "loft", 3, 1_300, database)
    assert [(home.host, home.folders, home.photos) for home in await photos_elsewhere("home2", database)] == [
        ("loft", 3, 1_300)
    ]
    [home] = await photos_elsewhere("home1", database)
    assert "30 photos in 2 folders are served by the host cellar" in elsewhere_notice(home)
    assert [home.host for home in await photos_elsewhere("", database)] == ["cellar", "loft"]
    stored = await database.raw["photo_homes"].find_one({"_id": "home1"})
    assert set(stored or {}) == {"_id", "host", "folders", "photos", "at"}


async def test_who_serves_none_is_forgotten(database: Database) -> None:
    """With its last folder, or by whoever knows that the host is gone."""
    await announce_photos("home1", "attic", 1, 5, database)
    await announce_photos("home2", "cellar", 1, 5, database)
    await announce_photos("home1", "attic", 0, 0, database)
    assert await forget_photo_host("cellar", database) == 1
    assert await forget_photo_host("cellar", database) == 0
    assert await photos_elsewhere("", database) == []
