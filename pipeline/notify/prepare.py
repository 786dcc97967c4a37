"""The call that a hook asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nightjar.config.night_settings import NightSettings
from nightjar.jobs.ending import Hook, HookKind
from nightjar.pipeline.notify.call import Call
from nightjar.pipeline.notify.command import prepare_command
from nightjar.pipeline.notify.mail import prepare_mail
from nightjar.pipeline.notify.webhook import prepare_webhook


async def prepare(hook: Hook, payload: Mapping[str, Any], settings: NightSettings) -> Call:
    """Everything up to the first byte that the other side could act on. Raises NotDelivered."""
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
