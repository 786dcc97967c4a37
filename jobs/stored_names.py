"""The names of runs, suites, schedules and models, read quickly: for a person who waits at a prompt."""

from __future__ import annotations

import pymongo
from pydantic import SecretStr
from pymongo.errors import PyMongoError

from nightjar.config.errors import ServiceError

TIMEOUT_S = 1.0
MOST = 200
_NEWEST_FIRST = {"runs": "created_at", "suites": "imported_at", "schedules": "_id", "models": "published_at"}


def newest_names(url: SecretStr, database: str, collection: str) -> list[str]:
    """Names in a collection, the newest first, each once. Raises ServiceError if no server answers in a second."""
    try:
        with pymongo.MongoClient[dict[str, object]](
            url.get_secret_value(), timeoutMS=int(TIMEOUT_S * 1000), appname="nightjar"
        ) as client:
            newest = client[database][collection].find({}, {"name": 1}).sort(_NEWEST_FIRST[collection], -1).limit(MOST)
            return list(dict.fromkeys(str(row.get("name", row["_id"])) for row in newest))
    except (PyMongoError, ValueError) as error:
        raise ServiceError(f"MongoDB does not answer: {type(error).__name__}.") from None
