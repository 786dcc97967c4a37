"""The seam to whoever is told: a call is prepared without anything being sent, then sent once.

NotDelivered     surely not taken: no connection, or the other side said no; `again`: another try may help
Unsure           sent, and no answer: it may have arrived
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from config.night_settings import NightSettings
from jobs.ending import Hook, HookKind


class NotDelivered(Exception):  # an outcome, not an error of ours
    def __init__(self, reason: str, *, again: bool) -> None:
        super().__init__(reason)
        self.again = again


class Unsure(Exception):
    pass


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of a call that was taken. `ok`: False for a command that failed; it is not run again."""

    said: str
    ok: bool = True
    output: str | None = None


class Call(Protocol):
    """One prepared call."""

    async def send(self) -> Answer:
        """Raises NotDelivered, Unsure."""

    async def close(self) -> None:
        """Frees what preparing took. May be called at any time, again and again."""


async def prepare(hook: Hook, payload: Mapping[str, Any], settings: NightSettings) -> Call:
    """Everything up to the first byte that the other side could act on. Raises NotDelivered."""
    from pipeline.telling.command import prepare_command
    from pipeline.telling.mail import prepare_mail
    from pipeline.telling.webhook import prepare_webhook

    match hook.kind:
        case HookKind.WEBHOOK:
            return await prepare_webhook(hook, payload, settings)
        case HookKind.MAIL:
            return await prepare_mail(hook, payload, settings)
        case HookKind.COMMAND:
            return await prepare_command(hook, payload, settings)


def limit_s(hook: Hook, settings: NightSettings) -> float:
    """The longest that sending may take."""
    return settings.command_timeout_s + 5 if hook.kind is HookKind.COMMAND else 2 * settings.call_timeout_s
