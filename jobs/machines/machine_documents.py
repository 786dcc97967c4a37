"""MongoDB document of machines: how each stood in a minute. Kept for a week; a minute that is missing is a gap."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field
from pymongo import ASCENDING, IndexModel

from nightjar.jobs.stored import StoredDocument

KEPT_DAYS = 8
"""A day more than is shown, so that the oldest minute shown is whole."""


class CardReading(BaseModel):
    """One card in one minute. None: the card or its driver does not say."""

    model_config = ConfigDict(frozen=True)

    index: str
    """As `nvidia-smi` numbers it."""
    name: str
    use: float | None = None
    """Share of the time that it computed, 0..1."""
    memory_bytes: int | None = None
    memory_used_bytes: int | None = None
    temperature_c: float | None = None
    power_w: float | None = None


class MachineReading(StoredDocument):
    """One machine in one minute, by MongoDB's clock; `_id` is "HOST MINUTE". Use and power are means of the minute."""

    id: str  # type: ignore[assignment]
    host: str
    at: datetime
    """The minute's beginning."""
    memory_bytes: int | None = None
    memory_used_bytes: int | None = None
    disk_bytes: int | None = None
    """Where Nightjar's home is."""
    disk_used_bytes: int | None = None
    gpus: list[CardReading] = Field(default_factory=list)

    class Settings:
        name = "machine_readings"
        indexes: ClassVar = [IndexModel([("at", ASCENDING)], expireAfterSeconds=KEPT_DAYS * 86_400)]
