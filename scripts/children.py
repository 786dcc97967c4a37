"""Nightjar processes started by Nightjar: `python -P -m nightjar ...`, with their output in a log file."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nightjar.config.files import close_if_home, make_folder
from nightjar.config.interpreter import NIGHTJAR

LAST_LINES = 12


@dataclass(frozen=True, kw_only=True)
class Child:
    """A running command. It leads a session of its own, so that Ctrl-C reaches only the parent."""

    arguments: tuple[str, ...]
    process: asyncio.subprocess.Process
    log: Path

    @classmethod
    async def start(cls, arguments: Sequence[str], log: Path) -> Child:
        """Starts `nightjar ARGUMENTS`; standard output and error are appended to `log`."""
        make_folder(log.parent)
        with log.open("ab") as output:
            close_if_home(log)
            process = await asyncio.create_subprocess_exec(
                *NIGHTJAR,
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return cls(arguments=tuple(arguments), process=process, log=log)

    async def stop(self, grace_s: float) -> None:
        """SIGTERM, so that it drains; SIGKILL when it has not ended after `grace_s` seconds."""
        if self.process.returncode is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.process.wait(), grace_s)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()

    def last_words(self) -> str:
        """The end of its log, for an error message."""
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-LAST_LINES:])
