"""What nights need to know of this machine: `[night]`, NIGHTJAR_NIGHT__*. Pure."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class NightSettings(BaseModel):
    """How the end of a run is told, and how long transcripts are kept."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    keep_nights: int | None = Field(None, ge=1)
    """Transcripts are kept of the newest so many runs of a schedule, or of a name with {date}; None: of all."""
    reports_url: str | None = Field(None, pattern=r"^https?://\S+$")
    """Where the folder of reports can be read by others; the link in a message begins with it."""
    call_timeout_s: float = Field(15, ge=1, le=300)
    """For a web address or a mail server to answer."""
    command_timeout_s: float = Field(300, ge=1, le=86_400)
    """For a command of --on-finish; it is ended then."""
    commands: bool = True
    """Run the commands that runs name. Whoever can write to MongoDB can name one: false where that is not only you."""
    unsure: Literal["leave", "resend"] = "leave"
    """A call inside which a dispatcher died may have arrived: leave and show it, or call again with the same id."""
    webhook_secret: SecretStr | None = None
    """Web calls are signed with it."""
    smtp_host: str | None = None
    smtp_port: int = Field(587, ge=1, le=65_535)
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_user: str | None = None
    smtp_password: SecretStr | None = None
    mail_from: str | None = Field(None, pattern=r"^[^\s@<>]+@[^\s@<>]+$")
    """Sender of mails."""
