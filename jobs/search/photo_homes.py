"""Which hosts serve photos: their names and numbers, and nothing of the photos, which stay where they were indexed."""

from __future__ import annotations

from datetime import UTC, datetime

from nightjar.jobs.mongo import Database
from nightjar.jobs.stored import StoredDocument


class PhotoHome(StoredDocument):
    """A home that holds indexed photos; `_id` is its id, whatever its host is called."""

    id: str  # type: ignore[assignment]  # beanie's default is an ObjectId
    host: str
    """What the host was called when it last said so."""
    folders: int
    photos: int
    at: datetime

    class Settings:
        name = "photo_homes"


async def announce_photos(home: str, host: str, folders: int, photos: int, database: Database) -> None:
    """Says which host serves how many photos; without a folder it serves none any more."""
    homes = database.raw["photo_homes"]
    if not folders:
        await homes.delete_one({"_id": home})
        return
    values = {"host": host, "folders": folders, "photos": photos, "at": datetime.now(UTC)}
    await homes.update_one({"_id": home}, {"$set": values}, upsert=True)


async def photos_elsewhere(home: str, database: Database) -> list[PhotoHome]:
    """The other homes that serve photos, by the names of their hosts."""
    rows = await database.raw["photo_homes"].find({"_id": {"$ne": home}}).sort([("host", 1), ("_id", 1)]).to_list()
    return [PhotoHome.model_validate({"id": row.pop("_id"), **row}) for row in rows]


async def forget_photo_host(host: str, database: Database) -> int:
    """Forgets what a host said that is gone, or was never to be one; how many homes it had announced."""
    return (await database.raw["photo_homes"].delete_many({"host": host})).deleted_count


def elsewhere_notice(home: PhotoHome) -> str:
    """Where the photos are that are not here."""
    return (
        f"{home.photos:,} photos in {home.folders:,} folders are served by the host {home.host} "
        f"(as of {home.at:%Y-%m-%d}): search for them there."
    )
