"""The names of MongoDB's driver that other rooms handle: its errors, and the writes of a bulk.

Only this room imports pymongo, so that an in-memory database can stand in for it some day.
"""

from pymongo import ReplaceOne, ReturnDocument, WriteConcern
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError

__all__ = ["AsyncCollection", "DuplicateKeyError", "ReplaceOne", "ReturnDocument", "WriteConcern"]
