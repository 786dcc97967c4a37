"""A command, run without a shell: the message is on its standard input and in its environment."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Mapping
from typing import Any

from nightjar.config.night_settings import NightSettings
from nightjar.config.redact import redact_output
from nightjar.jobs.ending import Hook
from nightjar.pipeline.notify.call import Answer, NotDelivered
from nightjar.pipeline.notify.message import body, command_environment

KEPT_BYTES = 4000
"""Of what the command printed, the last are kept."""
PASSED_ON = frozenset(
    ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TERM", "XDG_RUNTIME_DIR")
)
"""Of the dispatcher's environment, which holds its passwords; and what names locale, home and settings files."""
_ALSO = ("LC_", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "NIGHTJAR_HOME", "NIGHTJAR_CONFIG")


def clean(environment: Mapping[str, str]) -> dict[str, str]:
    """What a command may see of this process's environment: nothing that could be a secret."""
    return {name: value for name, value in environment.items() if name in PASSED_ON or name.startswith(_ALSO)}


class CommandCall:
    """A command that is on this host and has not been started."""

    def __init__(self, argv: list[str], payload: Mapping[str, Any], timeout_s: float) -> None:
        self._argv = argv
        self._payload = payload
        self._timeout_s = timeout_s

    async def send(self) -> Answer:
        """Runs the command to its end; at the time limit its whole process group is killed."""
        with tempfile.TemporaryFile() as printed:
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._argv,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=printed,
                    stderr=printed,
                    env={**clean(os.environ), **command_environment(self._payload)},
                    start_new_session=True,
                )
            except OSError as error:
                raise NotDelivered(f"{self._argv[0]} cannot be started: {error}", again=False) from error
            try:
                await asyncio.wait_for(process.communicate(body(self._payload)), self._timeout_s)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
                said = f"it ran longer than {self._timeout_s:g} s and was ended"
                return Answer(said=said, ok=False, output=_tail(printed, self._argv))
            code = process.returncode
            return Answer(said=f"exit code {code}", ok=code == 0, output=_tail(printed, self._argv))

    async def close(self) -> None:
        """Preparing took nothing."""


async def prepare_command(hook: Hook, payload: Mapping[str, Any], settings: NightSettings) -> CommandCall:
    """Raises NotDelivered for a command that this host may not run or does not have; another dispatcher's may."""
    if not settings.commands:
        raise NotDelivered(
            "this dispatcher runs no commands: they come from MongoDB, into which others may write. Where all who can "
            "are trusted with its host, set NIGHTJAR_NIGHT__COMMANDS=true there",
            again=True,
        )
    argv = hook.argv
    if shutil.which(argv[0]) is None:
        raise NotDelivered(f"there is no command {argv[0]!r} on the dispatcher's host", again=True)
    return CommandCall(argv, payload, settings.command_timeout_s)


def _tail(printed: Any, argv: list[str]) -> str | None:
    size = printed.seek(0, os.SEEK_END)
    printed.seek(max(0, size - KEPT_BYTES))
    text: str = printed.read().decode("utf-8", "replace")
    return redact_output(text, argv) or None
