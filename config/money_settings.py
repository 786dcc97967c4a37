"""What replies are worth: `[money]`, NIGHTJAR_MONEY__*. Pure."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class MoneySettings(BaseModel):
    """What local replies cost, and what they are compared with."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    usd_per_kwh: float | None = Field(None, ge=0, le=1000)
    """US dollars for a kilowatt-hour of electricity; None: what local replies cost is unknown."""
    reference_model: str | None = Field(None, min_length=1)
    """A model at an endpoint, by its name here: what all replies would have cost there is what was saved. None: nobody
    knows what was saved."""
