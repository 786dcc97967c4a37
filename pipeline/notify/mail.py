"""A mail through the server of the settings."""

from __future__ import annotations

import asyncio
import contextlib
import smtplib
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from functools import lru_cache
from typing import Any

import structlog

from nightjar.config.night_settings import NightSettings
from nightjar.jobs.ending import Hook
from nightjar.pipeline.notify.call import Answer, NotDelivered, Unsure
from nightjar.pipeline.notify.message import mail_text, subject

_log = structlog.get_logger()


class MailCall:
    """A session with the mail server, logged in; nothing is sent yet."""

    def __init__(self, server: smtplib.SMTP, mail: EmailMessage) -> None:
        self._server = server
        self._mail = mail

    async def send(self) -> Answer:
        """Raises NotDelivered where the server refuses it, Unsure where it goes away while taking it."""
        try:
            await asyncio.to_thread(self._server.send_message, self._mail)
        except (smtplib.SMTPRecipientsRefused, smtplib.SMTPResponseException) as error:
            raise _refused(error) from error
        except (OSError, smtplib.SMTPException) as error:
            raise Unsure(f"the mail server went away while it took the mail: {error}"[:300]) from error
        return Answer(said="the mail server took it")

    async def close(self) -> None:
        """Ends the session."""
        with contextlib.suppress(OSError, smtplib.SMTPException):
            await asyncio.to_thread(self._server.close)


async def prepare_mail(hook: Hook, payload: Mapping[str, Any], settings: NightSettings) -> MailCall:
    """Connects and logs in. Raises NotDelivered; where this host knows no mail server, another dispatcher's may."""
    if settings.smtp_host is None or settings.mail_from is None:
        raise NotDelivered("no mail server: set night.smtp_host and night.mail_from", again=True)
    try:
        server = await asyncio.to_thread(_connect, settings)
    except smtplib.SMTPResponseException as error:
        raise _refused(error) from error
    except (OSError, smtplib.SMTPException) as error:
        raise NotDelivered(f"the mail server {settings.smtp_host}: {error}"[:300], again=True) from error
    return MailCall(server, make_mail(hook.target, settings.mail_from, payload))


def make_mail(to: str, sender: str, payload: Mapping[str, Any]) -> EmailMessage:
    """The mail, with the delivery's id as its Message-ID: mail systems drop a second one."""
    mail = EmailMessage()
    mail["From"], mail["To"] = sender, to
    mail["Subject"] = subject(payload)
    mail["Date"] = format_datetime(datetime.fromisoformat(payload["at"]).astimezone(UTC))
    mail["Message-ID"] = f"<{payload['delivery']}@{sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(mail_text(payload))
    return mail


def _connect(settings: NightSettings) -> smtplib.SMTP:
    host, port, patience = settings.smtp_host or "", settings.smtp_port, settings.call_timeout_s
    server: smtplib.SMTP
    if settings.smtp_security == "tls":
        server = smtplib.SMTP_SSL(host, port, timeout=patience, context=ssl.create_default_context())
    else:
        server = smtplib.SMTP(host, port, timeout=patience)
    try:
        if settings.smtp_security == "starttls":
            server.starttls(context=ssl.create_default_context())
        if settings.smtp_user is not None:
            password = settings.smtp_password
            if settings.smtp_security == "none":
                _say_unencrypted(host)
            server.login(settings.smtp_user, password.get_secret_value() if password is not None else "")
    except BaseException:
        server.close()
        raise
    return server


@lru_cache
def _say_unencrypted(host: str) -> None:
    """Once a process."""
    what = f"the password of night.smtp_user goes to {host} as it is (night.smtp_security is none)"
    _log.warning("password_unencrypted", what=what)


def _refused(error: smtplib.SMTPRecipientsRefused | smtplib.SMTPResponseException) -> NotDelivered:
    code: int
    said: bytes | str
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, said = next(iter(error.recipients.values()))
    else:
        code, said = error.smtp_code, error.smtp_error
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    return NotDelivered(f"the mail server said {code} {text}"[:300], again=400 <= code < 500)
