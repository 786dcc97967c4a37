"""What nights need to know about this machine: `[night]`, NIGHTJAR_NIGHT__*. Pure."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class NightSettings(BaseModel):
    """How the end of a run is notified, and how long transcripts are kept."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    keep_nights: int | None = Field(None, ge=1)
    """How many of the newest runs of a schedule, or of a name with {date}, keep their transcripts; None: all."""
    keep_records_days: int = Field(180, ge=1, le=36_500)
    """Of crashes, calls that were made and what workers measured; the last longer, where a run needs it."""
    reports_url: str | None = Field(None, pattern=r"^https?://\S+$")
    """Where others can read the folder of reports; the link in a message begins with it."""
    call_timeout_s: float = Field(15, ge=1, le=300)
    """How long a web address or a mail server has to answer."""
    command_timeout_s: float = Field(300, ge=1, le=86_400)
    """How long a command of --on-finish may run before it is killed."""
    commands: bool | None = None
    """Run the commands that runs name. Whoever can write to MongoDB can name one. None: only of our own server."""
    unsure: Literal["leave", "resend"] = "leave"
    """A call during which a dispatcher died may have arrived: leave and show it, or call again with the same id."""
    webhook_secret: SecretStr | None = None
    """Signs web calls."""
    smtp_host: str | None = None
    smtp_port: int = Field(587, ge=1, le=65_535)
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_user: str | None = None
    smtp_password: SecretStr | None = None
    mail_from: str | None = Field(None, pattern=r"^[^\s@<>]+@[^\s@<>]+$")
    """Sender of mails."""
