"""Measured speeds, kept by model file, load settings and machine: who measured once need not do it again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from nightjar.jobs.identity import digest
from nightjar.jobs.models import SpeedProbe
from nightjar.jobs.mongo import Database


@dataclass(frozen=True, kw_only=True)
class SpeedKey:
    """What a measured speed holds for."""

    digest: str
    """Of the model's file, with its adapters."""
    machine: str
    """The device it computes on, with cores and memory."""
    settings: dict[str, Any]
    """Load settings that change a conversation's speed, and the version of llama.cpp."""

    @property
    def id(self) -> str:
        """The document's `_id`."""
        return digest("speed", self.digest, self.machine, self.settings)


async def known_speed(key: SpeedKey, database: Database) -> SpeedProbe | None:
    """What was measured, with its date; None where nothing was, or another version wrote it."""
    row = await database.raw["speeds"].find_one({"_id": key.id}, {"probe": 1})
    try:
        return None if row is None else SpeedProbe.model_validate(row["probe"])
    except ValidationError:
        return None


async def newest_speed(model_digest: str, database: Database) -> SpeedProbe | None:
    """What was measured last of a model's file, wherever that was; None where nothing was."""
    row = await database.raw["speeds"].find_one(
        {"model_digest": model_digest}, {"probe": 1}, sort=[("measured_at", -1)]
    )
    try:
        return None if row is None else SpeedProbe.model_validate(row["probe"])
    except ValidationError:
        return None


async def keep_speed(key: SpeedKey, probe: SpeedProbe, database: Database) -> None:
    """Stores a measurement in place of the last one."""
    row = {
        "model_digest": key.digest,
        "machine": key.machine,
        "settings": key.settings,
        "probe": probe.model_dump(mode="json"),
        "measured_at": probe.measured_at,
    }
    await database.raw["speeds"].replace_one({"_id": key.id}, row, upsert=True)
